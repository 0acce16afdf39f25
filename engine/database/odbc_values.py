"""Make values of the bytes of those ODBC types that pyodbc cannot read, or reads wrong.

Each function takes the bytes of one value as the driver lays them out in memory, and gives None for NULL.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.database.arrow import expand_exponents, float_text
from engine.database.binary import BinaryValueError, UndecodedBytes, decode_bytes
from engine.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from engine.database.driver_profile import DriverProfile


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result as the driver describes it: ``type_name`` is the Python type's, ``size`` ODBC's."""

    name: str
    type_name: str
    size: int


DATETIMEOFFSET = -155
"""SQL Server's own type, which pyodbc cannot read without being told how."""


SQL_TYPE_TIMESTAMP = 93


SQL_FLOAT = 6


SQL_VARBINARY = -3


SQL_LONGVARBINARY = -4


def read_datetimeoffset(raw: bytes | None) -> str | None:
    """SQL_SS_TIMESTAMPOFFSET_STRUCT as ISO 8601; its layout is in Microsoft's reference of the ODBC types."""
    if raw is None:
        return None
    year, month, day, hour, minute, second, nanos, hours, minutes = struct.unpack("<6hI2h", raw)
    sign = "-" if hours < 0 or minutes < 0 else "+"
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".") if nanos else ""
    return (
        f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{fraction}"
        f"{sign}{abs(hours):02d}:{abs(minutes):02d}"
    )


def read_timestamp(raw: bytes | None) -> str | None:
    """SQL_TIMESTAMP_STRUCT as ISO 8601, even where the date is one that no calendar has."""
    if raw is None:
        return None
    year, month, day, hour, minute, second, nanos = struct.unpack("<6hI", raw)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{year:04d}-{month:02d}-{day:02d} {hour:02d}:{minute:02d}:{second:02d}{fraction}"


def read_float32(raw: bytes | None) -> float | None:
    """A float that came in four bytes; one that came in eight is whole."""
    if raw is None:
        return None
    if len(raw) > 4:  # noqa: PLR2004 - a float's bytes
        return float(struct.unpack("<d", raw)[0])
    return shortest_float32(float(struct.unpack("<f", raw)[0]))


def shortest_float32(value: float) -> float:
    """A float of four bytes, as short as it reads back the same."""
    raw = struct.pack("<f", value)
    shorter = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((short for short in shorter if struct.pack("<f", short) == raw), value)


def decode_if_text(raw: bytes | None) -> str | UndecodedBytes | None:
    """The text in a value of bytes; what stands for no text where there is none."""
    if raw is None:
        return None
    try:
        return decode_bytes(raw, "")
    except BinaryValueError:
        return UndecodedBytes()


def has_corrections(columns: Sequence[Column], profile: DriverProfile) -> bool:
    """Whether batches with these columns need :func:`correct_values`."""
    sizes = {(column.type_name, column.size) for column in columns}
    return bool(
        profile.truncation_length
        or any(kind == "int" and size in profile.unsigned_sizes for kind, size in sizes)
        or any(kind == "float" for kind, _ in sizes)
    )


def correct_values(
    batch: pa.RecordBatch, names: Sequence[str], columns: Sequence[Column], profile: DriverProfile
) -> pa.RecordBatch:
    """The batch with the signs that the driver lost, and with all digits that a float has, and no more.

    ``names`` are the columns' names for people, ``columns`` what the driver says of them before any cast.
    Raises :class:`QueryError` where a text is so long that the driver may have cut it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = []
    for name, column, values in zip(names, columns, batch.columns, strict=True):
        corrected = values
        if profile.truncation_length and pa.types.is_string(values.type):
            longest = pc.max(pc.binary_length(values)).as_py() or 0
            if longest >= profile.truncation_length:
                raise QueryError(
                    f"The driver gives no more than {profile.truncation_length:,} bytes of a text, and the column"
                    f" {name} has one that is as long or longer.",
                    hint="Leave the column out, or read the file with Microsoft's driver on Windows.",
                )
        if column.type_name == "int" and column.size in profile.unsigned_sizes and pa.types.is_integer(values.type):
            bits = 8 * column.size
            unsigned = pc.greater_equal(values, pa.scalar(1 << (bits - 1), values.type))
            corrected = pc.if_else(unsigned, pc.subtract(values, pa.scalar(1 << bits, values.type)), values)
        if column.type_name == "float" and pa.types.is_string(values.type):
            if column.size in profile.float32_sizes:
                digits = (each and float_text(shortest_float32(float(each))) for each in values.to_pylist())
                corrected = pa.array(list(digits), pa.string())
            else:
                corrected = expand_exponents(values)  # where the server wrote the text
        arrays.append(corrected)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
