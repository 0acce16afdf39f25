"""Say what is wrong with fixtures or a view where DuckDB refuses to run the view on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import FixtureError
from engine.mapping.locate import diagnostic_at, find_word, locate_error
from engine.testing.fixtures import fixture_file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import QueryError
    from engine.model.query import Query
    from engine.model.settings import Project

DIALECT_DIFFERENCE = re.compile('databases (differ in [^:"]+)(?:: ([^"\n]+))?')
"""The error that a transpiled view raises for a value which databases treat in different ways; see to_duckdb."""

_SAY_TYPE = "write it in the fixture's header, such as code:text or qty:decimal(12,2)"

_NO_FUNCTION = re.compile(r"argument types '\"?([\w~*!]+)\"?\((.*?)\)'")
_TWO_TYPES = re.compile(
    r"(?:Cannot (compare|mix) values of type|Cannot (combine) types of) ([\w(), ]+?) and (?:type )?([A-Z][\w(), ]*?)"
    r"(?: in (\w+) operator)? - an explicit cast"
)
"""DuckDB's errors about the types of values."""

_TYPE_WORDS = (
    (r"VARCHAR|STRING_LITERAL|JSON", "a text"),
    (r"DATE|TIMESTAMP.*|TIME.*", "a date or time"),
    (r"BOOLEAN", "a truth"),
    (r"DECIMAL.*|DOUBLE|FLOAT|U?[A-Z]*INT(EGER)?|INTEGER_LITERAL", "a number"),
)

_SQL_FUNCTIONS = {
    **dict.fromkeys(("~~", "!~~", "~~*", "!~~*"), "LIKE"),
    "translate": "UPPER(), LOWER() or LIKE",
    "strpos": "INSTR(), LOCATE() or POSITION()",
    "regexp_matches": "REGEXP",
    "regexp_full_match": "REGEXP",
    "strlen": "LENGTH()",
    **dict.fromkeys(("ltrim", "rtrim"), "TRIM()"),
}
"""What SQL calls functions that a view may have under another name."""

MISSING_TABLE = re.compile(r"(?i)Table with name \"?(\S.*?)\"? does not exist")

MISSING_COLUMN = re.compile(r"(?i)column \"?([\w$ .]+?)\"? not found|does not have a column named \"(.+?)\"")


def lacks_fixture(error: QueryError) -> bool:
    """Whether DuckDB's error is about a table or a column that the fixtures do not have."""
    said = error.bare_message
    return bool(MISSING_TABLE.search(said) or MISSING_COLUMN.search(said))


def explain_error(
    error: QueryError, project: Project, query: Query, *, tables: Sequence[str], offset: int | None
) -> FixtureError:
    """Translate DuckDB's error into what is wrong with the fixtures or with the view.

    ``offset`` is where in the view's SQL it is, if that is known; ``tables`` are those that there are fixtures of.
    """
    said = error.bare_message
    at = offset if offset is not None else locate_error(query, said, dialect=project.source.dialect)
    table, column = MISSING_TABLE.search(said), MISSING_COLUMN.search(said)
    folder = project.root / "fixtures"
    if table:
        known = ", ".join(tables)
        message = f"The view reads the table {table[1]}, of which there is no fixture."
        hint = (
            f"Write {folder / fixture_file_name(table[1])}, or capture it: s2s fixtures capture {project.name}."
            f" There are: {known or 'none'}."
        )
        found = re.search(rf"(?i)(?:from|join|,)\s+[\w.\[\"`]*?(?<!\w){re.escape(table[1])}(?![\w.])", query.sql)
        at = found.end() - len(table[1]) if found else find_word(query.sql, table[1])
    elif column:
        name = (column[1] or column[2]).rpartition(".")[2]
        message = f"The view reads the column {name}, which the fixtures do not have."
        hint = (
            f"Add it to its table's file in {folder}, or capture again with"
            f" `s2s fixtures capture {project.name} --replace`."
        )
        at = find_word(query.sql, name)
    elif differs := DIALECT_DIFFERENCE.search(re.sub(r"\s+", " ", said)):
        message = f"The view cannot be run on the fixtures as the database would run it: databases {differs[1]}."
        instead = differs[2] or "write it in another way"
        lead = "Import macros/dialect.sql as sql, and " if "sql." in instead else ""
        hint = f"{lead}{instead if lead else instead.capitalize()}."
    elif mismatch := _type_mismatch(said):
        what, instead = mismatch
        message = f"The view has {what}, which cannot run on fixtures as the database would run it."
        hint = f"Import macros/dialect.sql as sql, and write {instead} If the type is not the column's, {_SAY_TYPE}."
    else:
        message = f"The view does not run on the fixtures: {_database_message(said)}"
        hint = (
            f"If a column's type is the reason, {_SAY_TYPE}. If a function is, use the macro that writes it for every"
            " dialect."
        )
    return FixtureError([diagnostic_at(query, at, message, hint)])


def _type_mismatch(said: str) -> tuple[str, str] | None:
    """What is wrong, and what to write instead, where databases convert a value by themselves and DuckDB does not."""
    called = _NO_FUNCTION.search(said)
    if called:
        name = _SQL_FUNCTIONS.get(called[1], f"{called[1].upper()}()")
        kinds = [_type_word(part) for part in re.split(r", (?![^(]*\))", called[2])]
        if kinds[0] == "a text":
            return f"{name} of a text", "sql.try_number(…) around the text."
        return (f"{name} of {kinds[0]}", "sql.cast_text(…) around it.") if kinds[0] else None
    mixed = _TWO_TYPES.search(said)
    if mixed:
        first, second = _type_word(mixed[3]), _type_word(mixed[4])
        if first and second and first != second:
            what = "a comparison of" if mixed[1] == "compare" else f"{mixed[5] or 'one value'} of"
            return f"{what} {first} and {second}", "sql.cast_text(…) or sql.try_number(…) around one of them."
    return None


def _type_word(kind: str) -> str:
    """What SQL calls a type of DuckDB's; blank for others."""
    return next((word for pattern, word in _TYPE_WORDS if re.fullmatch(pattern, kind.strip())), "")


def _database_message(said: str) -> str:
    """DuckDB's own message, without its kind and without the list of functions that would have fitted."""
    text = (said.partition("The database says: ")[2] or said).partition(" Candidate functions:")[0]
    return re.sub(r"^(\w+ )+Error: ", "", text)
