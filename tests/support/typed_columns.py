"""A table whose columns have the types that databases have of their own, with hard values, for views at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = "typed"

COLUMNS: dict[str, dict[str, tuple[str, Sequence[str]]]] = {
    "postgres": {
        "tz": ("timestamptz", ("'2026-03-01 23:30:00+00'", "'2026-07-01 12:00:00.5+00'", "'1999-12-31 23:59:59+02'")),
        "tm": ("time", ("'08:30'", "'18:30:00.25'", "'00:00'")),
        "ts0": ("timestamp(0)", ("'2026-03-02 01:30:00.6'", "'2026-07-01'", "'1999-12-31 12:00'")),
        "ts6": ("timestamp", ("'2026-03-02 01:30:00.120'", "'2026-07-01'", "'1999-12-31 23:59:59.999999'")),
        "uid": ("uuid", ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'00000000-0000-0000-0000-000000000000'")),
        "fl": ("boolean", ("true", "false")),
        "raw": ("bytea", (r"'\x4142'", r"'\x'")),
        "doc": ("jsonb", ("""'{"a": 1}'""", """'{"a": 1.0, "b": [1, "x"]}'""", "'null'", "'[]'")),
        "js": ("json", ("""'{"a":  1}'""", """'{"b": "é"}'""")),
        "cd": ("char(6)", ("'A1'", "'a1'", "''", "'B2 x'")),
        "num": ("numeric", ("1.50", "0", "1e3", "-2.675")),
        "n0": ("numeric(12,0)", ("10", "0", "-3")),
        "n4": ("numeric(14,4)", ("10.5", "0", "-0.0001", "99999999.9999")),
        "sg": ("real", ("1.5", "0.1", "-3.25")),
        "db": ("double precision", ("2.5", "-0.5", "1e10", "1e-7", "0")),
        "sm": ("smallint", ("3", "0", "-5")),
        "bg": ("bigint", ("9007199254740993", "0", "-1")),
        "cash": ("money", ("1234.50", "-3")),
        "tags": ("text[]", ("'{a,b}'", "'{}'", "'{x,NULL}'")),
        "ip": ("inet", ("'10.0.0.1'", "'9.0.0.0/24'")),
        "iv": ("interval", ("'1 day 2 hours'", "'26 hours'", "'-1 mon'")),
    },
    "mysql": {
        "tm": ("time", ("'08:30:00'", "'-01:00:00'", "'101:30:00'")),
        "y": ("year", ("2026", "1999", "0")),
        "st": ("set('a','b','c')", ("'a,b'", "''", "'c'")),
        "en": ("enum('Low','high','Mid')", ("'Low'", "'high'", "'Mid'")),
        "b1": ("bit(1)", ("1", "0")),
        "du": ("decimal(10,2) unsigned", ("10.50", "0", "3.33")),
        "iu": ("int unsigned", ("7", "0", "4294967295")),
        "bu": ("bigint unsigned", ("5", "0", "18446744073709551615")),
        "fl": ("tinyint(1)", ("1", "0")),
        "dt": ("datetime", ("'2026-03-01 23:30:00'", "'2026-07-01'", "'1999-12-31 23:59:59'")),
        "dt3": ("datetime(3)", ("'2026-03-01 23:30:00.25'", "'2026-07-01'", "'1999-12-31 23:59:59.999'")),
        "st3": ("timestamp(3) null", ("'2026-03-01 10:00:00.5'", "'2026-07-01'")),
        "d": ("date", ("'2026-03-02'", "'2024-02-29'", "'0000-00-00'")),
        "d2": ("date", ("'2026-03-02'", "'2024-02-29'", "'2000-01-01'")),
        "cd": ("char(6)", ("'A1'", "'a1'", "''", "'B2 x'")),
        "zf": ("int(5) zerofill", ("42", "7", "100000")),
        "sg": ("float", ("1.5", "0.1", "-3.25")),
        "db": ("double", ("2.5", "-0.5", "1e10", "1e-7", "0")),
        "n4": ("decimal(14,4)", ("10.5", "0", "-0.0001", "99999999.9999")),
        "js": ("json", ("""'{"a": 1}'""", """'{"b":[1,"x"]}'""", "'[]'")),
    },
    "sqlite": {
        "d": ("date", ("'2026-03-02'", "'2024-02-29'", "'1999-12-31'")),
        "ts": ("datetime", ("'2026-03-02 01:30:00'", "'2026-07-01 00:00:00'", "'1999-12-31 23:59:59'")),
        "nc": ("text collate nocase", ("'Abc'", "'aBC'", "'Zz'", "''")),
        "fl": ("boolean", ("1", "0")),
        "num": ("numeric", ("1.5", "0", "1000", "2.675")),
        "n2": ("decimal(12,2)", ("10.5", "0", "3.33", "100")),
        "rl": ("real", ("1.5", "0.1", "-3.25", "2.5")),
        "cd": ("char(6)", ("'A1'", "'a1'", "''", "'12 x'")),
        "cash": ("money", ("12.5", "0", "-1")),
        "loose": ("", ("'x'", "'A1'", "''")),
    },
}
"""The columns by dialect, each with its type and values; a NULL is added to all."""

TEXTS = (
    *("Hammer", "  Ada  van der Example ", "", " ", "12.50", "-3", " 7 ", "1e5", "1,234", "R12", "1.23456", "-0.00001"),
    *("0.00005", "999999999999.9999", "1000000000000", "2.675", "1.005", "-0", "00012", "+5", ".5", "5.", "--1", "-"),
    *("٣", "😀 é", "O'Neil & <b>", "a,b", "x:y", 'q"q', "tab\there", "nbsp\u00a0x", "x" * 300, "trail   ", "%", "a\\b"),
)
"""Texts that macros read: numbers and what is none, names with blanks, letters of four bytes."""


def statements(dialect: str) -> list[str]:
    """The statements that make the table in a database of ``dialect``: in each row the columns have another value."""
    columns = COLUMNS[dialect]
    made = ", ".join(f"{name} {kind}" for name, (kind, _) in columns.items())
    rows = []
    for place, text in enumerate(TEXTS):
        values = [(*given, "null")[place % (len(given) + 1)] for _, given in columns.values()]
        rows.append(f"({place + 1}, {_text(text, dialect)}, {', '.join(values)})")
    varying = "text" if dialect == "sqlite" else "varchar(400)"
    more = " character set utf8mb4 collate utf8mb4_nopad_bin" if dialect == "mysql" else ""
    return [
        f"create table {TABLE} (id integer, nm {varying}, {made}){more}",
        f"insert into {TABLE} values {', '.join(rows)}",
    ]


def _text(text: str, dialect: str) -> str:
    if dialect == "mysql":  # whose driver damages its memory with other letters than ASCII's
        return f"convert(x'{text.encode().hex()}' using utf8mb4)" if text else "''"
    return "'" + text.replace("'", "''") + "'"
