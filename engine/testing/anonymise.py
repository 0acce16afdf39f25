"""anonymise."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.testing.sampling import SampledTable

PLAIN_NAME = re.compile(r"[A-Za-z_]\w*")

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")

_PHONE = re.compile(r"(?=(?:\D*\d){9,15}\D*$)(\+\d|\(?0\d+\)?[ -])[\d ()/.-]+")

_ANYWHERE = {
    "email": re.compile(r"(?i)e_?mail"),
    "phone": re.compile(r"(?i)phone|mobile|\btel|_tel|^tel|cell(?!a)|fax"),
    "first": re.compile(r"(?i)first_?name|forename|given_?name|initials"),
    "last": re.compile(r"(?i)last_?name|surname"),
    "born": re.compile(r"(?i)birth|(^|_)dob(_|$)"),
    "person": re.compile(
        r"(?i)contact|attention|salesperson|(full|buyer|owner|manager|employee|rep|user|driver)_?name"
    ),
    "street": re.compile(r"(?i)address|addr|street"),
}

_OF_PEOPLE = {
    **_ANYWHERE,
    "number": re.compile(r"(?i)vat|tax_?(no|num|ref)|id_?(no|nr|num)|passport|regist|bank|iban|account_?no"),
    "city": re.compile(r"(?i)city|town|suburb|province|region"),
    "zip": re.compile(r"(?i)zip|post(al)?_?code|^post|^p_?code"),
    "person": re.compile(r"(?i)name|contact|attention|company|person|title|note|comment|remark"),
}
"""What a column is called that holds something about a person: in any table, and in a table that feeds customers."""

FIELD_KINDS = {
    "first_name": "first",
    "last_name": "last",
    "email": "email",
    "phone": "phone",
    "zip": "zip",
    "address1": "street",
    "address2": "street",
    "city": "city",
    "province": "city",
}
"""What the fields of Stock2Shop that are about a person hold; the others hold names."""

_WHOLE = re.compile(r"(?=.{6,})\S+ .*\S")
"""A name or a street of several words, which is known again where it is mentioned."""

_FIRST = ("Anna", "Bongani", "Chipo", "Daan", "Elena", "Farid", "Grace", "Hugo", "Imani", "Jonas", "Kefilwe", "Lindiwe")

_LAST = ("Adams", "Botha", "Cele", "Dlamini", "Evans", "Fourie", "Govender", "Hendricks", "Isaacs", "Jacobs", "Khumalo")

_CITIES = ("Ashton", "Bredasdorp", "Cradock", "Dundee", "Elgin", "Franschhoek", "Greytown", "Hartenbos")


def about_a_person(column: str) -> bool:
    """Whether a column of any table is called so that its values may be about a person."""
    return any(pattern.search(column) for pattern in _ANYWHERE.values())


class Anonymiser:
    """Replaces what is about a person, the same value always by the same."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        self._mentions: re.Pattern[str] | None = None

    @staticmethod
    def kinds(table: SampledTable) -> list[str | None]:
        """What the columns hold about a person, by their names, and by the fields that they feed."""
        patterns = _OF_PEOPLE if table.people else _ANYWHERE
        return [
            next((kind for kind, pattern in patterns.items() if pattern.search(column)), table.fed.get(column.lower()))
            for column in table.columns
        ]

    def learn(self, values: Iterable[str | None], kind: str | None) -> None:
        """Know whole names and streets again where they are mentioned."""
        if kind in {"person", "first", "last", "street"}:
            for value in values:
                core = (value or "").strip()
                if _WHOLE.fullmatch(core):
                    self._known.setdefault(core.lower(), self._made(core, kind))

    def __call__(self, value: str, kind: str | None) -> str:
        """``value``, replaced where its column or its shape says that it is about a person; padding stays."""
        core = value.strip()
        if not core:
            return value
        if _EMAIL.search(core):
            kind = "email"
        elif kind is None and _PHONE.fullmatch(core):
            kind = "phone"
        if kind is None:
            return self._told(value)
        made = self._made(core, kind)
        return made.ljust(len(value)) if value.endswith(" ") else made

    def _told(self, text: str) -> str:
        """A text with the names in it that were replaced elsewhere replaced too."""
        if not self._known:
            return text
        if self._mentions is None:
            longest = sorted(self._known, key=lambda known: (-len(known), known))
            self._mentions = re.compile(rf"(?i)(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)")
        return self._mentions.sub(lambda found: self._known.get(found[0].lower(), "—"), text)

    def _made(self, core: str, kind: str) -> str:
        drawn = hmac.new(self._key, f"{kind}:{core.lower()}".encode(), hashlib.sha256).digest()
        first, last = _FIRST[drawn[0] % len(_FIRST)], _LAST[drawn[1] % len(_LAST)]
        number = int.from_bytes(drawn[2:5], "big")
        match kind:
            case "email":
                # One that is malformed stays so: a rule is to catch it.
                address = f"{first}.{last}{number % 10_000}".lower()
                return f"{address}@example.com" if _EMAIL.fullmatch(core) else f"{address} at example"
            case "phone" | "zip" | "number":
                digits = iter(f"{int.from_bytes(drawn, 'big'):078d}")
                return re.sub(r"\d", lambda _: next(digits, "0"), core) if re.search(r"\d", core) else "none"
            case "born":
                born = f"{1950 + number % 50}-{drawn[5] % 12 + 1:02}-{drawn[6] % 28 + 1:02}"
                return born + core[10:] if re.match(r"\d{4}-\d\d-\d\d", core) else self._made(core, "number")
            case "first":
                return first
            case "last":
                return last
            case "street":
                return f"{number % 200 + 1} {_LAST[drawn[6] % len(_LAST)]} Street"
            case "city":
                return _CITIES[drawn[0] % len(_CITIES)]
            case _:
                return f"{first} {last}"
