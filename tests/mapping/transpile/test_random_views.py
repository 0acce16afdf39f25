"""Views that are drawn at random give on captured fixtures what they give in the database, or are refused.

``VIEWS=5000 pytest`` draws so many for each dialect (``just views``), and ``SEED=7`` draws others.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support import constructs, typed_columns
from support.mapping import offline, write
from support.view_grammar import draw_columns, draw_macro, draw_typed, draw_view

from engine.errors import ConfigError, SyncError
from engine.mapping.views import render_checked_view
from engine.model.settings import SourceSettings
from engine.testing.fixture_run import fixture_session, run_view

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from support.servers import MariaDb, Postgres

VIEWS = int(os.environ.get("VIEWS", "150"))
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = 25
"""How many expressions one SELECT on the database has."""


def live_columns(source: SourceSettings, columns: list[str], table: str = "probe") -> list[Any]:
    """What a database gives for each expression; None for one that it refuses for these rows."""
    names = ", ".join(f"{column} as x{place}" for place, column in enumerate(columns))
    try:
        rows = constructs.read_rows(source, f"select id, {names} from {table} order by id")
    except SyncError:
        if len(columns) == 1:
            return [None]
        half = len(columns) // 2
        return live_columns(source, columns[:half], table) + live_columns(source, columns[half:], table)
    return [[(row[0], row[place + 1]) for row in rows] for place in range(len(columns))]


def typed_source(dialect: str, folder: Path, *, postgres: Postgres, mariadb: MariaDb) -> SourceSettings:
    """The table ``typed`` in a new database."""
    made = typed_columns.statements(dialect)
    if dialect == "sqlite":
        path = folder / "typed.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            for statement in made:
                connection.execute(statement)
            connection.commit()
        return SourceSettings(dialect=dialect, database=path)
    server: Postgres | MariaDb = postgres if dialect == "postgres" else mariadb
    database = server.fresh_database()
    server.execute(database, *made, *(["grant select on typed to public"] if dialect == "postgres" else []))
    session = {"mysql": ("set collation_connection = utf8mb4_nopad_bin",)}.get(dialect, ())
    return SourceSettings(dialect=dialect, connection=server.connection(database), session=session)


def staged(rows: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Rows as a field of text has them: without the blanks around their texts, and with one for several."""

    def text(value: Any) -> Any:
        if isinstance(value, datetime) and value.microsecond:
            return str(value).rstrip("0")
        return (" ".join(value.split()) or None) if isinstance(value, str) else value

    return [tuple(map(text, row)) for row in rows]


def differing(given: Any, live: Any, *, exact: bool) -> list[list[Any]]:
    """Up to four rows that only one of two results has, as the only member of a list; empty where they are the same."""
    rows = constructs.canonical(given, exact=exact), constructs.canonical(live, exact=exact)
    return [sorted({*rows[0]} ^ {*rows[1]}, key=repr)[:4]] if rows[0] != rows[1] else []


def live_view(source: SourceSettings, sql: str) -> Any:
    """What a database gives for a view; None for one that it refuses for these rows."""
    try:
        return constructs.read_rows(source, sql)
    except SyncError:
        return None


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite"])
def test_a_view_at_random_is_rehearsed_as_it_runs_or_is_refused(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """None gives other rows, and a good part of them runs."""
    random = Random(f"{SEED} {dialect}")
    source = constructs.make_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    exact = dialect != "sqlite"
    left_out = {"js", "big"} if dialect == "postgres" else {"big"}
    shown = sorted(set(constructs.COLUMNS) - left_out, key=list(constructs.COLUMNS).index)
    ran, refused = 0, 0
    wrong: list[tuple[str, list[Any]]] = []
    with constructs.captured(source, {"probe": shown}, tmp_path) as rehearsal:

        def compare(sql: str, live: Any) -> None:
            nonlocal ran, refused
            given = rehearsal(sql)
            if isinstance(given, str):
                refused += 1
            elif live is not None:
                ran += 1
                wrong.extend((sql, rows) for rows in differing(given, live, exact=exact))

        for _ in range(VIEWS // AT_ONCE):
            columns = draw_columns(random, dialect, AT_ONCE - 5)
            for column, live in zip(columns, live_columns(source, columns), strict=True):
                compare(f"select id, {column} as x from probe order by id", live)
            for _ in range(5):
                view = draw_view(random, dialect)
                compare(view, live_view(source, view))
    assert wrong == []
    assert ran > refused / 2, (ran, refused)


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite"])
def test_columns_of_a_databases_own_types_are_rehearsed_as_they_run_or_are_refused(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """None gives other rows, and none that the database refuses for its types runs."""
    random = Random(f"{SEED} typed {dialect}")
    source = typed_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    wrong, ran, exact = [], 0, dialect != "sqlite"
    with constructs.captured(source, {"typed": ("id", "nm", *typed_columns.COLUMNS[dialect])}, tmp_path) as rehearsal:
        for _ in range(max(VIEWS // 5, AT_ONCE) // AT_ONCE):
            columns = [draw_typed(random, dialect) for _ in range(AT_ONCE)]
            for column, live in zip(columns, live_columns(source, columns, "typed"), strict=True):
                given = rehearsal(f"select id, {column} as meta_x from typed order by id")
                if isinstance(given, str) or live is None:
                    continue
                ran += 1
                if differing(staged(given), staged(live), exact=exact):
                    # MariaDB may number rows in another way beside another window.
                    (alone,) = live_columns(source, [column], "typed")
                    wrong += [(column, rows) for rows in differing(staged(given), staged(alone or ()), exact=exact)]
    assert wrong == []
    assert ran > VIEWS / 50


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite"])
def test_macros_give_on_fixtures_what_they_give_in_the_database_or_are_refused(
    dialect: str, postgres: Postgres, mariadb: MariaDb, tmp_path: Path
) -> None:
    """Also where they write DuckDB's own SQL."""
    random = Random(f"{SEED} macros {dialect}")
    source = typed_source(dialect, tmp_path, postgres=postgres, mariadb=mariadb)
    shown = ("id", "nm", *typed_columns.COLUMNS[dialect])
    quote = "`" if dialect == "mysql" else '"'
    head = (
        "select id as source_product_code, id as source_variant_code, id as title, 'Yes' as product_active,"
        f" 1 as csv_price_tiers, 1 as {quote}variants.qty{quote}, id as {quote}variants.sku{quote}"
    )
    wrong, ran, exact = [], 0, dialect != "sqlite"
    with constructs.captured(source, {"typed": shown}, tmp_path):
        pass
    view = tmp_path / "projects" / "acme" / "views" / "products.sql"
    project = offline(tmp_path)
    with fixture_session([project]) as session:
        loaded = session.load()
        for _ in range(max(VIEWS // 40, AT_ONCE) // AT_ONCE):
            queries = []
            for _ in range(AT_ONCE):
                call = draw_macro(random, dialect)
                write(view, f"{{% import 'macros/dialect.sql' as sql %}}{head}, {call} as meta_shown from typed")
                queries.append((call, render_checked_view(project, "products").query))
            columns = [query.sql.partition(head)[2][2:].rpartition(" as meta_shown")[0] for _, query in queries]
            for (call, query), live in zip(queries, live_columns(source, columns, "typed"), strict=True):
                if live is None:
                    continue
                write(view, f"{{% import 'macros/dialect.sql' as sql %}}{head}, {call} as meta_shown from typed")
                try:
                    run_view(loaded, project, "products", query)
                except ConfigError:
                    continue
                ran += 1
                given = loaded.state.rows("select _key, meta_shown from run.landed")
                wrong += [(call, rows) for rows in differing(staged(given), staged(live), exact=exact)]
    assert wrong == []
    assert ran > 0
