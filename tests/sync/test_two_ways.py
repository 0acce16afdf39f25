"""Random histories by the fast ways and by the slow ones: what is sent, held, recorded and said is the same.

The slow run compares every rule with every row, leaves no step out where nothing changed, reads column by column what
the database would pack into one text a row, and sends documents that plain Python made.
"""

from __future__ import annotations

import json
import os
import random
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from support.client import VIEW as CLIENT_VIEW
from support.client import Client
from support.documents import document
from support.stock2shop import assert_documented

from engine.errors import SyncError
from engine.mapping.engine_sql import render_sql
from engine.state.store import open_state
from engine.sync import compare, data_tests, extract, validate
from engine.sync.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import MariaDb, Postgres

    from engine.sandbox.server import Sandbox
    from engine.state.store import State
    from engine.sync.layout import Window

HISTORIES = int(os.environ.get("S2S_EXAMPLES", "1"))
"""How many histories are played on each database; for more set S2S_EXAMPLES."""

MOMENTS = 5
"""Moments a history: some changes, a plan, and a run that may be left without an answer."""

SETTINGS = "max_deletes = 1000\nmax_changes = 1000\nmax_deletes_per_day = 1000"

COLUMNS = {
    "product": "varchar(20)",
    "code": "varchar(20)",
    "title": "varchar(200)",
    "active": "varchar(20)",
    "price": "numeric(14, 4)",
    "qty": "integer",
    "sku": "varchar(20)",
    "size": "varchar(20)",
    "colour": "varchar(20)",
    "trade": "double precision",
    "tags": "varchar(200)",
    "barcode": "bigint",
    "vendor": "varchar(200)",
    "made": "date",
    "seen": "timestamp",
    "html": "text",
}

VIEW = CLIENT_VIEW.replace(
    "\nfrom item", ',\n    qty as "qty_Cape Town",\n    made as "meta_made",\n    seen as "meta_seen"\nfrom item'
)

CODES = ("A", "B", "C", "P-1", "P-2", "P-3")

VALUES: dict[str, tuple[Any, ...]] = {
    "product": ("P", "A", "C", None),
    "title": ("Chair", "Chair ", "Stühle \U0001f600", "Chair\x07", "O'Hara \\ 'x'", "", None),
    "active": ("Yes", "Yes", "Yes", "Ignore", "Delete", "perhaps"),
    "price": ("10", "12.5", "0.0001", "0", "-1", None),
    "qty": (5, 3, 0, -2, None),
    "sku": ("A", "B", "S1", None),
    "size": ("S", "M", "s", None, None),
    "trade": (8.0, 7.25, 0.1, 1e15, None),
    "tags": ("red,blue", "blue, red", "", None),
    "barcode": (600, 600123, 0, None),
    "vendor": ("Acme", "acme", "\u00a0Acme", None),
    "made": ("2026-02-28", "1999-12-31", None),
    "seen": ("2026-02-28 10:30:00", "2026-02-28 00:00:00", None),
    "html": ("<p>Old</p>", "<p>New &amp; old</p>", "a\x1fb", "", None),
}
"""Few values, so that what changes often changes back. Some are cleaned; one holds what parts packed values."""


RECORDED = {
    "published_products": "true",
    "acknowledged_products": "true",
    "settled_products": "true",
    "quarantine": "resolved_at is null",
    "held": "true",
    "in_doubt": "true",
    "approved": "true",
    "changes": "true",
}
"""The tables of a state that are compared."""


@dataclass(kw_only=True)
class Way:
    """One of the two clients: both read the same database."""

    client: Client
    slow: bool

    @contextmanager
    def taken(self, patch: pytest.MonkeyPatch) -> Iterator[Client]:
        """The client, inside the block by this way."""
        if not self.slow:
            yield self.client
            return
        with patch.context() as patched:
            patched.setattr(data_tests, "has_data_tests", lambda *_: True)
            patched.setattr(data_tests, "run_data_tests", lambda *_: ())
            patched.setattr(validate, "MAX_ROWS", -1)
            patched.setattr(compare, "extract", _extract_by_column)
            patched.setattr(Documents, "rows", _documents_in_python)
            yield self.client

    def held(self) -> dict[str, dict[str, Any]]:
        """What Stock2Shop holds, without when it took it."""
        return {code: {**item, "modified": ""} for code, item in self.client.held().items()}

    def sent(self) -> list[Any]:
        """The bodies that were queued since this was last asked, their numbers as they were written."""
        assert_documented(self.client.sandbox)
        bodies = [request.body for request in self.client.sandbox.requests if request.body is not None]
        self.client.sandbox.requests.clear()
        loaded = [json.loads(body, parse_float=str, parse_int=str) for body in bodies if body]
        return [body for body in loaded if "system_products" in body]

    def recorded(self) -> dict[str, list[Any]]:
        """What the state holds, without times and without fingerprints of rows as they arrived."""
        with open_state(self.client.project.state) as state:
            return {
                table: state.rows(
                    f"select columns(lambda name: not contains(name, 'raw') and not ends_with(name, '_at'))"
                    f" from {table} where {condition} order by all"
                )
                for table, condition in RECORDED.items()
            }


def _extract_by_column(*words: Any, **options: Any) -> Any:
    return extract.extract(*words, **{**options, "pack": False})


def _documents_in_python(documents: Documents, state: State, window: Window) -> list[dict[str, Any]]:
    layout = documents.layout
    made = []
    for row in state.dicts(render_sql("batch.sql", fields=layout.fields), window.bounds):
        body = document(
            layout.entity.name,
            [row],
            fields=layout.fields,
            source_id=documents.source_id,
            sync_token=documents.sync_token,
            price_settings=documents.prices,
        )
        item = body.strip().removeprefix(b'{"system_products":[').removesuffix(b"]}")
        made.append({name: row[name] for name in ("position", "_key", "_group", "kind", "is_doubted")} | {"item": item})
    return made


class Erp:
    """The table that both clients read."""

    def __init__(self, server: MariaDb | Postgres, dialect: str) -> None:
        import pyodbc

        self.dialect = dialect
        name = server.fresh_database()
        self.reader = server.connection(name)
        self._connection: Any = pyodbc.connect(server.connection(name, login="admin"), autocommit=True)
        kinds = COLUMNS if dialect == "postgres" else {**COLUMNS, "seen": "datetime", "html": "longtext"}
        self.execute(f"create table item ({', '.join(f'{column} {kind}' for column, kind in kinds.items())})")

    def execute(self, sql: str, *values: Any) -> None:
        """Run one statement."""
        self._connection.execute(sql, *values).close()

    def insert(self, code: str | None, **values: Any) -> None:
        """Add an item; what is not given is a sound simple product."""
        row = {"product": code, "code": code, "title": "Chair", "active": "Yes", "price": "10", "qty": 5, "sku": code}
        row |= values
        self.execute(f"insert into item ({', '.join(row)}) values ({', '.join('?' * len(row))})", *row.values())

    def change(self, draw: random.Random) -> None:
        """One change, drawn by lot."""
        code = draw.choice(CODES)
        roll = draw.random()
        if roll < 0.6:
            column = draw.choice(list(VALUES))
            self.execute(f"update item set {column} = ? where code = ?", draw.choice(VALUES[column]), code)
        elif roll < 0.75:
            self.execute("delete from item where code = ?", code)
        elif roll < 0.95:
            self.insert(code, **{name: draw.choice(VALUES[name]) for name in draw.sample(list(VALUES), 3)})
        else:
            self.execute("update item set code = null where code = ?", code)

    def close(self) -> None:
        """Leave the database."""
        self._connection.close()


@pytest.fixture(params=["postgres", "mysql"])
def erp(request: pytest.FixtureRequest) -> Iterator[Erp]:
    """A table on each server whose rows are packed."""
    server: MariaDb | Postgres = request.getfixturevalue("postgres" if request.param == "postgres" else "mariadb")
    with closing(Erp(server, request.param)) as made:
        yield made


@pytest.fixture
def ways(erp: Erp, tmp_path: Path, make_sandbox: Callable[..., Sandbox], short_backoff: None) -> tuple[Way, Way]:
    """The fast client and the slow one, each with a Stock2Shop of its own."""
    made = []
    for slow in (False, True):
        client = Client(workspace=tmp_path / str(slow), sandbox=make_sandbox(keep_bodies=True, pace=0))
        client.environ["ERP"] = erp.reader
        client.write(settings=SETTINGS, view=VIEW.replace('"', "`") if erp.dialect == "mysql" else VIEW)
        source = f'dialect = "{erp.dialect}"\nconnection = "${{ERP}}"'
        project = client.root / "project.toml"
        text = project.read_text("utf-8")
        project.write_text(text.replace('dialect = "duckdb"\ndatabase = "erp.duckdb"', source), "utf-8")
        made.append(Way(client=client, slow=slow))
    return made[0], made[1]


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_the_fast_ways_and_the_slow_ones_come_to_the_same(
    erp: Erp, ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After every moment of a history: what was planned, what was sent, what is held, and what the state holds."""
    draw = random.Random(seed)
    for code in CODES:
        erp.insert(code, product=code[0], size=code[2:] or None)
    quiet = 0
    for moment in range(MOMENTS):
        for _ in range(draw.choice((0, 1, 1, 2, 3)) if moment else 0):
            erp.change(draw)
        drops_after = draw.choice((0, 0, 2))
        found = []
        for way in ways:
            with way.taken(monkeypatch) as client:
                planned = client.plan(everything=True)
                client.sandbox.faults.drops_after = drops_after
                outcome = None
                with suppress(SyncError):
                    outcome = client.run()
                client.sandbox.faults.clear()
            quiet += outcome is not None and not outcome.sent
            ended = outcome and replace(outcome, seconds=0)
            found.append((planned, ended, way.sent(), way.held(), way.recorded()))
        fast, slow = found
        for each, other in zip(fast, slow, strict=True):
            assert each == other
    assert quiet < 2 * MOMENTS
