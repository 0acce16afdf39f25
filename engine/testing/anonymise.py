"""Replace personal data in rows that become fixtures.

A column counts as personal by its name, by the Stock2Shop field that it feeds, or by the shape of a value (an e-mail
address, a telephone number). Values are replaced one to one in one capture, so that joins, groups and repeated names
survive: two that differ only in case, accents or blanks at their ends still differ in just that, so that they are as
equal by a collation as they were. A random key decides which, and is thrown away afterwards. A replacement is one that
the column can hold: no longer than its length, a number of as many digits, JSON keeps its keys, and a truth or a date
that is nobody's birthday stays. What the view compares a value with, such as ``name <> 'Cash sale'``, stays in it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import string
import unicodedata
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.testing.column_types import Form
    from engine.testing.sampling import SampledTable

UNQUOTED_NAME = re.compile(r"[A-Za-z_]\w*")

_EMAIL = re.compile(r"(?<!\S)(?=\S*[^\s@]@[^\s@]+\.[^\s@])\S+")
"""What may be an address, or several of them without blanks, as ``ann@shop.example;ben@shop.example``.

It begins behind a blank: to search from each letter of a long text would take minutes.
"""

_ADDRESS = re.compile(r"(?<![\w%+-])[\w%+-]+(\.[\w%+-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
"""An address that no rule objects to. It stands among other letters, too, as in ``<mailto:ann@shop.example>``."""

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


_SYLLABLES = tuple(first + second for first in "bdfghjklmnprstvz" for second in "aeiou")

_RANDOM_ATTEMPTS = 40
"""How often a replacement of another kind is tried before one that keeps a value's shape."""

_SHAPED_ATTEMPTS = 200
"""How often one that keeps a value's shape is tried before a longer one."""

_NUMBER = re.compile(r"-?[1-9]\d*(\.0*)?", re.ASCII)

_LARGEST = {10: 2**31 - 1, 19: 2**63 - 1}
"""The largest number that a column has, by the digits of the widest that it can have."""

_TELLING_DIGITS = 4
"""A whole number of fewer digits tells nobody apart: it is a percentage, a rank or a number of days."""


def fold(text: str) -> str:
    """A text in the form in which it equals whatever any collation takes for equal: without case, accents and blanks.

    >>> fold(" Zoë "), fold("ZOE")
    ('zoe', 'zoe')
    """
    parts = unicodedata.normalize("NFKD", text.strip())
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).casefold()


@dataclass(slots=True)
class _Value:
    """What is known of a value and those that are equal to it in some collation.

    ``kind`` is that of the first column that holds it, ``limit`` the length of the shortest, ``compared`` are the
    folded texts that the views compare it with, and ``replacements`` what each way of writing it becomes.
    """

    kind: str | None = None
    limit: int | None = None
    compared: set[str] = field(default_factory=set)
    replacements: dict[str, str] = field(default_factory=dict)


class Anonymiser:
    """Replaces personal values one to one, the same value always by the same replacement.

    >>> anonymise = Anonymiser(b"any key")
    >>> anonymise("Ann@shop.example", "email").lower() == anonymise("ann@shop.example", None)
    True
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._values: dict[str, _Value] = {}
        self._kept: set[str] = set()
        self._everywhere: set[str] = set()
        self._mentioned: set[str] = set()
        self._taken: set[str] = set()
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

    def learn(
        self,
        values: Iterable[str | None],
        kind: str | None,
        *,
        joined: bool = False,
        people: bool = False,
        limit: int | None = None,
        compared: Iterable[str] = (),
    ) -> None:
        """Learn the values of a column, before any is replaced.

        Names and streets are replaced where other texts mention them. The values of a column that joins tables are
        replaced everywhere, or stay everywhere where they are a code. ``people`` says that the customers' view reads
        the table: elsewhere a key that looks like a telephone number is an item's code. ``limit`` is the length of the
        column, and ``compared`` are the texts that views compare it with.
        """
        texts = {folded for text in compared if (folded := fold(text))}
        for value in values:
            core = (value or "").strip()
            folded = fold(core)
            if not folded:
                continue
            if joined and (kind is not None or _EMAIL.search(core)):
                (self._kept if _is_code(core) else self._everywhere).add(folded)
            elif joined and _PHONE.fullmatch(core):
                (self._everywhere if people else self._kept).add(folded)
            elif kind in {"person", "first", "last", "street"} and _SEVERAL_WORDS.fullmatch(core):
                self._mentioned.add(folded)
            elif kind is None and not texts:
                continue
            known = self._values.setdefault(folded, _Value())
            known.kind = known.kind or kind
            known.compared |= texts
            if limit is not None:
                known.limit = min(limit, known.limit or limit)

    def __call__(self, value: str, kind: str | None, form: Form = "text") -> str:
        """Give ``value``, replaced where its column's ``kind`` or its own shape is personal; blanks around it stay.

        ``form`` is what the column holds, and what stands in the value's place.
        """
        core = value.strip()
        if not core:
            return value
        if form == "json" or (form == "text" and core[0] + core[-1] in {"{}", "[]"}):
            replaced = self._replace_in_json(value, kind)
            if replaced is not None:
                return replaced
        folded = fold(core)
        if folded in self._kept and folded not in self._everywhere:
            return value
        if form == "moment" and kind == "born":
            return self._birthday(core)
        if form == "number" and kind in {"phone", "zip", "number"}:
            whole, _, decimals = core.lstrip("-").partition(".")
            return value if len(whole) < _TELLING_DIGITS or decimals.strip("0") else self._replace(core, folded, kind)
        if form != "text":
            return value
        if folded not in self._everywhere and kind is None:
            if not _PHONE.fullmatch(core):
                return self._replace_mentions(_EMAIL.sub(self._replace_address, value))
            kind = "phone"
        begin = value.index(core)
        return value[:begin] + self._replace(core, folded, kind) + value[begin + len(core) :]

    def _replace_address(self, found: re.Match[str]) -> str:
        """Replace the addresses in what may be some, with what stands around them: ``ann@shop.example;(ben@…),``."""

        def replaced(address: re.Match[str]) -> str:
            return self._replace(address[0], fold(address[0]), "email")

        text, count = _ADDRESS.subn(replaced, found[0])
        return text if count else replaced(found)

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

    def _replace_mentions(self, text: str) -> str:
        """Replace the names in a text that :meth:`learn` has remembered."""
        if not self._mentioned:
            return text
        if self._mentions is None:
            longest = sorted(self._mentioned, key=lambda known: (-len(known), known))
            self._mentions = re.compile(rf"(?i)(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)")
        return self._mentions.sub(lambda found: self._replace(found[0], fold(found[0]), "person"), text)

    def _birthday(self, core: str) -> str:
        random_bytes = self._random(0, core)
        born = f"{1950 + random_bytes[0] % 50}-{random_bytes[1] % 12 + 1:02}-{random_bytes[2] % 28 + 1:02}"
        return born + core[len(born) :]

    def _random(self, attempt: int, text: str) -> bytes:
        return hmac.new(self._key, f"{attempt}:{text}".encode(), hashlib.sha256).digest()

    def _replace(self, core: str, folded: str, kind: str | None) -> str:
        """Give what stands for a value, which nothing else in this capture gets."""
        known = self._values.setdefault(folded, _Value())
        known.kind = known.kind or kind
        if folded in known.compared or not any(map(str.isalnum, core)):
            return core
        if core not in known.replacements:
            used = set(known.replacements.values())
            base = next(iter(known.replacements.values()), None) or self._another(core, folded, known)
            known.replacements[core] = next(each for each in _spellings(base, like=core) if each not in used)
        return known.replacements[core]

    def _another(self, core: str, folded: str, known: _Value) -> str:
        """Make up a value that nothing has, and that compares as the one in whose place it stands."""
        number = _NUMBER.fullmatch(core) is not None
        told = _comparisons(folded, known.compared)
        attempt = -1
        while True:
            attempt += 1
            random_bytes = self._random(attempt, folded)
            made = _made_up(core, known.kind, attempt, random_bytes) if attempt < _RANDOM_ATTEMPTS else None
            if made is None:
                made = _other_number(core, random_bytes) if number else _shaped(core, known.compared, random_bytes)
            exhausted = attempt > _SHAPED_ATTEMPTS
            if exhausted and not number:
                made += _SYLLABLES[attempt % len(_SYLLABLES)]
            plain = fold(made)
            fits = exhausted or (
                plain not in self._values
                and (known.limit is None or len(made) <= known.limit)
                and _comparisons(plain, known.compared) == told
            )
            if fits and plain not in self._taken:
                self._taken.add(plain)
                return made


def _comparisons(folded: str, texts: Iterable[str]) -> list[tuple[bool, ...]]:
    """How a value compares with each of some texts: whether it begins or ends with it, or holds it."""
    return [(folded.startswith(text), folded.endswith(text), text in folded) for text in sorted(texts)]


def _spellings(base: str, *, like: str) -> Iterator[str]:
    """Yield ways to write ``base`` that are equal to it but for case, and accents where ``like`` has some."""
    styled = base.upper() if like.isupper() else base.lower() if like.islower() else base
    letters = [place for place, letter in enumerate(styled) if letter.lower() != letter.upper()]
    accented = fold(like) != like.strip().casefold()
    for number in range(1 << min(len(letters), 12)):
        chosen = {place for bit, place in enumerate(letters) if number >> bit & 1}
        if accented:
            for at in letters:
                made = (letter + "\u0301" * (place == at) for place, letter in enumerate(_swapped(styled, chosen)))
                yield unicodedata.normalize("NFC", "".join(made))
        else:
            yield "".join(_swapped(styled, chosen))
    yield from (f"{base}{number}" for number in count(2))


def _swapped(text: str, places: set[int]) -> Iterator[str]:
    return (letter.swapcase() if place in places else letter for place, letter in enumerate(text))


def _made_up(core: str, kind: str | None, attempt: int, random_bytes: bytes) -> str | None:
    """Make up a name, a place or an address; None for what has the shape of the value in whose place it stands."""
    more = "".join(_SYLLABLES[byte % len(_SYLLABLES)] for byte in random_bytes[8 : 8 + attempt // 4])
    first = _FIRST_NAMES[random_bytes[0] % len(_FIRST_NAMES)]
    last = _LAST_NAMES[random_bytes[1] % len(_LAST_NAMES)] + more
    number = int.from_bytes(random_bytes[2:5], "big")
    if _EMAIL.search(core) or kind == "email":
        valid = core.isascii() and _ADDRESS.fullmatch(core)
        return f"{first}.{last}{number % 10_000}@example.com".lower() if valid else None
    if not any(map(str.isalpha, core)) or kind is None:
        return None
    made: dict[str, str] = {
        "first": first + more,
        "last": last,
        "street": f"{number % 200 + 1} {last} Street",
        "city": _CITIES[random_bytes[0] % len(_CITIES)] + more,
        "person": f"{first} {last}",
    }
    return made.get(kind)


def _shaped(core: str, texts: Iterable[str], random_bytes: bytes) -> str:
    """Put other letters and digits in place of a value's own, except in those of ``texts`` that it holds."""
    plain = ["" if unicodedata.combining(letter) else fold(letter)[:1] or letter for letter in core]
    places = [place for place, letter in enumerate(plain) if letter]
    joined = "".join(plain)
    kept = {
        places[at]
        for text in texts
        for found in re.finditer(f"(?={re.escape(text)})", joined)
        for at in range(found.start(), found.start() + len(text))
    }
    random = Random(random_bytes)  # noqa: S311 - seeded with what only the key tells

    def other(place: int, letter: str) -> str:
        if place in kept:
            return letter
        if letter.isdigit():
            return "0" if letter == "0" and place == 0 else str(random.randrange(1 if place == 0 else 0, 10))
        if letter.isalpha():
            made = random.choice(string.ascii_lowercase)
            return made.upper() if letter.isupper() else made
        return letter

    return "".join(other(place, letter) for place, letter in enumerate(core))


def _other_number(core: str, random_bytes: bytes) -> str:
    """Give another whole number of as many digits, which a column of that type can hold, too."""
    whole, point, decimals = core.partition(".")
    digits = len(whole.lstrip("-"))
    smallest = 10 ** (digits - 1)
    largest = _LARGEST.get(digits, 10**digits - 1)
    number = smallest + int.from_bytes(random_bytes, "big") % (largest - smallest + 1)
    return f"{'-' * whole.startswith('-')}{number}{point}{decimals}"
