"""SQL in an embedded database sees that database alone, whoever wrote it and however it is written."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest

from engine.database.open import open_source, open_writer
from engine.embedded import connect_duckdb, find_foreign_relations, is_one_select, parse_duckdb
from engine.errors import ConnectError, QueryError, WriteError
from engine.model.settings import SourceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

ENGINE = Path(__file__).parents[1] / "engine"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a DuckDB and a SQLite database, and with files that are none of their business."""
    with duckdb.connect(str(tmp_path / "erp.duckdb")) as connection:
        connection.execute("create table item as select 'A' as code")
    with duckdb.connect(str(tmp_path / "other.duckdb")) as connection:
        connection.execute("create table secret as select 'hidden' as code")
    for name in ("erp", "other"):
        with closing(sqlite3.connect(tmp_path / f"{name}.sqlite")) as erp, erp:
            erp.execute("create table item (code text)")
            erp.execute("insert into item values ('A')")
    (tmp_path / "x.csv").write_text("code\nhidden\n", "utf-8")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    return tmp_path


def rows(settings: SourceSettings, sql: str) -> list[Any]:
    """Read a view; the first column of its rows."""
    with open_source(settings) as connection:
        return [value for batch in connection.read(sql) for value in batch.column(0).to_pylist()]


OUTSIDE = {
    "a text file": "select content as code from read_text('/etc/passwd')",
    "the environment": "select content as code from read_blob('/proc/self/environ')",
    "a listing": "select file as code from glob('{folder}/*')",
    "a file as a table": "select * from '{folder}/x.csv'",
    "a quoted file as a table": 'select * from "{folder}/x.csv"',
    "read_csv": "select * from read_csv('{folder}/x.csv')",
    "a remote file": "select * from 'https://127.0.0.1:1/x.parquet'",
    "another database": "select * from '{folder}/other.duckdb'.secret",
    "a local variable of Python": "select * from hidden",
}


@pytest.mark.parametrize("sql", OUTSIDE.values(), ids=OUTSIDE)
def test_a_view_in_duckdb_reads_no_file(folder: Path, sql: str) -> None:
    """Nor anything else that is not a table of the database."""
    hidden = pa.table({"code": ["hidden"]})
    settings = SourceSettings(dialect="duckdb", database=folder / "erp.duckdb")
    assert rows(settings, "select code from item") == ["A"]
    with pytest.raises(QueryError) as raised:
        rows(settings, sql.format(folder=folder))
    assert raised.value.hint
    assert "hidden" not in raised.value.message.replace("table hidden", "").replace("name hidden", "")
    assert hidden.num_rows == 1


NOT_ONE_SELECT = [
    "copy item to '{folder}/out.csv'",
    "attach '{folder}/other.duckdb' as other",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "pragma enable_profiling",
    "delete from item",
    "select 1 as code; select 2 as code",
    "select 1 as code --\r; copy item to '{folder}/out.csv'",
    "call pragma_version()",
    "",
]


@pytest.mark.parametrize("sql", NOT_ONE_SELECT)
def test_a_view_in_duckdb_is_one_select(folder: Path, sql: str) -> None:
    """DuckDB itself counts the statements: a carriage return ends a comment for it, and for others does not."""
    settings = SourceSettings(dialect="duckdb", database=folder / "erp.duckdb")
    with pytest.raises(QueryError, match="A view is one SELECT"):
        rows(settings, sql.format(folder=folder))
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize(
    "sql", ["values (1)", "from item", "with i as (from item) select * from i;", "select 1 -- ;\n"]
)
def test_a_select_of_any_form_is_one(sql: str) -> None:
    """Also with a semicolon behind it."""
    with connect_duckdb(":memory:") as connection:
        assert is_one_select(connection, sql)


@pytest.mark.parametrize(
    "statement",
    [
        "attach '{folder}/other.duckdb' as other",
        "set enable_external_access = true",
        "set python_enable_replacements = true",
        "set lock_configuration = false",
        "set allowed_directories = ['/']",
        "set temp_directory = '{folder}'",
        "set log_query_path = '{folder}/log'",
        "copy (select 1) to '{folder}/out.csv'",
        "install httpfs",
    ],
)
@pytest.mark.parametrize("opened", [open_source, open_writer])
def test_a_session_statement_of_duckdb_opens_nothing(folder: Path, opened: Callable[..., Any], statement: str) -> None:
    """Neither for a view nor for orders; what concerns the session alone is set."""
    harmless = ("set timezone = 'Africa/Johannesburg'", "set threads = 1", "set variable mine = 1")
    settings = SourceSettings(dialect="duckdb", database=folder / "erp.duckdb", session=harmless)
    with opened(settings):
        pass
    refused = SourceSettings(
        dialect="duckdb", database=folder / "erp.duckdb", session=(statement.format(folder=folder),)
    )
    with pytest.raises(ConnectError, match="statement 1 of `session`"), opened(refused):
        pass
    assert sorted(path.name for path in folder.iterdir()) == [
        "erp.duckdb",
        "erp.sqlite",
        "other.duckdb",
        "other.sqlite",
        "x.csv",
        "x.parquet",
    ]


SQLITE_OUTSIDE = [
    "attach database '{folder}/other.sqlite' as other",
    "attach database '{folder}/made.sqlite' as other",
    "vacuum into '{folder}/copy.sqlite'",
    "pragma query_only = off",
    "pragma writable_schema = on",
    "pragma temp_store_directory = '{folder}'",
    "select load_extension('x')",
]


@pytest.mark.parametrize("sql", SQLITE_OUTSIDE)
def test_sql_in_sqlite_reaches_no_other_file(folder: Path, sql: str) -> None:
    """Neither as a view, nor in the session, nor as a statement of an order; VACUUM INTO writes even when read-only."""
    database, sql = folder / "erp.sqlite", sql.format(folder=folder)
    settings = SourceSettings(dialect="sqlite", database=database)
    with pytest.raises(QueryError, match="outside of its database"):
        rows(settings, sql)
    with (
        pytest.raises(ConnectError, match="statement 1 of `session`"),
        open_source(SourceSettings(dialect="sqlite", database=database, session=(sql,))),
    ):
        pass
    with open_writer(settings) as writer, pytest.raises(WriteError):
        writer.execute(sql, [])
    assert {path.name for path in folder.iterdir()} >= {"erp.sqlite"}
    assert not {"made.sqlite", "copy.sqlite"} & {path.name for path in folder.iterdir()}


def test_sqlite_tells_of_itself_and_keeps_its_session(folder: Path) -> None:
    """What only reads is allowed, and so are the pragmas of a connection."""
    settings = SourceSettings(
        dialect="sqlite", database=folder / "erp.sqlite", session=("pragma foreign_keys = on", "pragma cache_size = 9")
    )
    assert rows(settings, "select name from pragma_table_info('item')") == ["code"]
    assert rows(settings, "pragma foreign_keys") == [1]
    with open_source(settings) as connection:
        assert list(connection.list_columns()) == [("", "item", "code", "TEXT")]


def test_a_scratch_folder_is_open_and_everything_beside_it_is_not(tmp_path: Path) -> None:
    """Also behind two dots; what does not fit into memory goes there."""
    scratch = tmp_path / "it's scratch"
    scratch.mkdir()
    (tmp_path / "x.csv").write_text("code\nhidden\n", "utf-8")
    with connect_duckdb(
        tmp_path / "a.duckdb", scratch=scratch, settings={"memory_limit": "20MB", "threads": "1"}
    ) as connection:
        quoted = str(scratch).replace("'", "''")
        connection.execute(f"attach '{quoted}/run.duckdb' as run")
        connection.execute("create table run.t as select md5(n::varchar) as t from range(600_000) as r(n) order by 1")
        with pytest.raises(duckdb.PermissionException):
            connection.execute(f"select * from read_csv('{quoted}/../x.csv')")
        connection.execute("set memory_limit = '90MB'")


def test_statements_are_counted_as_duckdb_reads_them() -> None:
    """Whatever another reader takes for a comment or a text."""
    with connect_duckdb(":memory:") as connection:
        assert [kind for kind, _ in parse_duckdb(connection, "create table a (b int); insert into a values (1)")] == [
            "CREATE",
            "INSERT",
        ]


FOREIGN = {
    "from published, products": ["published"],
    "select * from products where exists (from main.PUBLISHED)": ["main.PUBLISHED"],
    "select (select max(a) from published) from products": ["published"],
    "with published as (from published) from products, published": ["published"],
    "select * from (with published as (select 1) from products), published": ["published"],
    "from products, query_table('published')": ["query_table()"],
    "from products, query('from published')": ["query()"],
    "from products, pragma_storage_info('published')": ["pragma_storage_info()"],
    "from products, duckdb_settings()": ["duckdb_settings()"],
    "from products, sqlite_master": ["sqlite_master"],
    "from products, all_of_it()": ["all_of_it()"],
    "from products, (summarize published)": ["published", "SHOW, DESCRIBE or SUMMARIZE"],
    "from products, (show tables)": ["SHOW, DESCRIBE or SUMMARIZE"],
    "from products order by (select max(a) from published) limit (select 1 from published)": ["published"],
    "from memory.main.products": ["memory.main.products"],
    "with cheap as (select * from PRODUCTS as p), twice as (from cheap union from cheap) from twice": [],
    "with recursive n as (select 1 as i union all select i + 1 from n where i < 3) from products, n": [],
    "select * from products, range(3), unnest([1, 2]) as u, (values (1)) as v": [],
    "select * from products as p semi join products as q using (a) where a = $1": [],
}


@pytest.mark.parametrize("sql", FOREIGN)
def test_what_a_select_reads_is_told_as_duckdb_reads_it(sql: str) -> None:
    """Whatever it is written as, and also where its own WITH has the name of a table."""
    with connect_duckdb(":memory:") as connection:
        connection.execute("create table published (a int); create view products as select 1 as a")
        connection.execute("create macro all_of_it() as table (from published)")
        assert find_foreign_relations(connection, sql, own="products") == FOREIGN[sql]


def test_nobody_else_opens_an_embedded_database() -> None:
    """One door: what holds for it holds everywhere."""
    opening = re.compile(r"\b(duckdb|sqlite3)\s*\.\s*connect\b|from (duckdb|sqlite3) import .*connect")
    found = [path.name for path in ENGINE.rglob("*.py") if opening.search(path.read_text("utf-8"))]
    assert found == ["embedded.py"]
