"""What stands inside of quotes and comments is told as the databases tell it."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.quoting import blanked

PIECES = st.sampled_from(
    [
        *("'", '"', "--", "\n", "\r", "\r\n", "/*", "*/", "$$", "$a$", "$\u20ac$", "\u20ac", "\u00e9", "E'", "e'"),
        *("\\", ";", "a", " ", "1", "N'", "x'", "#", "[", "]"),
    ]
)


def semicolons(sql: str) -> list[int]:
    """Where DuckDB's own lexer sees a semicolon that ends a statement; it counts bytes."""
    text = sql.encode()
    return [
        len(text[:offset].decode())
        for offset, kind in duckdb.tokenize(sql)
        if kind == duckdb.token_type.operator and text[offset : offset + 1] == b";"
    ]


@settings(max_examples=1000, deadline=None)
@given(pieces=st.lists(PIECES, max_size=14))
def test_no_semicolon_that_duckdb_sees_is_taken_for_a_text(pieces: list[str]) -> None:
    """Carriage returns after --, dollar quotes beside other letters, nested comments, E'' with backslashes."""
    sql = "select " + "".join(pieces)
    hidden = [offset for offset in semicolons(sql) if blanked(sql, "duckdb")[offset] != ";"]
    assert not hidden, sql
