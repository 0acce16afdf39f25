"""Parse an order document and make plain values of it. Pure: no I/O.

The document is a ``system_order`` of Stock2Shop's public data objects, alone or under that name. Texts lose their
control characters, numbers become Decimals, times are converted to the project's time zone, and a value that cannot be
used is reported with its place in the document.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from engine.errors import OrderError
from engine.orders.amounts import EXACT, LineAmounts, Tax, plain_number, work_out_amounts
from engine.orders.identity import order_id_of
from engine.orders.optional_values import OptionalValues

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.settings import OrderSettings

MAX_DEPTH = 32
"""How deep a document may be nested; Stock2Shop's own is nested four deep."""

MAX_DIGITS = 30
"""How many digits a number may have before, and after, its decimal point."""

MAX_LINES = 10_000
"""How many lines an order may have."""

ADDRESS_FIELDS = (
    "first_name",
    "last_name",
    "company",
    "address1",
    "address2",
    "city",
    "province",
    "province_code",
    "country",
    "country_code",
    "zip",
    "phone",
    "address_code",
)  # fmt: skip - as an address is written

TOTALS = (
    "line_item_sub_total",
    "line_item_tax",
    "shipping_sub_total",
    "shipping_tax",
    "shipping_total",
    "sub_total",
    "tax",
    "total",
    "total_discount",
)  # fmt: skip - as an order is written

CANCELLED_WORDS = frozenset({"cancelled", "canceled", "refunded", "voided"})
"""States and statuses of an order that is not to be raised, in lower case."""

_STANDING = ("state", "status", "instruction")

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as the statements see it: each part maps names to plain values; a blank value is None.

    ``reason`` says which values cannot be used, and ``contradiction`` which amounts do not add up, where there are
    any: the order waits then. ``source_order_code`` is the code under which Stock2Shop knows that the order is in this
    source already.
    """

    id: int
    order: Mapping[str, Any]
    customer: Mapping[str, Any]
    lines: Sequence[dict[str, Any]]
    shipping_lines: Sequence[dict[str, Any]]
    reason: str = ""
    contradiction: str = ""
    source_order_code: str | None = None
    cancelled: bool = False


def parse_document(raw: bytes) -> dict[str, Any]:
    """Return the ``system_order`` in a JSON text. Raises :class:`OrderError` with the HTTP status that fits."""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OrderError("The document is not UTF-8.", status=400) from None
    if _depth(text) > MAX_DEPTH:
        raise OrderError(f"The document is nested more than {MAX_DEPTH} deep.", status=400)
    try:
        found = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=_no_constant, object_pairs_hook=_unique
        )
    except OrderError:
        raise
    except (ValueError, RecursionError):
        raise OrderError("The document is not JSON.", status=400) from None
    if isinstance(found, dict) and isinstance(found.get("system_order"), dict):
        found = found["system_order"]
    if not isinstance(found, dict):
        raise OrderError("The document is not an order: it must be a JSON object.", status=422)
    order_id_of(found)
    return found


def read_order(document: Mapping[str, Any], settings: OrderSettings, *, source_id: int) -> Order:
    """Make plain values of a document, with what the project says about its channel.

    ``source_id`` is the project's source: the document says which customer it is there, and under which code the order
    is there already. Never raises for a value that cannot be used: :attr:`Order.reason` says so.
    """
    reading = _DocumentReader()
    order = _read_header(document, reading, settings)
    customer = _read_customer(document, reading)
    own_customer, own_order = _read_source_codes(document, source_id, reading)
    known = own_customer or customer["code"]
    customer["code"] = known or order.pop("channel_customer", None) or settings.default_customer
    customer["default"] = known is None
    order.pop("channel_customer", None)
    order["customer_code"] = customer["code"]
    lines = _read_lines(document, "line_items", reading, settings)
    shipping = [line for line in _read_lines(document, "shipping_lines", reading, settings) if _says_something(line)]
    if not shipping:
        shipping = _stated_shipping_line(order, settings)
    problem = _fill_amounts(order, lines, shipping, settings)
    own = [line for line in lines if settings.foreign_lines == "refuse" or line["source_id"] in {None, str(source_id)}]
    return Order(
        id=order_id_of(document),
        order=order,
        customer=customer,
        lines=_merge_lines(own) if settings.repeated_skus == "merge" else own,
        shipping_lines=[{**line, "sku": settings.shipping_item} for line in shipping] if settings.shipping_item else [],
        reason="; ".join(reading.problems[:5]),
        contradiction=problem,
        source_order_code=own_order,
        cancelled=says_cancelled(document),
    )


def _read_header(document: Mapping[str, Any], reading: _DocumentReader, settings: OrderSettings) -> dict[str, Any]:
    channel = reading.text(document, "channel_id")
    own = {str(number): own for number, own in settings.channels.items()}.get(channel or "", {})
    found: dict[str, Any] = {
        "id": order_id_of(document),
        "channel_id": channel,
        "channel_customer": own.get("customer"),
    }
    for name in ("channel_order_code", "notes", "state", "status"):
        found[name] = reading.text(document, name)
    found["reference"] = found["channel_order_code"] or str(found["id"])
    for name in ("created", "modified", "ordered_date"):
        found[name] = reading.time(document, name, settings.timezone)
    found["date"] = found["created"] or found["ordered_date"]
    for name in TOTALS:
        found[name] = reading.number(document, name)
    for name in ("billing_address", "shipping_address"):
        place = reading.at(name)
        address = reading.table(document, name)
        found[name] = {part: place.text(address, part) for part in ADDRESS_FIELDS}
    for name in ("warehouse", "sales_rep", "document_type"):
        found[name] = own.get(name) or getattr(settings, name)
    found["meta"] = OptionalValues(
        (key, reading.at(f"meta[{number}]").text(entry, "value"))
        for number, entry in enumerate(reading.list(document, "meta"))
        if (key := reading.at(f"meta[{number}]").text(entry, "key")) is not None
    )
    payment = reading.table(document, "payment")
    found["payment"] = OptionalValues(
        (key, reading.at("payment").text(payment, key))
        for key, value in payment.items()
        if not isinstance(value, (dict, list))
    )
    return found


def _read_customer(document: Mapping[str, Any], reading: _DocumentReader) -> dict[str, Any]:
    table, place = reading.table(document, "customer"), reading.at("customer")
    names = ("email", "first_name", "last_name", "channel_customer_code")
    return {"code": place.text(table, "source_customer_code"), **{name: place.text(table, name) for name in names}}


def _read_source_codes(
    document: Mapping[str, Any], source_id: int, reading: _DocumentReader
) -> tuple[str | None, str | None]:
    """Return the customer's and the order's code that the document says for this source, whichever entry says it."""
    customer = order = None
    for number, entry in enumerate(reading.list(document, "sources")):
        place = reading.at(f"sources[{number}]")
        if place.text(entry, "source_id") == str(source_id):
            customer = customer or place.text(entry, "source_customer_code")
            order = order or place.text(entry, "source_order_code")
    return customer, order


def says_cancelled(document: Mapping[str, Any]) -> bool:
    """Return whether a document says that its order was cancelled: by its state, its status or its instruction."""
    state, status, instruction = (str(document.get(name) or "").strip().casefold() for name in _STANDING)
    return state in CANCELLED_WORDS or status in CANCELLED_WORDS or instruction.startswith("cancel")


def read_modified(document: Mapping[str, Any]) -> datetime | None:
    """Return when a document says that its order was last changed, in UTC; None where it does not say it."""
    return _DocumentReader().time(document, "modified", "UTC")


def _read_lines(
    document: Mapping[str, Any], name: str, reading: _DocumentReader, settings: OrderSettings
) -> list[dict[str, Any]]:
    return [
        _read_line(entry, number, reading.at(f"{name}[{number}]"), settings)
        for number, entry in enumerate(reading.list(document, name))
    ]


def _read_line(
    entry: Mapping[str, Any], number: int, reading: _DocumentReader, settings: OrderSettings
) -> dict[str, Any]:
    found: dict[str, Any] = {"number": number + 1}
    for name in ("sku", "source_variant_code", "source_id", "title", "barcode"):
        found[name] = reading.text(entry, name)
    for name in ("grams", "qty", "price", "total_discount", "sub_total", "tax", "total"):
        found[name] = reading.number(entry, name)
    found["qty"] = Decimal(1) if found["qty"] is None and "qty" not in entry else found["qty"]
    per_unit = reading.number(entry, "tax_per_unit")
    if found["tax"] is None and per_unit is not None and found["qty"] is not None:
        found["tax"] = EXACT.multiply(per_unit, found["qty"])
    found["tax_lines"] = [
        {
            **{name: place.text(tax, name) for name in ("code", "title")},
            **{name: place.number(tax, name) for name in ("price", "rate")},
        }
        for index, tax in enumerate(reading.list(entry, "tax_lines"))
        for place in (reading.at(f"tax_lines[{index}]"),)
    ]
    rates = [tax["rate"] for tax in found["tax_lines"] if tax["rate"] is not None]
    found["tax_rate"] = plain_number(sum(rates, Decimal(0))) if rates else None
    taxed = bool(found["tax"]) or any(tax["price"] for tax in found["tax_lines"])
    found["taxed"] = taxed
    code = next((tax["code"] for tax in found["tax_lines"] if tax["code"]), None)
    found["tax_code"] = settings.tax_codes.get(code or "", settings.tax_codes.get("taxed" if taxed else "exempt", code))
    found["backorder"] = False
    return found


def _says_something(line: Mapping[str, Any]) -> bool:
    """Return whether a shipping line has an amount; connectors send empty ones."""
    return any(line[name] is not None for name in ("price", "sub_total", "tax", "total"))


def _stated_shipping_line(order: Mapping[str, Any], settings: OrderSettings) -> list[dict[str, Any]]:
    """Return one shipping line for what the order says of shipping, where it has no such line."""
    sub_total, tax, total = (order[name] for name in ("shipping_sub_total", "shipping_tax", "shipping_total"))
    if not (sub_total or total):
        return []
    if not sub_total:
        sub_total = total - (tax or 0)
    entry = {"qty": Decimal(1), "sub_total": sub_total, "tax": tax or Decimal(0), "total": sub_total + (tax or 0)}
    return [_read_line(entry, 0, _DocumentReader("shipping"), settings)]


def _fill_amounts(
    order: Mapping[str, Any],
    lines: Sequence[dict[str, Any]],
    shipping: Sequence[dict[str, Any]],
    settings: OrderSettings,
) -> str:
    """Work out the amounts of all lines and write them into these; return what contradicts itself."""
    amounts = work_out_amounts(
        [_stated_amounts(line) for line in lines],
        [_stated_amounts(line) for line in shipping],
        {name: order[name] for name in TOTALS},
        raises_shipping=settings.shipping_item is not None,
        tolerance=settings.tolerance,
    )
    for line, found in zip([*lines, *shipping], [*amounts.lines, *amounts.shipping_lines], strict=True):
        line["unit_price"] = line["price"]
        line["sub_total"], line["tax"], line["total"] = (
            None if amount is None else plain_number(amount) for amount in (found.sub_total, found.tax, found.total)
        )
        line["price_excluding"], line["price_including"] = found.price_excluding, found.price_including
        line["price"] = line["price_including" if settings.prices == "including" else "price_excluding"]
        if line["tax"]:
            line["taxed"] = True
            if not any(tax["code"] for tax in line["tax_lines"]):
                line["tax_code"] = settings.tax_codes.get("taxed", line["tax_code"])
    return amounts.problem


def _stated_amounts(line: Mapping[str, Any]) -> LineAmounts:
    return LineAmounts(
        qty=line["qty"] if line["qty"] is not None else Decimal(1),
        price=line["price"],
        discount=line["total_discount"],
        sub_total=line["sub_total"],
        tax=line["tax"],
        total=line["total"],
        taxes=tuple(Tax(price=tax["price"], rate=tax["rate"]) for tax in line["tax_lines"]),
    )


def _merge_lines(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up lines with the same SKU, price, tax code and rate, in the place of the first one."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        key = (line["sku"], line["price"], line["tax_code"], line["tax_rate"])
        if line["sku"] is None or key not in kept:
            kept[key if line["sku"] is not None else (line["number"],)] = dict(line)
            continue
        for name in ("qty", "total_discount", "sub_total", "tax", "total"):
            if line[name] is not None:
                kept[key][name] = (kept[key][name] or Decimal(0)) + line[name]
    return list(kept.values())


class _DocumentReader:
    """Reads values of a document, and notes those that cannot be used, with their place."""

    def __init__(self, place: str = "", problems: list[str] | None = None) -> None:
        self.place = place
        self.problems: list[str] = [] if problems is None else problems

    def at(self, place: str) -> _DocumentReader:
        return _DocumentReader(f"{self.place}.{place}" if self.place else place, self.problems)

    def _note(self, name: str, what: str) -> None:
        self.problems.append(f"{self.place}.{name} {what}" if self.place else f"{name} {what}")

    def table(self, parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        found = parent.get(name)
        if found is None or isinstance(found, dict):
            return found or {}
        if found != []:  # how PHP writes an empty object
            self._note(name, "is not an object")
        return {}

    def list(self, parent: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
        found = parent.get(name)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            self._note(name, "is not a list of objects")
            return []
        if len(found) > MAX_LINES:
            self._note(name, f"has more than {MAX_LINES:,} entries")
            return []
        return found

    def text(self, parent: Mapping[str, Any], name: str) -> str | None:
        found = parent.get(name)
        if isinstance(found, bool):
            found = "true" if found else "false"
        if isinstance(found, Decimal) and found.is_finite():
            found = format(found, "f")
        if found is not None and not isinstance(found, str):
            self._note(name, "is not text")
            return None
        return _CONTROLS.sub("", found).strip() or None if found else None

    def number(self, parent: Mapping[str, Any], name: str) -> Decimal | None:
        found = parent.get(name)
        if found is None or found == "":
            return None
        if isinstance(found, str) and _NUMBER.fullmatch(found.strip()):
            found = _number(found.strip())
        if not isinstance(found, Decimal):
            self._note(name, "is not a number with a decimal point")
            return None
        exponent = found.as_tuple().exponent
        if not isinstance(exponent, int) or abs(found.adjusted()) > MAX_DIGITS or exponent < -MAX_DIGITS:
            self._note(name, "is a number with too many digits")
            return None
        return found

    def time(self, parent: Mapping[str, Any], name: str, zone: str) -> datetime | None:
        """Return a time, which is UTC in Stock2Shop, as local time of ``zone`` without a zone."""
        found = self.text(parent, name)
        if found is None or found.startswith("0000-00-00"):  # how MySQL writes that there is none
            return None
        try:
            # Python 3.10 reads only three or six digits after the second.
            exact = re.sub(r"\.(\d+)", lambda digits: f".{digits[1]:0<6.6}", found)
            at = datetime.fromisoformat(exact.replace("Z", "+00:00").replace("T", " "))
            if at.tzinfo is None:
                at = at.replace(tzinfo=timezone.utc)
            return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        except (ValueError, OverflowError):
            self._note(name, "is not a time such as 2026-01-31 10:20:30")
            return None


def _number(text: str) -> Decimal:
    """Return a number of the document; NaN where it has more digits than any database column takes.

    Digits beyond the 30th decimal are cut: programs that add floats produce remainders such as 5.551115123125783e-17.
    """
    try:
        found = Decimal(text) if len(text) <= 4 * MAX_DIGITS else Decimal("NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    exponent = found.as_tuple().exponent
    if found and (not isinstance(exponent, int) or found.adjusted() > MAX_DIGITS):
        return Decimal("NaN")
    if isinstance(exponent, int) and exponent < -MAX_DIGITS:
        found = found.quantize(Decimal((0, (1,), -MAX_DIGITS)), context=EXACT)
    return Decimal(format(found, "f")) if found else Decimal(0)


def _no_constant(name: str) -> None:
    raise OrderError(f"The document has {name}, which is not JSON.", status=400)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise OrderError("The document has a key twice in one object: which value holds cannot be known.", status=400)
    return found


def _depth(text: str) -> int:
    """How deep the brackets of a JSON text are nested; those in its texts do not count."""
    deep = deepest = 0
    # A text that is never closed reaches to the end, so that no place is looked at twice.
    for found in re.finditer(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[{]|[\]}]', text, re.DOTALL):
        if found[0] in "[{":
            deep += 1
            deepest = max(deepest, deep)
        elif found[0] in "]}":
            deep -= 1
    return deepest
