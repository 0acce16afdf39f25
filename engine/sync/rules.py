"""The rules that rows are validated by, as data: a severity, the reason in words, and what to do about it.

The conditions are SQL: ``sql/land.sql`` for a row by itself, ``sql/validate.sql`` for rows among others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule. A row that breaks an error is quarantined; a row that breaks a warning is sent, and it is reported."""

    severity: Literal["error", "warning"]
    reason: str
    remedy: str


RULES: dict[str, Rule] = {
    "blank_key": Rule(
        severity="error",
        reason="the code is blank",
        remedy="Give the item a code, or leave such rows out in the view's WHERE.",
    ),
    "blank_field": Rule(
        severity="error",
        reason="a required field is blank",
        remedy="Fill the field in the source, or map another column.",
    ),
    "repeated_key": Rule(
        severity="error",
        reason="more than one row has this code",
        remedy="A join in the view gives several rows an item: join on more columns, or group the rows.",
    ),
    "repeated_sku": Rule(
        severity="error",
        reason="more than one item has this SKU",
        remedy="Give each item its own SKU in the source, or map the item code.",
    ),
    "malformed_prices": Rule(
        severity="error",
        reason="the prices are not one number, nor CSV of tier:price with each tier once and a dot as decimal sign",
        remedy="Build the column with the price_tiers macro, or fix the price in the source.",
    ),
    "negative_price": Rule(
        severity="error",
        reason="the number is negative",
        remedy="Fix it in the source; nothing is sold for less than nothing.",
    ),
    "not_a_number": Rule(
        severity="error",
        reason="this is not a number that fits, with a dot as decimal sign",
        remedy="Cast the column to a decimal in the view, or fix the value in the source.",
    ),
    "not_a_boolean": Rule(
        severity="error",
        reason="this is neither true nor false",
        remedy="Map the column to 1 and 0 in the view.",
    ),
    "malformed_email": Rule(
        severity="error",
        reason="this is not one e-mail address",
        remedy="Fix it in the source; where several addresses stand in it, map the first.",
    ),
    "unknown_flag": Rule(
        severity="error",
        reason="this word is not in the project's active vocabulary",
        remedy="Add the word under `active` in project.toml, or fix the value in the source.",
    ),
    "options_missing": Rule(
        severity="error",
        reason="some variants of the product have this option and some have not",
        remedy="Give every variant of the product a value for the option, or none.",
    ),
    "repeated_options": Rule(
        severity="error",
        reason="two variants of the product have the same combination of options",
        remedy="Give each variant its own combination, or its own product code.",
    ),
    "cannot_be_cleared": Rule(
        severity="error",
        reason="Stock2Shop was sent a value and may still have it, and a blank cannot be sent for this field",
        remedy="Give the field a value in the source, such as 0 for a price, or flag the row Delete."
        " Where Stock2Shop does not have the item: `s2s verify --repair`.",
    ),
    "refused": Rule(
        severity="error",
        reason="Stock2Shop refused it",
        remedy="Fix the row, or send it again with `s2s quarantine retry`.",
    ),
    "differs_within_product": Rule(
        severity="warning",
        reason="the product's variants differ in a field of the product; the lowest variant code's value is sent",
        remedy="Give all variants of the product the same value.",
    ),
    "similar_key": Rule(
        severity="warning",
        reason="another code differs from this one only by case, blanks or the way its letters are written",
        remedy="The source may take both for one item: rename one of them.",
    ),
    "similar_value": Rule(
        severity="warning",
        reason="two values that must differ do so only by case, blanks or the way their letters are written",
        remedy="A shop may take both for one: give them one spelling, or values that differ.",
    ),
    "repeated_price": Rule(
        severity="warning",
        reason="csv_price_tiers has a price that a column of its own gives too; the column's is sent",
        remedy="Give each price in one of the two.",
    ),
    "repeated_title": Rule(
        severity="warning",
        reason="another product has this title",
        remedy="Magento 2 makes a page's address of it, and blocks the second: give each product its own title.",
    ),
    "repeated_barcode": Rule(
        severity="warning",
        reason="more than one item has this barcode",
        remedy="Give each item its own barcode.",
    ),
    "repeated_email": Rule(
        severity="warning",
        reason="more than one customer has this e-mail address, in whatever case",
        remedy="Stock2Shop may take them for one user of the trade store: give each its own.",
    ),
    "negative_quantity": Rule(
        severity="warning",
        reason="the quantity is negative and is sent as 0",
        remedy="Nothing, where more is sold than there is; else fix the stock.",
    ),
    "large_quantity": Rule(
        severity="warning",
        reason="the number is larger than 4,294,967,295, the largest that 32 bits hold",
        remedy="Stock2Shop may not keep it as it is: send what is realistic, such as 9999 for a service.",
    ),
    "blank_quantity": Rule(
        severity="warning",
        reason="the quantity is blank and is sent as 0",
        remedy="Nothing, where a blank means none; else give the item a quantity, or leave it out in the view's WHERE.",
    ),
    "fractional_quantity": Rule(
        severity="warning",
        reason="the number has a fraction and is sent rounded down",
        remedy="Nothing, where goods are sold by weight or length; else round it in the view.",
    ),
    "control_characters": Rule(
        severity="warning",
        reason="the value has control characters or others that cannot be seen, which are not sent",
        remedy="Remove them in the source, or in the view.",
    ),
}

ERRORS = tuple(name for name, rule in RULES.items() if rule.severity == "error")
