"""Work out what the lines of an order cost, from whatever a document says of it. Pure.

Documents say amounts in several places and in several ways: a price with or without tax, a discount of a line, of a
unit or in the price already, taxes as amounts, rates or prices with tax, totals of lines, of shipping and of the order.
:func:`work_out_amounts` does this:

1. A line's own sub-total, tax and total count before its price. What they leave open is calculated.
2. What is left open is calculated under each of :data:`READINGS` in turn, the same for all lines of an order.
3. The first reading that agrees with everything that the order says of its totals holds. Where none does, the
   document contradicts itself, and both numbers are reported.

Rounding: a tax that is calculated from a rate is rounded to cents, half up, and a price that is calculated from a total
to six decimals, half up. Sums are exact. Totals may differ by the project's tolerance, and a cent more for each line.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ZERO = Decimal(0)

CENT = Decimal("0.01")

EXACT = Context(prec=100)
"""Decimal arithmetic that rounds no number of a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """One tax of a line: its amount, or whatever its price is, and its rate in per cent; None where it is not said."""

    price: Decimal | None = None
    rate: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAmounts:
    """What a line says of its amounts, and after :func:`work_out_amounts` what they are; None where it is unknown."""

    qty: Decimal
    price: Decimal | None = None
    discount: Decimal | None = None
    sub_total: Decimal | None = None
    tax: Decimal | None = None
    total: Decimal | None = None
    taxes: tuple[Tax, ...] = ()

    @property
    def price_excluding(self) -> Decimal | None:
        """The price of one without tax."""
        return None if self.sub_total is None else round_price(EXACT.divide(self.sub_total, self.qty or Decimal(1)))

    @property
    def price_including(self) -> Decimal | None:
        """The price of one with tax."""
        return None if self.total is None else round_price(EXACT.divide(self.total, self.qty or Decimal(1)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A way to read a line's price and discount."""

    price_includes_tax: bool
    discount: Literal["of the line", "in the price", "of a unit"]


READINGS = tuple(
    Reading(price_includes_tax=includes, discount=discount)
    for includes in (False, True)
    for discount in ("of the line", "in the price", "of a unit")
)
"""The ways to read prices and discounts, the usual one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What an order costs: its lines, its shipping lines, and in ``problem`` what contradicts itself, if anything."""

    lines: tuple[LineAmounts, ...]
    shipping_lines: tuple[LineAmounts, ...]
    problem: str = ""


def work_out_amounts(
    lines: Sequence[LineAmounts],
    shipping_lines: Sequence[LineAmounts],
    stated: Mapping[str, Decimal | None],
    *,
    raises_shipping: bool,
    tolerance: Decimal,
) -> Amounts:
    """Work out the amounts of all lines, such that they agree with what the order says.

    ``stated`` are the order's own totals by their names in the document. With ``raises_shipping`` the shipping lines
    are raised and must add up with the rest; else any of the document's sayings about shipping will do.
    """
    allowed = tolerance + CENT * (len(lines) + len(shipping_lines))
    first: Amounts | None = None
    for reading in READINGS:
        found = _read_lines(lines, shipping_lines, reading)
        if not found.problem:
            found = _reconcile(found, stated, raises_shipping=raises_shipping, allowed=allowed)
        if not found.problem:
            return found
        first = first or found
    return first or Amounts(lines=(), shipping_lines=())


def round_price(price: Decimal) -> Decimal:
    """Round a price to six decimals, half up, and drop the zeros at its end; never with an exponent."""
    return plain_number(price.quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP, context=EXACT))


def plain_number(number: Decimal) -> Decimal:
    """Return a number without zeros at the end of its decimals, which a text shows without an exponent."""
    short = number.normalize(EXACT)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1), context=EXACT) if isinstance(exponent, int) and exponent > 0 else short


def _read_lines(lines: Sequence[LineAmounts], shipping_lines: Sequence[LineAmounts], reading: Reading) -> Amounts:
    """Work out each line by itself, under one reading; ``problem`` names the first that contradicts itself."""
    found: list[LineAmounts] = []
    problems: list[str] = []
    for number, line in enumerate([*lines, *shipping_lines], 1):
        amounts, problem = _read_line(line, reading)
        found.append(amounts)
        if problem:
            shipping = number > len(lines)
            name = f"shipping line {number - len(lines)}" if shipping else f"line {number}"
            problems.append(f"{name}: {problem}")
    return Amounts(
        lines=tuple(found[: len(lines)]),
        shipping_lines=tuple(found[len(lines) :]),
        problem=problems[0] if problems else "",
    )


def _read_line(line: LineAmounts, reading: Reading) -> tuple[LineAmounts, str]:
    """Return a line with all of its amounts that can be known, and what contradicts itself in it."""
    base = _base(line, reading)
    # Zeros beside a price are how some documents leave a total out.
    sub_total: Decimal | None
    total: Decimal | None
    unsaid = bool(base) and not line.sub_total and not line.total
    sub_total = None if unsaid else line.sub_total
    total = None if unsaid else line.total
    if sub_total is not None and total is not None:
        own_tax = total - sub_total if line.tax is None else line.tax
        # Or a sub-total with its tax in it.
        if _near(sub_total + own_tax, total) or _near(sub_total, total):
            return replace(line, sub_total=total - own_tax, tax=own_tax, total=total), ""
        return line, f"{_show(sub_total)} and a tax of {_show(own_tax)} are not {_show(total)}"
    if sub_total is None and total is None:
        if base is None:
            return line, ""
        sub_total, total = (None, base) if reading.price_includes_tax else (base, None)
    tax, problem = _tax(line, sub_total=sub_total, total=total)
    if tax is None and total is not None and base is not None and not reading.price_includes_tax and total >= base:
        tax = total - base
    if sub_total is None and total is not None and tax is not None:
        sub_total = total - tax
    if total is None and sub_total is not None and tax is not None:
        total = sub_total + tax
    return replace(line, sub_total=sub_total, tax=tax, total=total), problem


def _base(line: LineAmounts, reading: Reading) -> Decimal | None:
    """Return price times quantity less the discount, as ``reading`` has it."""
    if line.price is None:
        return None
    discount = line.discount or ZERO
    if reading.discount == "in the price":
        discount = ZERO
    elif reading.discount == "of a unit":
        discount = EXACT.multiply(discount, line.qty)
    return EXACT.multiply(line.price, line.qty) - discount


def _tax(line: LineAmounts, *, sub_total: Decimal | None, total: Decimal | None) -> tuple[Decimal | None, str]:
    """Return the tax of a line, of which either the sub-total or the total is known; None where nothing is said."""
    if line.tax is not None:
        return line.tax, ""
    if not any(tax.price is not None or tax.rate is not None for tax in line.taxes):
        return None, ""
    rates = sum((_percent(tax.rate) for tax in line.taxes), ZERO)
    whole = ZERO
    for tax in line.taxes:
        if tax.rate is None:
            whole += tax.price or ZERO
            continue
        rate = _percent(tax.rate)
        if sub_total is not None:
            exact = EXACT.divide(EXACT.multiply(sub_total, rate), Decimal(100))
        else:
            exact = EXACT.divide(EXACT.multiply(total or ZERO, rate), Decimal(100) + rates)
        expected = exact.quantize(CENT, rounding=ROUND_HALF_UP, context=EXACT)
        amount = _tax_amount(tax, line, rate=rate, expected=expected)
        if amount is None:
            base = _show(sub_total if sub_total is not None else (total or ZERO) - expected)
            return None, f"a tax of {_show(rate)} % on {base} is {_show(expected)}, not {_show(tax.price or ZERO)}"
        whole += amount
    return whole, ""


def _tax_amount(tax: Tax, line: LineAmounts, *, rate: Decimal, expected: Decimal) -> Decimal | None:
    """Return the amount of one tax, of which ``price`` may be any of several things; None where it is none of them."""
    if tax.price is None:
        return expected
    if _near(tax.price, expected, cents=line.qty) or tax.price == 0:
        return tax.price
    of_all = EXACT.multiply(tax.price, line.qty)
    if _near(of_all, expected, cents=line.qty):
        return of_all
    # Connectors were seen to write the price with tax there, before or after a discount.
    factor = 1 + EXACT.divide(rate, Decimal(100))
    discount = line.discount or ZERO
    for price in (line.price or ZERO, (line.price or ZERO) + discount, (line.price or ZERO) - discount):
        gross = EXACT.multiply(price, factor)
        if _near(tax.price, gross, cents=line.qty) or _near(tax.price, EXACT.multiply(gross, line.qty), cents=line.qty):
            return expected
    return None


def _percent(rate: Decimal | None) -> Decimal:
    """Return a rate in per cent; one below 1 is a fraction, as some channels write it."""
    if rate is None:
        return ZERO
    return rate * 100 if 0 < rate < 1 else rate


def _reconcile(
    found: Amounts, stated: Mapping[str, Decimal | None], *, raises_shipping: bool, allowed: Decimal
) -> Amounts:
    """Compare the lines with the order's own totals; ``problem`` says what differs."""
    shipping = [_shipping_total(found.shipping_lines)] if found.shipping_lines else []
    if not (raises_shipping and shipping):
        shipping += [*_stated_shipping(stated), ZERO]
    total = stated.get("total")
    known = all(line.tax is not None for line in found.lines)
    complete = all(line.sub_total is not None or line.total is not None for line in found.lines)
    whole = sum((_either(line) for line in found.lines), ZERO)
    # The tax that no line says may be what the lines leave of the order's own; it is none where they leave nothing.
    left = [] if known else [tax for tax in _taxes_left(found, stated) if tax >= -allowed]
    if total is None or not complete:
        problem = "" if total is None else "a line says neither price nor total"
        return replace(_resolve_taxes(found, left, allowed=allowed), problem=problem)
    missing = left if any(line.total is None for line in found.lines) else []
    for tax in missing or [ZERO]:
        if any(abs(whole + tax + ship - total) <= allowed for ship in shipping):
            left = [tax] if missing else left
            break
    else:
        return replace(found, problem=_difference(whole + shipping[0], total, stated))
    resolved = _resolve_taxes(found, left, allowed=allowed)
    return replace(resolved, problem=_other_problems(resolved, stated, allowed=allowed))


def _resolve_taxes(found: Amounts, left: Sequence[Decimal], *, allowed: Decimal) -> Amounts:
    """Return the lines with no tax where they say none, unless the likeliest of what is ``left`` for them is a tax."""
    return found if left and abs(left[0]) > allowed else _without_unknown_tax(found)


def _without_unknown_tax(found: Amounts) -> Amounts:
    """Return the lines with no tax where they say none and the totals leave room for none."""

    def resolve(line: LineAmounts) -> LineAmounts:
        if line.tax is not None or (line.sub_total is None and line.total is None):
            return line
        amount = _either(line)
        return replace(line, sub_total=amount, tax=ZERO, total=amount)

    return replace(
        found,
        lines=tuple(resolve(line) for line in found.lines),
        shipping_lines=tuple(resolve(line) for line in found.shipping_lines),
    )


def _either(line: LineAmounts) -> Decimal:
    """Return a line's total, else its sub-total."""
    return line.total if line.total is not None else line.sub_total or ZERO


def _shipping_total(lines: Sequence[LineAmounts]) -> Decimal:
    return sum((_either(line) for line in lines), ZERO)


def _stated_shipping(stated: Mapping[str, Decimal | None]) -> Iterator[Decimal]:
    """Yield what shipping may cost with tax, by the order's own totals; a zero beside another number is unsaid."""
    names = ("shipping_sub_total", "shipping_tax", "shipping_total")
    sub_total, tax, total = (stated.get(name) or ZERO for name in names)
    if sub_total:
        yield sub_total + tax
    if total:
        yield from (total, total + tax)
    if sub_total:
        yield sub_total
    if tax:
        yield tax


def _taxes_left(found: Amounts, stated: Mapping[str, Decimal | None]) -> Iterator[Decimal]:
    """Yield what the lines that say no tax may have of it, by the order's own totals, the likeliest first.

    Stock2Shop's ``tax`` has shipping's in it.
    """
    told = sum((line.tax or ZERO for line in found.lines), ZERO)
    if tax := stated.get("line_item_tax"):
        yield tax - told
    elif tax := stated.get("tax"):
        of_shipping = sum((line.tax or ZERO for line in found.shipping_lines), ZERO)
        yield from (tax - told - each for each in (of_shipping, stated.get("shipping_tax") or ZERO, ZERO))


def _other_problems(found: Amounts, stated: Mapping[str, Decimal | None], *, allowed: Decimal) -> str:
    """Return where the order's sub-total or tax fits no reading of the lines; zeros are unsaid."""
    sub_totals = sum((line.sub_total or ZERO for line in found.lines), ZERO)
    taxes = sum((line.tax or ZERO for line in found.lines), ZERO)
    whole = sum((_either(line) for line in found.lines), ZERO)
    shipping = _shipping_total(found.shipping_lines)
    shipping_tax = sum((line.tax or ZERO for line in found.shipping_lines), ZERO)
    discounts = sum((line.discount or ZERO for line in found.lines), ZERO)
    shippings = {ZERO, shipping, shipping - shipping_tax, *_stated_shipping(stated)}
    tax = stated.get("tax")
    if tax and all(line.tax is not None for line in found.lines):
        of_shipping = {ZERO, shipping_tax, stated.get("shipping_tax") or ZERO}
        if all(abs(taxes + each - tax) > allowed for each in of_shipping):
            return f"a tax of {_show(taxes)} on the lines, {_show(tax)} in all"
    sub_total = stated.get("sub_total")
    if sub_total and all(line.sub_total is not None for line in found.lines):
        lines = {sub_totals, whole, sub_totals + discounts, whole + discounts}
        if all(abs(each + ship - sub_total) > allowed for each in lines for ship in shippings):
            return f"{_show(sub_totals)} on the lines without tax, a sub-total of {_show(sub_total)}"
    return ""


def _difference(found: Decimal, total: Decimal, stated: Mapping[str, Decimal | None]) -> str:
    discount = stated.get("total_discount")
    note = ""
    if discount and abs(found - discount - total) <= CENT:
        note = f"; the order's discount of {_show(discount)} is not on its lines"
    return f"{_show(found)} on the lines and for shipping, {_show(total)} in all{note}"


def _near(one: Decimal, other: Decimal, *, cents: Decimal = Decimal(1)) -> bool:
    """Return whether two amounts differ by no more than rounding: a cent, or one for each unit."""
    return abs(one - other) <= CENT * max(Decimal(1), abs(cents))


def _show(number: Decimal) -> str:
    return format(plain_number(number), "f")
