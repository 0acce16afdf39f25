"""Values that drivers, encodings and careless casts spoil, and the text that each must arrive as.

A value is put into a column of its own, of a type that real systems use, between two rows of NULLs: some drivers type
a column by its first row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASES = ("postgresql", "mariadb", "sqlite", "duckdb")

HTML = "<p>é 漢 😀 &amp; \"quoted\" 'too'</p>\n" * 3_000
"""About 100 KB of a product's description."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HardValue:
    """What is put in, by database as ``(column type, SQL literal)``, and the text that must be read."""

    name: str
    expected: str | None
    put: Mapping[str, tuple[str, str]]


def hard(
    name: str, expected: str | None, *, everywhere: tuple[str, str] | None = None, **put: tuple[str, str]
) -> HardValue:
    """A value, in every database or in those that are named."""
    if everywhere is not None:
        put = dict.fromkeys(DATABASES, everywhere)
    return HardValue(name=name, expected=expected, put=put)


def quoted(text: str, database: str) -> str:
    """A text as a literal of ``database``."""
    escaped = text.replace("'", "''")
    return "'" + (escaped.replace("\\", "\\\\") if database == "mariadb" else escaped) + "'"


def text(name: str, value: str, *, kind: str = "varchar(200)") -> HardValue:
    """A text that arrives everywhere as it is."""
    put = {
        database: (
            f"{kind} character set utf8mb4" if database == "mariadb" else kind,
            quoted(value, database),
        )
        for database in DATABASES
    }
    return HardValue(name=name, expected=value, put=put)


def _floats(number: str) -> dict[str, tuple[str, str]]:
    """A float of eight bytes in every database."""
    return {
        "postgresql": ("double precision", number),
        "mariadb": ("double", number),
        "sqlite": ("real", number),
        "duckdb": ("double", number),
    }


VALUES = (
    hard("null", None, everywhere=("varchar(20)", "null")),
    text("empty text", ""),
    text("blanks", "   "),
    text("text with a trailing blank", "x "),
    text("accents, Chinese and an emoji", "é 漢 😀 ñ ß"),
    text("quotes, backslash, percent and braces", 'it\'s "5%" {a} \\n ; --'),
    text("line ends of Windows and of Unix", "a\r\nb\nc\td"),
    text("zeros in front", "000123"),
    text("the word null", "null"),
    HardValue(
        name="100 KB of HTML",
        expected=HTML,
        put={
            "postgresql": ("text", quoted(HTML, "postgresql")),
            "mariadb": ("longtext character set utf8mb4", quoted(HTML, "mariadb")),
            "sqlite": ("text", quoted(HTML, "sqlite")),
            "duckdb": ("varchar", quoted(HTML, "duckdb")),
        },
    ),
    hard(
        "padding of char",
        "ab        ",
        postgresql=("char(10)", "'ab'"),
        sqlite=("char(10)", "'ab        '"),
    ),
    hard("padding of char, which the server takes off", "ab", mariadb=("char(10)", "'ab'")),
    hard("a latin1 column", "café €", mariadb=("varchar(20) character set latin1", "'café €'")),
    hard("a cp1250 column", "žluť", mariadb=("varchar(20) character set cp1250", "'žluť'")),
    hard(
        "decimal with trailing zeros",
        "1.5000",
        postgresql=("decimal(18,4)", "1.5"),
        mariadb=("decimal(18,4)", "1.5"),
        duckdb=("decimal(18,4)", "1.5"),
        sqlite=("text", "'1.5000'"),
    ),
    hard(
        "decimal as large as its type",
        "-99999999999999.9999",
        postgresql=("decimal(18,4)", "-99999999999999.9999"),
        mariadb=("decimal(18,4)", "-99999999999999.9999"),
        duckdb=("decimal(18,4)", "-99999999999999.9999"),
    ),
    hard(
        "decimal with 38 digits",
        "12345678901234567890123456789.123456789",
        postgresql=("decimal(38,9)", "12345678901234567890123456789.123456789"),
        mariadb=("decimal(38,9)", "12345678901234567890123456789.123456789"),
        duckdb=("decimal(38,9)", "12345678901234567890123456789.123456789"),
    ),
    hard(
        "decimal that Python would write with an exponent",
        "0.0000000001",
        postgresql=("decimal(18,10)", "0.0000000001"),
        mariadb=("decimal(18,10)", "0.0000000001"),
        duckdb=("decimal(18,10)", "0.0000000001"),
    ),
    hard(
        "decimal without precision",
        "123456789012345678901234567890.5",
        postgresql=("numeric", "123456789012345678901234567890.5"),
    ),
    hard("decimal of 60 digits", "9" * 30 + "." + "9" * 30, mariadb=("decimal(60,30)", "9" * 30 + "." + "9" * 30)),
    hard("not a number", "NaN", postgresql=("numeric", "'NaN'")),
    hard("infinite number", "-Infinity", postgresql=("numeric", "'-Infinity'")),
    hard("money", "-1234.50", postgresql=("money", "-1234.5")),
    hard("largest integer", "9223372036854775807", everywhere=("bigint", "9223372036854775807")),
    hard("smallest integer", "-9223372036854775808", everywhere=("bigint", "-9223372036854775808")),
    hard(
        "int unsigned beyond 31 bits",
        "4294967295",
        mariadb=("int unsigned", "4294967295"),
        duckdb=("uinteger", "4294967295"),
    ),
    hard(
        "bigint unsigned beyond 63 bits",
        "18446744073709551615",
        mariadb=("bigint unsigned", "18446744073709551615"),
        duckdb=("ubigint", "18446744073709551615"),
    ),
    hard(
        "hugeint",
        "-170141183460469231731687303715884105727",
        duckdb=("hugeint", "-170141183460469231731687303715884105727"),
    ),
    hard(
        "double",
        "0.1",
        postgresql=("double precision", "0.1"),
        mariadb=("double", "0.1"),
        sqlite=("real", "0.1"),
        duckdb=("double", "0.1"),
    ),
    hard(
        "double with 17 digits",
        "0.30000000000000004",
        postgresql=("double precision", "0.30000000000000004"),
        mariadb=("double", "0.30000000000000004"),
        sqlite=("real", "0.30000000000000004"),
        duckdb=("double", "0.30000000000000004"),
    ),
    hard(
        "barcode in a double",
        "6001234567890",
        postgresql=("double precision", "6001234567890"),
        mariadb=("double", "6001234567890"),
        duckdb=("double", "6001234567890"),
    ),
    hard("single precision", "1.1", postgresql=("real", "1.1"), mariadb=("float", "1.1"), duckdb=("float", "1.1")),
    hard("true", "true", postgresql=("boolean", "true"), mariadb=("bit(1)", "b'1'"), duckdb=("boolean", "true")),
    hard("false", "false", postgresql=("boolean", "false"), mariadb=("bit(1)", "b'0'"), duckdb=("boolean", "false")),
    hard("boolean that is a number", "1", mariadb=("boolean", "true"), sqlite=("boolean", "1")),
    hard("tinyint beyond a boolean", "5", mariadb=("tinyint(1)", "5")),
    hard("year", "2024", mariadb=("year", "2024")),
    hard("date", "2024-02-29", everywhere=("date", "'2024-02-29'")),
    hard("first date", "0001-01-01", postgresql=("date", "'0001-01-01'"), duckdb=("date", "'0001-01-01'")),
    hard("date before Christ", "0044-03-15 BC", postgresql=("date", "'0044-03-15 BC'")),
    hard("date without end", "infinity", postgresql=("date", "'infinity'"), duckdb=("date", "'infinity'")),
    hard("date with five digits of a year", "12024-02-29", postgresql=("date", "'12024-02-29'")),
    hard("date of zeros", "0000-00-00", mariadb=("date", "'0000-00-00'")),
    hard("date that no calendar has", "2024-02-31", mariadb=("date", "'2024-02-31'"), sqlite=("date", "'2024-02-31'")),
    hard("no date in a date column", "soon", sqlite=("date", "'soon'")),
    hard(
        "timestamp with microseconds",
        "2024-02-29 12:34:56.789012",
        postgresql=("timestamp", "'2024-02-29 12:34:56.789012'"),
        mariadb=("datetime(6)", "'2024-02-29 12:34:56.789012'"),
        sqlite=("timestamp", "'2024-02-29 12:34:56.789012'"),
        duckdb=("timestamp", "'2024-02-29 12:34:56.789012'"),
    ),
    hard("timestamp of whole seconds", "2024-02-29 12:34:56", everywhere=("timestamp", "'2024-02-29 12:34:56'")),
    hard(
        "timestamp with a zone",
        "2024-02-29 10:34:56+00",
        postgresql=("timestamptz", "'2024-02-29 12:34:56+02'"),
        duckdb=("timestamptz", "'2024-02-29 12:34:56+02'"),
    ),
    hard(
        "time",
        "23:59:59",
        postgresql=("time", "'23:59:59'"),
        mariadb=("time", "'23:59:59'"),
        duckdb=("time", "'23:59:59'"),
    ),
    hard("negative time with a fraction", "-12:34:56.789000", mariadb=("time(6)", "'-12:34:56.789'")),
    hard(
        "uuid",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        postgresql=("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        mariadb=("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
        duckdb=("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ),
    hard(
        "text in bytes",
        "Größe: <b>10</b>\r\n",
        postgresql=("bytea", r"'\x4772c3b6c39f653a203c623e31303c2f623e0d0a'"),
        mariadb=("blob", "x'4772c3b6c39f653a203c623e31303c2f623e0d0a'"),
        sqlite=("blob", "x'4772c3b6c39f653a203c623e31303c2f623e0d0a'"),
        duckdb=("blob", "encode('Größe: <b>10</b>' || chr(13) || chr(10))"),
    ),
    hard("short text in bytes", "AB", mariadb=("varbinary(16)", "'AB'"), postgresql=("bytea", "'AB'")),
    hard("text in a fixed number of bytes", "ABCD", mariadb=("binary(4)", "'ABCD'")),
    hard("large float", "120000000000000000000", **_floats("1.2e20")),
    hard("small float", "0.0000012", **_floats("1.2e-6")),
    hard("large whole float", "10000000000000000", **_floats("1e16")),
    hard("negative float with an exponent", "-0.00000000015", **_floats("-1.5e-10")),
    hard("float with 17 digits and an exponent", "12345678901234567000", **_floats("1.2345678901234567e19")),
    hard("whole float", "5", **_floats("5.0")),
    hard("text in an integer column", "twelve", sqlite=("integer", "'twelve'")),
    hard("text in a real column", "n/a", sqlite=("real", "'n/a'")),
    hard("a fraction in an integer column", "1.5", sqlite=("integer", "1.5")),
    hard(
        "json",
        '{"a": 1}',
        postgresql=("json", "'{\"a\": 1}'"),
        mariadb=("json", "'{\"a\": 1}'"),
        duckdb=("varchar", "'{\"a\": 1}'"),
    ),
    hard("list", "[1, 2]", duckdb=("integer[]", "[1, 2]")),
    hard("enum", "b", mariadb=("enum('a', 'b')", "'b'"), duckdb=("enum('a', 'b')", "'b'")),
)


def values(database: str) -> tuple[HardValue, ...]:
    """The values that ``database`` can hold."""
    return tuple(value for value in VALUES if database in value.put)


def statements(database: str, *, table: str = "hard") -> tuple[str, ...]:
    """SQL that makes the table: ``n`` numbers its three rows, ``c0`` and on are the values, in the second row."""
    held = [value.put[database] for value in values(database)]
    columns = ", ".join(f"c{number} {kind}" for number, (kind, _) in enumerate(held))
    blanks = ", ".join("null" for _ in held)
    filled = ", ".join(literal for _, literal in held)
    before = ("set sql_mode = 'ALLOW_INVALID_DATES'",) if database == "mariadb" else ()
    return (
        *before,
        f"create table {table} (n integer, {columns})",
        f"insert into {table} values (1, {blanks})",
        f"insert into {table} values (2, {filled})",
        f"insert into {table} values (3, {blanks})",
    )
