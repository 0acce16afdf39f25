"""`reader = "mssql-python"`: SQL Server read in columns, which counts only after a sample was read both ways.

The library is a stand-in, and pyodbc reads the same SQLite file over its own ODBC driver: no SQL Server was run here.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from support import mssql_python
from support.command import run_command

from engine.config.loader import load
from engine.database.columnar import plain_batch
from engine.errors import ProjectError, QueryError

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

PROJECT = """
[source]
dialect = "tsql"
connection = "Driver={{SQLite3}};Database={path}"
reader = "mssql-python"
[stock2shop]
source_id = 57
username = "me"
password = "${{ACME_S2S_PASSWORD}}"
"""
VIEW = """
select code as source_variant_code, code as source_product_code, name as title, 'Yes' as product_active,
    price as [variants.price], qty as [variants.qty], code as [variants.sku] from item
"""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace whose project reads an item list in columns."""
    monkeypatch.setitem(sys.modules, "mssql_python", mssql_python)
    monkeypatch.setattr(mssql_python, "SPOIL", {})
    monkeypatch.setattr(mssql_python, "OPENED", [])
    path = tmp_path / "erp.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("create table item (code text, name text, price numeric, qty int)")
        connection.executemany("insert into item values (?, ?, ?, ?)", [("A", "Hammer", 10.5, 3), ("B", "Saw", 4, 1)])
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "project.toml").write_text(PROJECT.format(path=path.as_posix()), "utf-8")
    (root / "views" / "products.sql").write_text(VIEW, "utf-8")
    return tmp_path


def plan(workspace: Path) -> subprocess.CompletedProcess[str]:
    """Plan without Stock2Shop."""
    variables = {"ACME_S2S_PASSWORD": "secret"}
    return run_command("plan", "acme", "--offline", folder=workspace, variables=variables)


def test_a_sample_is_read_both_ways_once_for_each_text_of_a_view(workspace: Path) -> None:
    """Then columns alone are read, until the view changes; the connection is told to read, without a driver."""
    first = plan(workspace)
    assert first.returncode == 0, first.stderr
    assert "+ A" in first.stdout
    assert len(mssql_python.OPENED) == 2  # the sample, and the view
    assert mssql_python.OPENED[0] == f"Database={(workspace / 'erp.db').as_posix()};ApplicationIntent=ReadOnly"
    assert plan(workspace).returncode == 0
    assert len(mssql_python.OPENED) == 3
    view = workspace / "projects" / "acme" / "views" / "products.sql"
    view.write_text(VIEW.replace("name as title", "upper(name) as title"), "utf-8")
    assert plan(workspace).returncode == 0
    assert len(mssql_python.OPENED) == 5


def test_a_reader_that_gives_another_value_is_refused(workspace: Path) -> None:
    """With the column, the row and both values; nothing is planned."""
    mssql_python.SPOIL["variants.price"] = "10.49"
    refused = plan(workspace)
    assert refused.returncode == 1
    assert "mssql-python gives variants.price of A in another way than pyodbc: 10.49, not 10.5." in refused.stderr
    assert "Remove `reader` under [source]" in refused.stderr


def test_what_the_database_refuses_is_said_as_ever(workspace: Path) -> None:
    """The sample is read over ODBC first, whose driver names what is wrong."""
    view = workspace / "projects" / "acme" / "views" / "products.sql"
    view.write_text(VIEW.replace("from item", "from nothing"), "utf-8")
    refused = plan(workspace)
    assert refused.returncode == 1
    assert "nothing" in refused.stderr


def test_a_library_that_is_missing_says_how_to_install_it(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or to do without."""
    monkeypatch.setitem(sys.modules, "mssql_python", None)
    refused = plan(workspace)
    assert refused.returncode == 1
    assert 'pip install "stock2shop-sync[mssql-python]"' in refused.stderr


def test_it_is_for_sql_server_alone(workspace: Path) -> None:
    """Another dialect is an error at its line."""
    toml = workspace / "projects" / "acme" / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace('"tsql"', '"postgres"'), "utf-8")
    with pytest.raises(ProjectError) as raised:
        load("acme", workspace=workspace, environ={"ACME_S2S_PASSWORD": "x"})
    (problem,) = raised.value.diagnostics
    assert (problem.line, problem.message) == (5, "mssql-python reads SQL Server alone.")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([Decimal("19.99"), Decimal("0.0000001"), None], pa.decimal128(20, 8)), ["19.99000000", "0.00000010"]),
        (pa.array([19.99, 100.0, 1e20]), ["19.99", "100", "100000000000000000000"]),
        (pa.array([19.99], pa.float32()), ["19.99"]),
        (pa.array([datetime(2026, 3, 1, 10, 0), datetime(2026, 3, 1, 10, 0, 0, 120000)]),  # noqa: DTZ001 - as a database has it
         ["2026-03-01 10:00:00", "2026-03-01 10:00:00.120000"]),
        (pa.array([date(2026, 3, 1)]), ["2026-03-01"]),
        (pa.array([time(10, 0)], pa.time64("ns")), ["10:00:00"]),
        (pa.array([b"ABC"]), ["ABC"]),
        (pa.array([5], pa.uint8()), [5]),
        (pa.array([True]), [True]),
    ],
)  # fmt: skip
def test_values_are_given_as_pyodbc_gives_them(values: pa.Array, texts: list[object]) -> None:
    """Decimals with all their digits, floats with as many as they have, times in ISO 8601."""
    batch = pa.RecordBatch.from_arrays([values], names=["x"])
    found = [each for each in plain_batch(batch, ["x"]).column(0).to_pylist() if each is not None]
    assert found == texts


@pytest.mark.parametrize(
    "values",
    [pa.array([datetime(2026, 3, 1, tzinfo=timezone.utc)]), pa.array([[1]]), pa.array([b"\xff\xfe\x00"])],
)
def test_a_type_that_would_lose_something_is_refused_by_name(values: pa.Array) -> None:
    """DATETIMEOFFSET loses its offset; bytes that are no text are refused as ever."""
    batch = pa.RecordBatch.from_arrays([values], names=["x"])
    with pytest.raises(QueryError, match="price_date"):
        plain_batch(batch, ["price_date"])
