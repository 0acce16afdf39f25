"""Each expression in ``constructs`` gives on fixtures what the database gives, or is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support import constructs

from engine.errors import ViewError
from engine.mapping.parse import parse
from engine.mapping.transpile.facts import COMPARISONS, KNOWN_DIALECT_NODES, PORTABLE_NODES
from engine.mapping.transpile.functions import RULES
from engine.mapping.transpile.kind_parts import kind_of_type
from engine.mapping.transpile.to_duckdb import to_duckdb
from engine.model.query import Query

if TYPE_CHECKING:
    from support.servers import MariaDb, Postgres

DIALECTS = ("postgres", "mysql", "sqlite")

NEVER_RUN_HERE = frozenset(
    {
        "Collate",
        "DecodeCase",
        "Hint",
        "IndexTableHint",
        "JoinHint",
        "National",
        "Nvl2",
        "Pivot",
        "PivotAlias",
        "QueryOption",
    }
    | {"QueryOption", "WithTableHint", "LimitOptions", "TimeStrToTime"}
)
"""Parts that only SQL Server and Oracle have, or that are refused by their keywords."""


def select(expressions: list[str], topic: str) -> str:
    """One SELECT with all expressions of a topic."""
    columns = ", ".join(f"{expression} as x{number}" for number, expression in enumerate(expressions))
    if topic == "groups":
        return f"select grp, {columns} from probe group by grp order by grp"
    return f"select id, {columns} from probe order by id"


def translate(sql: str, dialect: str) -> str:
    """A SELECT on the table ``probe`` in DuckDB's SQL."""
    types = constructs.duckdb_types(dialect)
    kinds = {"probe": {name: kind_of_type(kind) for name, kind in types.items()}}
    return to_duckdb(Query(sql=sql, path=Path("views/products.sql")), dialect=dialect, columns=kinds)


def rehearse(connection: duckdb.DuckDBPyConnection, expression: str, dialect: str, topic: str) -> Any:
    """What the rehearsal gives for one expression: rows, or why it is refused."""
    sql = expression if topic == "views" else select([expression], topic)
    try:
        return connection.execute(translate(sql, dialect)).fetchall()
    except ViewError as error:
        return error.diagnostics[0].message
    except duckdb.Error as error:
        return str(error)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_expression_gives_what_the_database_gives_or_is_refused_by_its_name(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """Over rows of hard values: one SELECT a topic on the database, and none that differs."""
    source = constructs.make_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    exact = dialect != "sqlite"
    wrong: list[Any] = []
    with duckdb.connect() as connection:
        for statement in constructs.duckdb_statements(dialect):
            connection.execute(statement)
        for topic, found in constructs.constructs(dialect).items():
            equal = found["equal"]
            if topic == "views":
                live = [constructs.read_rows(source, sql) for sql in equal]
            else:
                rows = constructs.read_rows(source, select(equal, topic))
                live = [[(row[0], row[place + 1]) for row in rows] for place in range(len(equal))]
            for expression, expected in zip(equal, live, strict=True):
                given = rehearse(connection, expression, dialect, topic)
                if isinstance(given, str):
                    wrong.append((expression, given))
                elif constructs.canonical(given, exact=exact) != constructs.canonical(expected, exact=exact):
                    wrong.append((expression, given, expected))
            for expression, name in found.get("refused", {}).items():
                given = rehearse(connection, expression, dialect, topic)
                if not (isinstance(given, str) and name.lower() in given.lower()):
                    wrong.append((expression, "not refused as", name, given))
    assert not wrong


def proven_parts(dialect: str) -> set[str]:
    """The classes and function names of all parts of the expressions that are equal."""
    names: set[str] = set()
    for topic, found in constructs.constructs(dialect).items():
        for expression in found["equal"]:
            sql = expression if topic == "views" else select([expression], topic)
            statements = parse(sql, dialect)
            assert isinstance(statements, list), sql
            for node in statements[0].walk():
                name = type(node).__name__
                names.add(f"{str(node.this).lower()}()" if name == "Anonymous" else name)
    return names


def test_each_rule_of_sql_server_has_a_page_of_its_manual() -> None:
    """A function that is accepted and documented nowhere would be a guess."""
    names: set[str] = set()
    for case in constructs.documented():
        statements = parse(case["select"], case["dialect"])
        assert isinstance(statements, list)
        for node in statements[0].walk() if case["dialect"] == "tsql" else ():
            name = type(node).__name__
            names.add(f"{str(node.this).lower()}()" if name == "Anonymous" else name)
    assert RULES["tsql"].keys() <= names


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_rule_of_a_dialect_has_an_expression_that_proves_it(dialect: str) -> None:
    """A function that is accepted and never compared would be a guess."""
    # Zero dates, and columns beside GROUP BY, which need a primary key, are in test_column_types.py, and moments with a
    # zone in test_own_types.py.
    elsewhere = {"AnyValue"} | {"mysql": {"Is"}, "postgres": COMPARISONS}.get(dialect, set())
    assert RULES[dialect].keys() <= proven_parts(dialect) | elsewhere


def test_what_all_databases_have_in_common_is_proven_on_those_that_are_here() -> None:
    """In one of the three at least, but for what only others have."""
    proven = set().union(*map(proven_parts, DIALECTS))
    assert proven >= (PORTABLE_NODES | KNOWN_DIALECT_NODES) - NEVER_RUN_HERE


@pytest.mark.parametrize("case", constructs.documented(), ids=lambda case: f"{case['dialect']}: {case['select'][:60]}")
def test_what_the_manuals_say_of_other_databases_is_what_comes_of_it(case: dict[str, Any]) -> None:
    """Of databases that the tests have none of."""
    dialect = case["dialect"]
    with duckdb.connect() as connection:
        for statement in constructs.duckdb_statements(dialect):
            connection.execute(statement)
        (row, *_) = connection.execute(translate(case["select"], dialect)).fetchall()
    given = [None if text is None else text for (text,) in (constructs.canonical([(value,)])[0] for value in row)]
    expected = [constructs.canonical([(None if value == "null" else value,)])[0][0] for value in case["gives"]]
    assert given == expected
