"""An Access 2000 file (Jet 4), written without Access: enough of the format for its tables to be read.

No tool on Linux writes such files. What is written here is what mdbtools' description of the format (HACKING, in its
sources) has: pages of 4 KB, a catalogue, definitions of tables, rows, and long texts in pages of their own. There are
no indexes and no properties. That mdbtools reads it says that the engine gets from that driver what is in the file; it
does not say that Access would open it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PAGE = 4096
OWN = 2
"""The page on which the catalogue's own definition stands."""

EPOCH = datetime.fromisoformat("1899-12-30")
"""From this day on Access counts days, without a zone."""

HEADER_KEY = bytes.fromhex("c7da396b")
"""With it the file's header is enciphered, the same in every file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A column's type: its number in the file, how many bytes a value takes (None: as many as it needs), its digits."""

    number: int
    size: int | None
    digits: tuple[int, int] = (0, 0)


BOOLEAN, BYTE, SHORT, LONG = (
    Kind(number=1, size=0),
    Kind(number=2, size=1),
    Kind(number=3, size=2),
    Kind(number=4, size=4),
)
MONEY, SINGLE, DOUBLE = Kind(number=5, size=8), Kind(number=6, size=4), Kind(number=7, size=8)
DATE, BINARY, TEXT = Kind(number=8, size=8), Kind(number=9, size=None), Kind(number=10, size=None)
OLE, MEMO, GUID = Kind(number=11, size=None), Kind(number=12, size=None), Kind(number=15, size=16)


def decimal(precision: int, scale: int) -> Kind:
    """A number of so many digits, and so many of them behind the point."""
    return Kind(number=16, size=17, digits=(precision, scale))


class AccessFile:
    """A file in the making: give it tables, then write it."""

    def __init__(self) -> None:
        self._pages: list[bytes] = [b"", b""]
        self._maps: list[bytes] = [_usage_map(())]
        self._catalogue: list[tuple[int, str, int, int, None]] = []
        self._pages.append(b"")

    def table(self, name: str, columns: Mapping[str, Kind], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; values are Python's, None for NULL."""
        definition = len(self._pages)
        self._pages.append(b"")
        self._fill(definition, columns, rows)
        self._catalogue.append((definition, name, 1, 0, None))

    def write(self, path: Path) -> Path:
        """Write the file; gives its path."""
        columns = {"Id": LONG, "Name": TEXT, "Type": SHORT, "Flags": LONG, "LvProp": OLE}
        self._fill(OWN, columns, self._catalogue)
        self._pages[0] = _header()
        self._pages[1] = _data_page(0, self._maps)
        path.write_bytes(b"".join(self._pages))
        return path

    def _fill(self, definition: int, columns: Mapping[str, Kind], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table's rows onto pages, and its definition onto page ``definition``."""
        made = [self._row(list(columns.values()), row) for row in rows]
        pages, held = [], list[bytes]()
        for row in made:
            if held and sum(len(each) + 2 for each in (*held, row)) > PAGE - 16:
                pages.append(self._add(_data_page(definition, held)))
                held = []
            held.append(row)
        if held:
            pages.append(self._add(_data_page(definition, held)))
        self._maps.append(_usage_map(pages))
        self._pages[definition] = _definition(columns, len(rows), usage=(1 << 8) + len(self._maps) - 1, free=1 << 8)

    def _add(self, page: bytes) -> int:
        self._pages.append(page)
        return len(self._pages) - 1

    def _row(self, kinds: Sequence[Kind], values: Sequence[Any]) -> bytes:
        fixed, variable, ends, mask = b"", b"", list[int](), 0
        for number, (kind, value) in enumerate(zip(kinds, values, strict=True)):
            raw = b"" if value is None else self._value(kind, value)
            mask |= bool(value if kind is BOOLEAN else value is not None) << number
            if kind.size is None:
                ends.append(len(variable))
                variable += raw
            else:
                fixed += raw.ljust(kind.size, b"\0")
        start = 2 + len(fixed)
        offsets = [start + end for end in (*ends, len(variable))]
        table = b"".join(struct.pack("<H", offset) for offset in reversed(offsets))
        nulls = mask.to_bytes((len(kinds) + 7) // 8, "little")
        return struct.pack("<H", len(kinds)) + fixed + variable + table + struct.pack("<H", len(ends)) + nulls

    def _value(self, kind: Kind, value: Any) -> bytes:
        plain = {BYTE: "<B", SHORT: "<h", LONG: "<i", SINGLE: "<f", DOUBLE: "<d"}
        if kind in plain:
            return struct.pack(plain[kind], value)
        if kind is MONEY:
            return struct.pack("<q", int(Decimal(value).scaleb(4)))
        if kind is DATE:
            return struct.pack("<d", (value - EPOCH).total_seconds() / 86400)
        if kind is TEXT:
            return _text(value)
        if kind is MEMO:
            return self._long(value.encode("utf-16-le"))
        if kind.number == 16:
            digits = int(abs(Decimal(value)).scaleb(kind.digits[1]))
            words = [(digits >> shift) & 0xFFFFFFFF for shift in (96, 64, 32, 0)]
            return struct.pack("<B4I", 0x80 if Decimal(value) < 0 else 0, *words)
        return b"" if kind is BOOLEAN else bytes(value)

    def _long(self, raw: bytes) -> bytes:
        """A long text: in the row, or on pages of its own, each of which names the next one."""
        if len(raw) <= 64:
            return struct.pack("<III", len(raw) | 0x80000000, 0, 0) + raw
        behind = 0
        for begin in reversed(range(0, len(raw), 4000)):
            page = _data_page(
                int.from_bytes(b"LVAL", "little"), [struct.pack("<I", behind) + raw[begin : begin + 4000]]
            )
            behind = self._add(page) << 8
        return struct.pack("<III", len(raw), behind, 0)


def _text(value: str) -> bytes:
    """A text: two bytes a letter, or, where all are Latin and there are enough of them, one a letter behind a mark."""
    if len(value) > 2 and all(0 < ord(letter) < 256 for letter in value):
        return b"\xff\xfe" + value.encode("latin-1")
    return value.encode("utf-16-le")


def _usage_map(pages: Sequence[int]) -> bytes:
    """Which pages a table has: a bit each."""
    bits = sum(1 << page for page in pages)
    return b"\0" + struct.pack("<I", 0) + bits.to_bytes(64, "little")


def _data_page(owner: int, rows: Sequence[bytes]) -> bytes:
    """A page of rows: their offsets from the front, the rows themselves from the back."""
    offsets, end = [], PAGE
    for row in rows:
        end -= len(row)
        offsets.append(end)
    head = struct.pack(f"<BBHIIH{len(rows)}H", 1, 1, end - 14 - 2 * len(rows), owner, 0, len(rows), *offsets)
    return head.ljust(end, b"\0") + b"".join(reversed(rows))


def _definition(columns: Mapping[str, Kind], rows: int, *, usage: int, free: int) -> bytes:
    kinds = list(columns.values())
    variable = sum(kind.size is None for kind in kinds)
    head = struct.pack("<BBHI", 2, 1, 0, 0)
    counts = struct.pack("<HHHII", len(kinds), variable, len(kinds), 0, 0)
    # The first of these numbers is the length, which nothing reads.
    block = struct.pack("<IIII16xB", 0, 0, rows, 0, 0x4E) + counts + struct.pack("<II", usage, free)
    entries, place, fixed = b"", 0, 0
    for number, kind in enumerate(kinds):
        entries += struct.pack("<BIHHH", kind.number, 0, number, place, number)
        entries += struct.pack("<BBHBBI", *kind.digits, 0, kind.size is not None, 0, 0)
        entries += struct.pack("<HH", 0 if kind.size is None else fixed, 510 if kind is TEXT else kind.size or 0)
        place += kind.size is None
        fixed += kind.size or 0
    names = (name.encode("utf-16-le") for name in columns)
    named = b"".join(struct.pack("<H", len(name)) + name for name in names)
    return (head + block + entries + named).ljust(PAGE, b"\0")


def _header() -> bytes:
    """The first page: the version, and no password, in a cipher."""
    plain = bytearray(128)
    struct.pack_into("<H", plain, 0x3C - 0x18, 1252)
    head = b"\0\1\0\0Standard Jet DB\0" + struct.pack("<I", 1)
    return (head + _rc4(HEADER_KEY, bytes(plain))).ljust(PAGE, b"\0")


def _rc4(key: bytes, plain: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    i = j = 0
    out = bytearray()
    for byte in plain:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)
