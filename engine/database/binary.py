"""Read columns of bytes as the text that they hold, or refuse them by name.

ERP systems keep descriptions in BLOB, VARBINARY or bytea columns. What is text in UTF-8 is read as that text. Anything
else (an image, a key, a row's version) has no text that could be sent, so the column is refused with the cast to write.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Characters that no text holds; bytes with one of them are something else, such as UTF-16 or bits."""

_CASTS = {
    "postgres": ("encode({0}, 'hex')", "convert_from({0}, 'LATIN1')"),
    "mysql": ("hex({0})", "convert({0} using latin1)"),
    "sqlite": ("hex({0})", ""),
    "duckdb": ("hex({0})", ""),
    "tsql": ("convert(varchar(max), {0}, 2)", "convert(varchar(max), {0})"),
    "oracle": ("rawtohex({0})", "utl_raw.cast_to_varchar2({0})"),
    "firebird": ("hex_encode({0})", ""),
    "hana": ("bintohex({0})", ""),
}
"""By dialect, what gives the bytes as hexadecimal digits, and what reads them as text in another encoding."""


class UndecodedBytes:
    """What stands for a value of bytes that were found to be no text, of a type that holds no bits."""


class BinaryValueError(ValueError):
    """A value of bytes that is no text; ``bits`` where it is the value of a BIT column."""

    def __init__(self, column: str, *, bits: bool = False) -> None:
        super().__init__(column)
        self.column = column
        self.bits = bits

    def as_query_error(self, dialect: str) -> QueryError:
        """What to tell the user, with the cast to write in ``dialect``."""
        if self.bits:
            return QueryError(
                f"The column {self.column} holds bits, which the driver gives as bytes.",
                hint=f"Write {self.column} + 0 in the view, which is their number.",
            )
        hexadecimal, text = (each.format(self.column) for each in _CASTS.get(dialect, ("", "")))
        digits = f"write {hexadecimal}, which is its hexadecimal digits" if hexadecimal else "cast it to text"
        other = f"; where it is text in another encoding, {text}" if text else ""
        return QueryError(
            f"The column {self.column} holds bytes that are not text in UTF-8.",
            hint=f"Leave it out of the view, or {digits}{other}.",
        )


def decode_bytes(raw: bytes | bytearray, column: str) -> str:
    """The text in ``raw``. Raises :class:`BinaryValueError`, which names the ``column``, where it is no UTF-8 text."""
    try:
        text = bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise BinaryValueError(column) from None
    if _CONTROL_CHARACTERS.search(text):
        raise BinaryValueError(column)
    return text


def decode_array(values: pa.Array, column: str) -> pa.Array:
    """An array of bytes as one of texts; raises as :func:`decode_bytes` does."""
    import pyarrow as pa

    texts = [None if value is None else decode_bytes(value, column) for value in values.to_pylist()]
    return pa.array(texts, pa.string())
