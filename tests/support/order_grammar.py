"""A grammar of order documents: every field of Stock2Shop's public shapes, said in the ways in which they are said.

Each order is drawn from its number alone, so that one that failed can be drawn again. What was sold is kept in whole
cents beside the document, for an oracle that knows nothing of the engine.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

RATES = (0, 5, 15, 20)
ITEMS = ("A", "B", "1001", "ÄÖ-1", "O'Brien/7")
SHIPPING_ITEM = "SHIP"
ADDRESS_FIELDS = (
    *("first_name", "last_name", "company", "address1", "address2", "city", "province", "province_code", "country"),
    *("country_code", "zip", "phone", "address_code"),
)
HOSTILE_TEXTS = (
    "Leave at the gate",
    "'; drop table sale; --",
    "{{ order.id }} {% raw %} ? :name %s $1",
    "Grüße aus Köln, Ærø und Łódź",
    "日本語の注文 — свежий заказ — عربي",
    "emoji 🎁👩‍👩‍👧 and more 🇿🇦",
    "a NUL \x00 and a bell \x07, an escape \x1b[31m",
    "half a character \ud83d",
    "  blanks around  ",
    "two\r\nlines\tand a tab",
    "back\\slash \\' \\\" \\u0041",
    "\N{RIGHT-TO-LEFT OVERRIDE}right to left\N{POP DIRECTIONAL FORMATTING} and \N{ZERO WIDTH SPACE}nothing",
    "\N{LEFT DOUBLE QUOTATION MARK}curly\N{RIGHT DOUBLE QUOTATION MARK} \N{EN DASH} and € ™",
    "x" * 300,
    "NULL",
    "0",
    "é composed, é in two",
)
"""Texts that something along the way might trip over."""


@dataclass(frozen=True)
class Number:
    """A number as it is written in JSON."""

    text: str


def write_json(value: Any, chance: random.Random) -> str:
    """A document as JSON; some with escapes, some without."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {write_json(each, chance)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(write_json(each, chance) for each in value) + "]"
    if isinstance(value, str):
        lone = any("\ud800" <= letter <= "\udfff" for letter in value)
        return json.dumps(value, ensure_ascii=lone or chance.random() < 0.5)
    return json.dumps(value)


@dataclass
class Line:
    """What was sold on one line, in cents; ``raised`` says whether it belongs into this database.

    ``taxes`` is how many taxes the document lists.
    """

    sku: str
    qty: int
    price: int = 0
    discount: int = 0
    net: int = 0
    tax: int = 0
    rates: tuple[int, ...] = ()
    taxes: int = 0
    texts: dict[str, str | None] = field(default_factory=dict)
    raised: bool = True


@dataclass
class Sale:
    """What was sold, the document that says so, and what must become of it.

    ``outcome`` is *raised*, *waiting* for one of ``rules``, or *known* under a code already. ``texts`` are what the
    order says, by the oracle's names.
    """

    number: int
    lines: list[Line] = field(default_factory=list)
    shipping: list[Line] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    outcome: str = "raised"
    rules: frozenset[str] = frozenset()
    customer: str = "CASH"
    placed: datetime | None = None
    texts: dict[str, str | None] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells the order from all others: its id, or the channel and its number."""
        if self.document.get("id") is not None:
            return "id", str(self.number)
        return "channel", str(self.texts["reference"])


def half_up(numerator: int, denominator: int) -> int:
    """A quotient, rounded half up."""
    return (2 * numerator + denominator) // (2 * denominator)


class Drawing:
    """Draws one order; ``foreign_lines`` is what the project does with lines of other sources."""

    def __init__(self, number: int, *, flawed: bool | None = None, foreign_lines: str = "refuse") -> None:
        self.chance = random.Random(number)
        self.sale = Sale(number)
        self.foreign_lines = foreign_lines
        self.includes = self.chance.random() < 0.3
        self.discounts = self.chance.choice(("line", "line", "price", "unit"))
        self.by_price = False
        self.draw(flawed=self.chance.random() < 0.4 if flawed is None else flawed)

    def maybe(self, share: float = 0.5) -> bool:
        """True so often."""
        return self.chance.random() < share

    def text(self) -> str | None:
        """A text that may be hostile, blank or missing."""
        return self.chance.choice((*HOSTILE_TEXTS, None, "", "   ", f"plain {self.chance.randrange(10**6)}"))

    def cents(self, value: int) -> Any:
        """An amount in one of the ways in which documents write numbers."""
        exact = f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02}"
        short = exact.rstrip("0").rstrip(".")
        ways = [Number(exact), Number(short), exact, short, Number(f"{value}e-2"), f"{value}E-2", Number(exact + "000")]
        return self.chance.choice([*ways, f" {exact} "])

    def count(self, value: int) -> Any:
        """A whole number."""
        return self.chance.choice(
            [Number(str(value)), str(value), Number(f"{value}.0"), f"{value}.000", Number(f"{value}e0")]
        )

    def draw(self, *, flawed: bool) -> None:
        """Draw what was sold, then the document, then what is wrong with it."""
        sale = self.sale
        sale.lines = [self.line() for _ in range(self.chance.randint(1, 7))]
        if self.maybe():
            sale.shipping = [self.line(shipping=True) for _ in range(self.chance.choice((1, 1, 2)))]
        said = [self.say_line(line) for line in sale.lines]
        header, shipping = self.say_shipping()
        sale.document = {
            **self.say_order(),
            "line_items": said,
            "shipping_lines": shipping,
            **self.say_totals(header),
            **self.say_clutter(),
        }
        if flawed:
            self.spoil(said)
        self.shape()
        keys = list(sale.document)
        self.chance.shuffle(keys)
        sale.document = {key: sale.document[key] for key in keys}

    # What was sold

    def line(self, *, shipping: bool = False) -> Line:
        """A line of which all amounts are known to the cent."""
        chance = self.chance
        qty = 1 if shipping else chance.choice((1, 1, 2, 3, 7, 100))
        price = chance.choice((chance.randint(100, 50_000), chance.randint(1, 500) * 100))
        rates = chance.choice(((), (15,), (15,), (20,), (5, 15), (0,)))
        line = Line(sku=SHIPPING_ITEM if shipping else chance.choice(ITEMS), qty=qty, price=price, rates=rates)
        if not shipping and price > 1000 and self.maybe(0.3):
            line.discount = chance.choice((100, 250, 999))
        base = price * qty - {"line": 1, "unit": qty, "price": 0}[self.discounts] * line.discount
        if self.includes:
            line.tax = sum(half_up(base * rate, 100 + sum(rates)) for rate in rates)
            line.net = base - line.tax
        else:
            line.tax = sum(half_up(base * rate, 100) for rate in rates)
            line.net = base
        return line

    # How it is said

    def say_line(self, line: Line) -> dict[str, Any]:
        """A line of the document."""
        chance = self.chance
        said: dict[str, Any] = {"qty": self.count(line.qty), "price": self.cents(line.price)}
        if line.sku == SHIPPING_ITEM:
            del said["qty"]
            line.texts["title"] = said["title"] = self.text()
        else:
            said["sku"] = (
                Number("1001") if line.sku == "1001" and self.maybe() else chance.choice((line.sku, f" {line.sku} "))
            )
            for name in ("title", "barcode", "source_variant_code"):
                if self.maybe(0.7):
                    line.texts[name] = said[name] = self.text()
            if self.maybe():
                said["grams"] = self.count(chance.randrange(5_000))
            if self.maybe():
                said["source_id"] = chance.choice((Number("57"), "57", None))
            if line.qty == 1 and self.maybe(0.2):
                del said["qty"]
        if line.discount or self.maybe(0.3):
            said["total_discount"] = self.cents(line.discount)
        self.say_amounts(line, said)
        if self.maybe(0.2):
            said |= {"total_display": "1 234.50", "fulfillments": [], "id": Number("1"), "variant_id": None}
        return said

    def say_amounts(self, line: Line, said: dict[str, Any]) -> None:
        """Say a line's totals, or its taxes, or leave them to be worked out."""
        net, tax, gross = self.cents(line.net), self.cents(line.tax), self.cents(line.net + line.tax)
        ways: list[dict[str, Any]] = [
            {"sub_total": net, "tax": tax, "total": gross},
            {"sub_total": net, "tax": tax, "total": gross, "tax_lines": self.taxes(line, amounts=True)},
            {"sub_total": net, "tax": tax},
            {"sub_total": net, "total": gross},
            {"total": gross, "tax": tax},
        ]
        worked_out: list[dict[str, Any]] = []
        if not line.rates or not line.tax:
            worked_out.append({"tax_lines": []})
            worked_out.append({"sub_total": Number("0"), "tax": Number("0"), "total": Number("0.00")})
        if line.rates:
            worked_out.append({"tax_lines": self.taxes(line, amounts=False)})
            worked_out.append({"tax_lines": self.taxes(line, amounts=True), "total": None})
        if len(line.rates) == 1 and line.tax and not self.includes and line.sku != SHIPPING_ITEM:
            unit = half_up(
                (line.price + (-line.discount if self.discounts == "unit" else 0)) * (100 + line.rates[0]), 100
            )
            if self.discounts != "line" or not line.discount:
                worked_out.append({"tax_lines": [{"price": self.cents(unit), "rate": self.rate(line.rates[0])}]})
        way = self.chance.randrange(len(ways) + 2 * len(worked_out))
        if way >= len(ways):
            self.by_price = True
            said |= worked_out[(way - len(ways)) % len(worked_out)]
        else:
            said |= ways[way]
        line.taxes = len(said.get("tax_lines", ()))

    def rate(self, rate: int) -> Any:
        """A rate in per cent, or as a fraction."""
        return self.chance.choice([Number(str(rate)), str(rate), Number(f"{rate}.00"), Number(f"0.{rate:02}")])

    def taxes(self, line: Line, *, amounts: bool) -> list[dict[str, Any]]:
        """The taxes of a line, each with its own amount or without."""
        base = line.net if not self.includes else line.net + line.tax
        whole = 100 if not self.includes else 100 + sum(line.rates)
        return [
            {
                "code": self.chance.choice(("taxed", None, "VAT")),
                "title": self.text(),
                "rate": self.rate(rate),
                **({"price": self.cents(half_up(base * rate, whole))} if amounts else {}),
            }
            for rate in line.rates
        ]

    def say_shipping(self) -> tuple[dict[str, Any], Any]:
        """Shipping by the order's own totals, or by its lines, or by both."""
        lines = self.sale.shipping
        net, tax = sum(line.net for line in lines), sum(line.tax for line in lines)
        totals = {"shipping_sub_total": self.cents(net), "shipping_tax": self.cents(tax)}
        if not lines:
            empty: list[dict[str, Any]] = [{"price": None, "title": None, "tax_lines": []}]
            header = {} if self.maybe() else dict.fromkeys(("shipping_sub_total", "shipping_tax"), Number("0"))
            return header, self.chance.choice(([], None, empty))
        if len(lines) == 1 and self.maybe(0.3):
            if self.maybe(0.3):
                totals = {"shipping_total": self.cents(net + tax), "shipping_tax": self.cents(tax)}
            return totals, self.chance.choice(([], None))
        said = [self.say_line(line) for line in lines]
        zeros = {"shipping_sub_total": Number("0"), "shipping_tax": self.cents(tax), "shipping_total": self.cents(net)}
        return self.chance.choice(({}, totals, zeros)), said

    def say_totals(self, header: dict[str, Any]) -> dict[str, Any]:
        """The order's own totals: all, some, zeros or none."""
        every = [*self.sale.lines, *self.sale.shipping]
        net, tax = sum(line.net for line in self.sale.lines), sum(line.tax for line in self.sale.lines)
        of_shipping = sum(line.net for line in self.sale.shipping), sum(line.tax for line in self.sale.shipping)
        said = dict(header)
        # Prices with tax, and discounts of other kinds, are known by the total alone.
        needed = self.by_price and (self.includes or any(line.discount for line in every))
        if needed or self.maybe(0.7):
            said["total"] = self.cents(sum(line.net + line.tax for line in every))
        if self.maybe():
            said["sub_total"] = self.chance.choice(
                (self.cents(net), self.cents(net + of_shipping[0]), Number("0"), None)
            )
        if self.maybe():
            said["tax"] = self.chance.choice((self.cents(tax), self.cents(tax + of_shipping[1]), Number("0"), None))
        if self.maybe(0.3):
            said |= {"line_item_sub_total": self.cents(net), "line_item_tax": self.cents(tax)}
        elif self.maybe(0.3):
            said |= dict.fromkeys(("line_item_sub_total", "line_item_tax"), Number("0"))
        if self.maybe(0.4):
            discount = sum(line.discount for line in self.sale.lines)
            said["total_discount"] = self.chance.choice((self.cents(discount), Number("0"), None))
        return said

    def say_order(self) -> dict[str, Any]:
        """The order's own fields, with its customer, its addresses and where it stands."""
        sale, chance = self.sale, self.chance
        said: dict[str, Any] = {"id": self.count(sale.number), "channel_id": chance.choice((Number("12"), "12"))}
        code = chance.choice((f"#{sale.number}", f"WEB/{sale.number}", Number(str(5_000_000 + sale.number)), None))
        said["channel_order_code"] = code
        sale.texts["reference"] = str(sale.number) if code is None else code.text if isinstance(code, Number) else code
        for name in ("notes", "state", "status"):
            if self.maybe(0.8):
                value = self.text() if name == "notes" else chance.choice(("saved", "processing", "", None, "paid"))
                sale.texts[name] = said[name] = value
        said |= self.say_times()
        said |= {name: self.say_address(name) for name in ("billing_address", "shipping_address") if self.maybe(0.8)}
        said |= self.say_customer()
        if self.maybe():
            gift = self.text()
            said["meta"] = [{"key": "gift", "value": gift}, {"key": "n", "value": Number("5")}, {"value": "no key"}]
            sale.texts["gift"] = gift
        if self.maybe(0.3):
            method = self.text()
            said["payment"] = {"method": method, "amount_paid": Number("1.50"), "additional_information": {"a": []}}
            sale.texts["method"] = method
        return said

    def say_times(self) -> dict[str, Any]:
        """When it was ordered, in one of many spellings of one moment."""
        moment = datetime(2001, 1, 1) + timedelta(seconds=self.chance.randrange(900_000_000))  # noqa: DTZ001 - UTC
        at = moment.isoformat(" ")
        east, west = moment + timedelta(hours=2), moment - timedelta(hours=5, minutes=30)
        spellings = (at, f"{moment.isoformat()}Z", f"{at}.1234567", f"{at}.5", f"{east.isoformat()}+02:00")
        spelling = self.chance.choice((*spellings, f"{west.isoformat(' ')}-05:30"))
        never = self.chance.choice((None, "", "0000-00-00 00:00:00"))
        self.sale.placed = moment
        if self.maybe(0.2):
            return {"created": never, "ordered_date": spelling}
        if self.maybe(0.1):
            self.sale.placed = None
            return {"created": never, "ordered_date": never}
        return {"created": spelling, "modified": "2026-01-01 00:00:00", "ordered_date": self.chance.choice((at, never))}

    def say_address(self, name: str) -> Any:
        """An address that says all, something or nothing."""
        if self.maybe(0.1):
            return self.chance.choice(([], None, {}))
        said: dict[str, Any] = {part: self.text() for part in ADDRESS_FIELDS if self.maybe(0.8)}
        if self.maybe(0.3):
            said["zip"] = Number("8001")
        for part, value in said.items():
            self.sale.texts[f"{name}.{part}"] = "8001" if isinstance(value, Number) else value
        return {**said, "type": "shipping", "id": Number("9"), "created": "yesterday"}

    def say_customer(self) -> dict[str, Any]:
        """Who ordered, and which customer that is here."""
        said: dict[str, Any] = {}
        if self.maybe(0.9):
            names = ("email", "first_name", "last_name", "channel_customer_code")
            customer: dict[str, Any] = {name: self.text() for name in names if self.maybe(0.8)}
            self.sale.texts |= {f"customer.{name}": value for name, value in customer.items()}
            customer |= {
                "accepts_marketing": True,
                "meta": [{"key": "k", "value": None}],
                "addresses": [{"id": Number("1")}],
            }
            customer["user"] = {"price_tier": "wholesale", "segments": [{"key": "title"}]}
            said["customer"] = customer
        elif self.maybe():
            said["customer"] = self.chance.choice(([], None))
        others = [{"source_id": Number("58"), "source_order_code": "X1", "source_customer_code": "C9"}]
        if self.maybe(0.7):
            self.sale.customer = self.chance.choice(("C1", "ÖÄ 2"))
            own = {"source_id": self.chance.choice((Number("57"), "57")), "source_customer_code": self.sale.customer}
            said["sources"] = [*others, {**own, "source_order_code": self.chance.choice((None, "", "  "))}]
        elif self.maybe():
            said["sources"] = others
        return said

    def say_clutter(self) -> dict[str, Any]:
        """What documents have besides."""
        said = {
            "client_id": Number("21"),
            "params": {"param-1": ["a", {"b": None}]},
            "history": [{"instruction": "sync_order", "storage_code": "s"}],
            "fulfillments": [{"id": Number("1"), "line_items": [{"sku": "sku-1", "qty": Number("1")}]}],
            "total_display": "51 865.00",
            "new_field_of_next_year": {"deep": [[[{}]]]},
        }
        return {name: value for name, value in said.items() if self.maybe(0.3)}

    # What is wrong with it

    def spoil(self, lines: list[dict[str, Any]]) -> None:
        """Spoil the document in one way, and note which rule it breaks then."""
        sale, chance = self.sale, self.chance
        line = chance.choice(lines)
        flaws = {
            "cancelled": lambda: sale.document.update(
                chance.choice(({"status": "Cancelled"}, {"state": "refunded"}, {"instruction": "cancel_order"}))
            ),
            "totals_differ": lambda: self.contradict(line),
            "foreign_line": lambda: self.send_elsewhere(line),
            "blank_sku": lambda: line.update(sku=chance.choice((None, "", "  ", "\x00"))),
            "unknown_sku": lambda: line.update(sku=chance.choice(("NOPE", "A'", "1002"))),
            "bad_quantity": lambda: line.update(qty=chance.choice((Number("0"), Number("-1"), None, "", "-2"))),
            "no_lines": lambda: sale.document.update(line_items=chance.choice(([], None))),
            "unreadable": lambda: self.muddle(line),
            "unknown_customer": lambda: sale.document.update(
                sources=[{"source_id": Number("57"), "source_customer_code": "C9"}]
            ),
            "known": lambda: sale.document.update(
                sources=[{"source_id": Number("57"), "source_order_code": f"OLD{sale.number}"}]
            ),
        }
        rule = chance.choice(tuple(flaws))
        sale.outcome, sale.rules = ("known", frozenset()) if rule == "known" else ("waiting", frozenset({rule}))
        flaws[rule]()

    def contradict(self, line: dict[str, Any]) -> None:
        """Have the document say two things that cannot both be."""
        sale = self.sale
        every = [*sale.lines, *sale.shipping]
        if self.maybe():
            total = sum(each.net + each.tax for each in every)
            sale.document["total"] = self.cents(total + self.chance.choice((-1, 1)) * 10_000_019)
        else:
            line |= {"sub_total": Number("100"), "tax": Number("15"), "total": Number("222.22")}

    def send_elsewhere(self, line: dict[str, Any]) -> None:
        """Have another source fulfil a line."""
        line["source_id"] = self.chance.choice((Number("58"), "58"))
        if self.foreign_lines == "skip":
            sold = self.sale.lines[self.sale.document["line_items"].index(line)]
            sold.raised = False
            left = any(each.raised for each in self.sale.lines)
            self.sale.outcome, self.sale.rules = (
                ("raised", frozenset()) if left else ("waiting", frozenset({"no_lines"}))
            )

    def muddle(self, line: dict[str, Any]) -> None:
        """Give a value the wrong type, or a spelling that nobody can be sure of."""
        document, chance = self.sale.document, self.chance
        chance.choice(
            (
                lambda: line.update(price="10,50"),
                lambda: line.update(price=True),
                lambda: line.update(total=[]),
                lambda: line.update(price=Number("1e60")),
                lambda: line.update(title={"en": "x"}),
                lambda: line.update(tax_lines="VAT"),
                lambda: line.update(tax_lines=[None]),
                lambda: document.update(line_items={"0": line}),
                lambda: document.update(line_items=[line, "A"]),
                lambda: document.update(notes=["a"]),
                lambda: document.update(created="yesterday"),
                lambda: document.update(created="2026-02-30 10:00:00"),
                lambda: document.update(customer="Some One"),
                lambda: document.update(total="R 100.00"),
                lambda: document.update(shipping_tax="1.234,50"),
                lambda: document.update(meta={"key": "gift"}),
                lambda: document.update(sources={"source_id": Number("57")}),
            )
        )()

    def shape(self) -> None:
        """Give it the shape of one of the public documents: a SystemOrder, alone or wrapped, or a ChannelOrder."""
        sale = self.sale
        if sale.document["channel_order_code"] is not None and self.maybe(0.25):
            del sale.document["id"]
            sale.document.setdefault("instruction", "add_order")


def raw_document(sale: Sale) -> bytes:
    """The document as it arrives."""
    chance = random.Random(sale.number)
    text = write_json(sale.document, chance)
    if chance.random() < 0.3:
        text = '{"system_order": ' + text + "}"
    return (b"\xef\xbb\xbf" if chance.random() < 0.1 else b"") + text.encode()
