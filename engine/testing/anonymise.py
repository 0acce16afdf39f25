"""Replace personal data in rows that become fixtures.

A column counts as personal by its name, by the Stock2Shop field that it feeds, or by the shape of a value (an e-mail
address, a telephone number). A value gets the same replacement wherever it stands in one capture, so that joins and
repeated names survive; a random key decides which, and is thrown away afterwards. A replacement is one that the column
can hold: a number stays a number, JSON keeps its keys, and a truth or a date that is nobody's birthday stays.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.testing.column_types import Form
    from engine.testing.sampling import SampledTable

UNQUOTED_NAME = re.compile(r"[A-Za-z_]\w*")

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")

_PHONE = re.compile(r"(?=(?:\D*\d){9,15}\D*$)(\+\d|\(?0\d+\)?[ -])[\d ()/.-]+")

_PERSONAL_COLUMNS = {
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

_CUSTOMER_COLUMNS = {
    **_PERSONAL_COLUMNS,
    "number": re.compile(r"(?i)vat|tax_?(no|num|ref)|id_?(no|nr|num)|passport|regist|bank|iban|account_?no"),
    "city": re.compile(r"(?i)city|town|suburb|province|region"),
    "zip": re.compile(r"(?i)zip|post(al)?_?code|^post|^p_?code"),
    "person": re.compile(r"(?i)name|contact|attention|company|person|title|note|comment|remark"),
}
"""Names of columns that hold personal data, by its kind. ``_PERSONAL_COLUMNS`` holds for any table, these for a table
that the customers' view reads."""

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
"""The kind of data in Stock2Shop's personal fields; those that are missing here hold names."""

_SEVERAL_WORDS = re.compile(r"(?=.{6,})\S+ .*\S")
"""A name or street of several words, which is replaced in other texts too."""

_FIRST_NAMES = (
    "Anna",
    "Bongani",
    "Chipo",
    "Daan",
    "Elena",
    "Farid",
    "Grace",
    "Hugo",
    "Imani",
    "Jonas",
    "Kefilwe",
    "Lindiwe",
)

_LAST_NAMES = (
    "Adams",
    "Botha",
    "Cele",
    "Dlamini",
    "Evans",
    "Fourie",
    "Govender",
    "Hendricks",
    "Isaacs",
    "Jacobs",
    "Khumalo",
)

_CITIES = ("Ashton", "Bredasdorp", "Cradock", "Dundee", "Elgin", "Franschhoek", "Greytown", "Hartenbos")


def is_personal_column(column: str) -> bool:
    """Whether the name of a column says that its values may be personal, in any table."""
    return any(pattern.search(column) for pattern in _PERSONAL_COLUMNS.values())


def _patterns_of(
    table: SampledTable, column: str, patterns: dict[str, re.Pattern[str]]
) -> Iterable[tuple[str, re.Pattern[str]]]:
    """Those that the name of a column is compared with; what a country or a price list is called is no person's."""
    return (_PERSONAL_COLUMNS if column.lower() in table.plain else patterns).items()


def _is_code(core: str) -> bool:
    """Whether a value is a number or a code such as ``C-1001`` or ``ZA``, and so says nothing of a person by itself."""
    return bool(re.fullmatch(r"(?=.*\d)[^\s@]{1,40}|[A-Z]{1,3}", core)) and not _PHONE.fullmatch(core)


class Anonymiser:
    """Replaces personal values, the same value always by the same replacement.

    >>> anonymise = Anonymiser(b"any key")
    >>> anonymise("Ann@shop.example", "email") == anonymise("ann@shop.example", None)
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._mentions: re.Pattern[str] | None = None

    @staticmethod
    def kinds(table: SampledTable) -> list[str | None]:
        """The kind of personal data in each column of ``table``, None where it holds none."""
        patterns = _CUSTOMER_COLUMNS if table.holds_people else _PERSONAL_COLUMNS
        return [
            next(
                (kind for kind, pattern in _patterns_of(table, column, patterns) if pattern.search(column)),
                table.field_kinds.get(column.lower()),
            )
            for column in table.columns
        ]

    def learn(self, values: Iterable[str | None], kind: str | None, *, joined: bool = False) -> None:
        """Learn the values of a column, before any is replaced.

        Names and streets are replaced where other texts mention them. The values of a column that joins tables are
        replaced one to one everywhere, or stay where they are a code.
        """
        for value in values:
            core = (value or "").strip()
            if joined and core and (kind is not None or _EMAIL.search(core)):
                self._keys[core.lower()] = core if _is_code(core) else self._key_for(core)
            elif kind in {"person", "first", "last", "street"} and _SEVERAL_WORDS.fullmatch(core):
                self._known.setdefault(core.lower(), self._replacement(core, kind))

    def _key_for(self, core: str) -> str:
        """A key in place of ``core`` that no other value gets."""
        digest = hmac.new(self._key, core.lower().encode(), hashlib.sha256).hexdigest()[:12]
        return f"{digest}@example.com" if _EMAIL.fullmatch(core) else f"key {digest}"

    def __call__(self, value: str, kind: str | None, form: Form = "text") -> str:
        """Give ``value``, replaced where its column's ``kind`` or its own shape is personal; its padding stays.

        ``form`` is what the column holds, and what stands in the value's place.
        """
        core = value.strip()
        if not core:
            return value
        if form == "json" or (form == "text" and core[0] + core[-1] in {"{}", "[]"}):
            replaced = self._replace_in_json(value, kind)
            if replaced is not None:
                return replaced
        if form == "moment" and kind == "born":
            return self._replacement(core, kind)
        if form == "number" and kind in {"phone", "zip", "number"}:
            return self._other_number(core)
        if form != "text":
            return value
        if core.lower() in self._keys:
            key = self._keys[core.lower()]
            return key.ljust(len(value)) if value.endswith(" ") else key
        if _EMAIL.search(core):
            kind = "email"
        elif kind is None and _PHONE.fullmatch(core):
            kind = "phone"
        if kind is None:
            return self._replace_mentions(value)
        replacement = self._replacement(core, kind)
        return replacement.ljust(len(value)) if value.endswith(" ") else replacement

    def _replace_in_json(self, value: str, kind: str | None) -> str | None:
        """Replace the texts in JSON, and leave its keys; None where the value is no JSON."""
        try:
            document = json.loads(value)
        except (ValueError, RecursionError):
            return None

        def replaced(part: Any) -> Any:
            if isinstance(part, dict):
                return {key: replaced(each) for key, each in part.items()}
            if isinstance(part, list):
                return [replaced(each) for each in part]
            return self(part, kind) if isinstance(part, str) else part

        found = replaced(document)
        return value if found == document else json.dumps(found, ensure_ascii=False)

    def _other_number(self, core: str) -> str:
        """Another number of no more digits, which its column can hold, too."""
        digest = hmac.new(self._key, core.encode(), hashlib.sha256).digest()
        digits = re.sub(r"\D", "", core)
        other = iter(str(int.from_bytes(digest, "big") % max(int(digits or 0), 1)).zfill(len(digits)))
        return re.sub(r"\d", lambda _: next(other), core)

    def _replace_mentions(self, text: str) -> str:
        """Replace the names in a text that :meth:`learn` has remembered."""
        if not self._known:
            return text
        if self._mentions is None:
            longest = sorted(self._known, key=lambda known: (-len(known), known))
            self._mentions = re.compile(rf"(?i)(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)")
        return self._mentions.sub(lambda found: self._known.get(found[0].lower(), "—"), text)

    def _replacement(self, core: str, kind: str) -> str:
        random_bytes = hmac.new(self._key, f"{kind}:{core.lower()}".encode(), hashlib.sha256).digest()
        first, last = _FIRST_NAMES[random_bytes[0] % len(_FIRST_NAMES)], _LAST_NAMES[random_bytes[1] % len(_LAST_NAMES)]
        number = int.from_bytes(random_bytes[2:5], "big")
        match kind:
            case "email":
                # A malformed address stays malformed, so that a validation rule finds it in the fixtures too.
                address = f"{first}.{last}{number % 10_000}".lower()
                return f"{address}@example.com" if _EMAIL.fullmatch(core) else f"{address} at example"
            case "phone" | "zip" | "number":
                digits = iter(f"{int.from_bytes(random_bytes, 'big'):078d}")
                return re.sub(r"\d", lambda _: next(digits, "0"), core) if re.search(r"\d", core) else "none"
            case "born":
                born = f"{1950 + number % 50}-{random_bytes[5] % 12 + 1:02}-{random_bytes[6] % 28 + 1:02}"
                return born + core[10:] if re.match(r"\d{4}-\d\d-\d\d", core) else self._replacement(core, "number")
            case "first":
                return first
            case "last":
                return last
            case "street":
                return f"{number % 200 + 1} {_LAST_NAMES[random_bytes[6] % len(_LAST_NAMES)]} Street"
            case "city":
                return _CITIES[random_bytes[0] % len(_CITIES)]
            case _:
                return f"{first} {last}"
