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
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from engine.errors import OrderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.settings import OrderSettings

MAX_DEPTH = 32
"""How deep a document may be nested; Stock2Shop's own is nested four deep."""

MAX_DIGITS = 30
"""How many digits a number may have before, and after, its decimal point."""

WIDE_CONTEXT = Context(prec=3 * MAX_DIGITS)
"""Decimal arithmetic that rounds no number of a document."""

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

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order as the statements see it: each part maps names to plain values; a blank value is None.

    ``shipping`` is what shipping costs with tax, whether it is raised or not. ``reason`` says which values cannot be
    used, where there are any: the order waits then.
    """

    id: int
    order: Mapping[str, Any]
    customer: Mapping[str, Any]
    lines: Sequence[dict[str, Any]]
    shipping_lines: Sequence[dict[str, Any]]
    shipping: Decimal = Decimal(0)
    reason: str = ""


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


def order_id_of(document: Mapping[str, Any]) -> int:
    """Stock2Shop's id of the order. Raises :class:`OrderError` where there is none."""
    found = document.get("id")
    if isinstance(found, str) and re.fullmatch(r"[1-9][0-9]{0,17}(\.0+)?", found):
        return int(found.partition(".")[0])
    if isinstance(found, Decimal) and found == found.to_integral_value() and 0 < found < 10**18:
        return int(found)
    raise OrderError("The order has no id: a whole number above 0 is needed.", hint="Orders are told apart by it.")


def read_order(document: Mapping[str, Any], settings: OrderSettings, *, source_id: int) -> Order:
    """Make plain values of a document, with what the project says about its channel.

    ``source_id`` is the project's source: the document says which customer it is there. Never raises for a value that
    cannot be used: :attr:`Order.reason` says so.
    """
    reading = _DocumentReader()
    order = _order(document, reading, settings)
    customer = _customer(document, reading)
    known = _source_customer_code(document, source_id, reading) or customer["code"]
    customer["code"] = known or order.pop("channel_customer", None) or settings.default_customer
    customer["default"] = known is None
    order.pop("channel_customer", None)
    lines = [
        _line(entry, number, reading.at(f"line_items[{number}]"), settings)
        for number, entry in enumerate(reading.list(document, "line_items"))
    ]
    shipping = [
        {**_line(entry, number, reading.at(f"shipping_lines[{number}]"), settings), "sku": settings.shipping_item}
        for number, entry in enumerate(reading.list(document, "shipping_lines"))
    ]
    order["customer_code"] = customer["code"]
    return Order(
        id=order_id_of(document),
        order=order,
        customer=customer,
        lines=_merged(lines) if settings.repeated_skus == "merge" else lines,
        shipping_lines=shipping if settings.shipping_item else [],
        shipping=_shipping(order, shipping),
        reason="; ".join(reading.problems[:5]),
    )


def _order(document: Mapping[str, Any], reading: _DocumentReader, settings: OrderSettings) -> dict[str, Any]:
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
    for name in (
        "line_item_sub_total",
        "line_item_tax",
        "shipping_sub_total",
        "shipping_tax",
        "sub_total",
        "tax",
        "total",
        "total_discount",
    ):  # fmt: skip - as an order is written
        found[name] = reading.number(document, name)
    for name in ("billing_address", "shipping_address"):
        place = reading.at(name)
        address = reading.table(document, name)
        found[name] = {part: place.text(address, part) for part in ADDRESS_FIELDS}
    for name in ("warehouse", "sales_rep", "document_type"):
        found[name] = own.get(name) or getattr(settings, name)
    return found


def _customer(document: Mapping[str, Any], reading: _DocumentReader) -> dict[str, Any]:
    table, place = reading.table(document, "customer"), reading.at("customer")
    names = ("email", "first_name", "last_name", "channel_customer_code")
    return {"code": place.text(table, "source_customer_code"), **{name: place.text(table, name) for name in names}}


def _source_customer_code(document: Mapping[str, Any], source_id: int, reading: _DocumentReader) -> str | None:
    """Return the customer's code in this source, where Stock2Shop knows it."""
    for number, entry in enumerate(reading.list(document, "sources")):
        if str(entry.get("source_id")) == str(source_id):
            return reading.at(f"sources[{number}]").text(entry, "source_customer_code")
    return None


def _line(entry: Mapping[str, Any], number: int, reading: _DocumentReader, settings: OrderSettings) -> dict[str, Any]:
    found: dict[str, Any] = {"number": number + 1}
    for name in ("sku", "source_variant_code", "source_id", "title", "barcode"):
        found[name] = reading.text(entry, name)
    for name in ("grams", "qty", "price", "total_discount", "sub_total", "tax", "total"):
        found[name] = reading.number(entry, name)
    found["qty"] = Decimal(1) if found["qty"] is None and "qty" not in entry else found["qty"]
    taxes = [tax for tax in reading.list(entry, "tax_lines") if isinstance(tax, dict)]
    code = reading.at("tax_lines[0]").text(taxes[0], "code") if taxes else None
    found["tax_rate"] = reading.at("tax_lines[0]").number(taxes[0], "rate") if taxes else None
    taxed = bool(found["tax"]) or any(reading.number(tax, "price") for tax in taxes)
    found["taxed"] = taxed
    found["tax_code"] = settings.tax_codes.get(code or "", settings.tax_codes.get("taxed" if taxed else "exempt", code))
    quantity, price = found["qty"] or Decimal(1), found["price"]
    including = excluding = price
    if found["sub_total"] is not None:
        excluding = _rounded(WIDE_CONTEXT.divide(found["sub_total"], quantity))
    if found["total"] is not None:
        including = _rounded(WIDE_CONTEXT.divide(found["total"], quantity))
    elif excluding is not None and found["tax"] is not None:
        including = _rounded(excluding + WIDE_CONTEXT.divide(found["tax"], quantity))
    found["price_excluding"], found["price_including"] = excluding, including
    found["price"] = including if settings.prices == "including" else excluding
    found["backorder"] = False
    return found


def _shipping(order: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> Decimal:
    """Return what shipping costs with tax: by the order's own totals, else by its shipping lines."""
    parts = [part for part in (order["shipping_sub_total"], order["shipping_tax"]) if part is not None]
    return sum(parts or [total for line in lines if (total := line_total(line)) is not None], Decimal(0))


def line_total(line: Mapping[str, Any]) -> Decimal | None:
    """Return what a line costs with tax: its total, else sub-total and tax; None where it has neither."""
    if line["total"] is not None or line["sub_total"] is None or line["tax"] is None:
        total: Decimal | None = line["total"]
        return total
    return WIDE_CONTEXT.add(line["sub_total"], line["tax"])


def _merged(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add up lines with the same SKU, price and tax code, in the place of the first one."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in lines:
        key = (line["sku"], line["price"], line["tax_code"])
        if line["sku"] is None or key not in kept:
            kept[key if line["sku"] is not None else (line["number"],)] = dict(line)
            continue
        for name in ("qty", "total_discount", "sub_total", "tax", "total"):
            if line[name] is not None:
                kept[key][name] = (kept[key][name] or Decimal(0)) + line[name]
    return list(kept.values())


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(Decimal("0.000001"), context=WIDE_CONTEXT).normalize(WIDE_CONTEXT)


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
        found = found.quantize(Decimal((0, (1,), -MAX_DIGITS)), context=WIDE_CONTEXT)
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
