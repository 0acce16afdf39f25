"""Views that are drawn at random give on captured fixtures what they give in the database, or are refused.

``VIEWS=5000 pytest`` draws so many for each dialect (``just views``), and ``SEED=7`` draws others.
"""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from support import constructs
from support.view_grammar import draw_columns, draw_view

from engine.errors import SyncError

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import MariaDb, Postgres

    from engine.model.settings import SourceSettings

VIEWS = int(os.environ.get("VIEWS", "150"))
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = 25
"""How many expressions one SELECT on the database has."""


def live_columns(source: SourceSettings, columns: list[str]) -> list[Any]:
    """What a database gives for each expression; None for one that it refuses for these rows."""
    names = ", ".join(f"{column} as x{place}" for place, column in enumerate(columns))
    try:
        rows = constructs.read_rows(source, f"select id, {names} from probe order by id")
    except SyncError:
        if len(columns) == 1:
            return [None]
        half = len(columns) // 2
        return live_columns(source, columns[:half]) + live_columns(source, columns[half:])
    return [[(row[0], row[place + 1]) for row in rows] for place in range(len(columns))]


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
    ran, refused, wrong = 0, 0, []
    with constructs.captured(source, {"probe": shown}, tmp_path) as rehearsal:

        def compare(sql: str, live: Any) -> None:
            nonlocal ran, refused
            given = rehearsal(sql)
            if isinstance(given, str):
                refused += 1
            elif live is not None:
                ran += 1
                pair = constructs.canonical(given, exact=exact), constructs.canonical(live, exact=exact)
                if pair[0] != pair[1]:
                    wrong.append((sql, sorted({*pair[0]} ^ {*pair[1]}, key=repr)[:4]))

        for _ in range(VIEWS // AT_ONCE):
            columns = draw_columns(random, dialect, AT_ONCE - 5)
            for column, live in zip(columns, live_columns(source, columns), strict=True):
                compare(f"select id, {column} as x from probe order by id", live)
            for _ in range(5):
                view = draw_view(random, dialect)
                compare(view, live_view(source, view))
    assert wrong == []
    assert ran > refused / 2, (ran, refused)
