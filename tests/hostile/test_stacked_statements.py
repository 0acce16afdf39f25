"""A second statement behind a view, on a live database whose login may write: it does nothing.

Whatever the checks of a view's text think: they are left out here, and the database itself decides.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import product
from typing import TYPE_CHECKING

import pyodbc
import pytest

from engine.database.connection_string import connection_string, parse_options
from engine.database.driver_sql import declare_cursor
from engine.database.drivers import PROFILES
from engine.database.open import open_source
from engine.errors import QueryError
from engine.model.settings import SourceSettings
from engine.quoting import blanked, regions

if TYPE_CHECKING:
    from support.servers import MariaDb, Postgres

DELETE = "delete from item"
BEHIND = (
    "; {0}",
    "; commit; {0}",
    "; rollback; begin read write; {0}; commit",
    "; commit; begin; set transaction read write; {0}; commit",
    "; commit; set session characteristics as transaction read write; {0}; commit",
    "; set session transaction read write; {0}",
    "; start transaction read write; {0}; commit",
    " -- \r; commit; start transaction read write; {0}; commit",
    " -- \u0085; commit; start transaction read write; {0}; commit",
    ", 'it''s \\'; commit; start transaction read write; {0}; commit; -- ' as b",
    ", \u20ac$$ as b; commit; start transaction read write; {0}; commit; -- $$",
    ", E'\\'; commit; start transaction read write; {0}; commit; --' as b",
    " /* /* */; commit; start transaction read write; {0}; commit; -- */",
    ") as v limit 0; commit; start transaction read write; {0}; commit; select * from (select 1 as a",
    ") as v; commit; start transaction read write; {0}; commit; select * from (select 1 as a",
    " $s2s_0000000000000000$; end $s2s_0000000000000000$; commit; start transaction read write; {0}; commit; --",
)


def attempt(source: SourceSettings, sql: str, *, pack: bool) -> None:
    """Read a view to its end, whether the database takes it or not."""
    try:
        with open_source(source) as connection:
            for _ in connection.read(sql, pack=pack):
                pass
    except QueryError:
        pass


@pytest.fixture(scope="module")
def writing_postgres(postgres: Postgres) -> tuple[SourceSettings, str]:
    """A database with a row, and a login that may delete it."""
    database = postgres.fresh_database()
    postgres.execute(
        database,
        "create table item (code text)",
        "insert into item values ('A')",
        "create function emptied() returns int language plpgsql as 'begin delete from item; return 1; end'",
    )
    connection = postgres.connection(database, login="admin")
    return SourceSettings(dialect="postgres", connection=connection), database


@pytest.mark.parametrize("behind", BEHIND)
def test_a_second_statement_does_nothing_on_postgresql(
    postgres: Postgres, writing_postgres: tuple[SourceSettings, str], behind: str
) -> None:
    """Fetched as one text a row or column by column, described first or not."""
    source, database = writing_postgres
    for pack in (False, True):
        attempt(source, "select 1 as a" + behind.format(DELETE), pack=pack)
        assert postgres.row(database, "select count(*) from item") == (1,)


def test_what_a_view_sets_for_later_transactions_lets_none_write(
    postgres: Postgres, writing_postgres: tuple[SourceSettings, str]
) -> None:
    """Each transaction begins read-only, whatever the session says by then."""
    source, database = writing_postgres
    with open_source(source) as connection:
        for sql in ("select set_config('default_transaction_read_only', 'off', false) as a", "select 1 as a"):
            assert [batch.num_rows for batch in connection.read(sql)] == [1]
        with pytest.raises(QueryError, match="tries to write"):
            list(connection.read("select emptied() as a"))
    assert postgres.row(database, "select count(*) from item") == (1,)


def test_more_than_one_statement_is_said_by_postgresql(writing_postgres: tuple[SourceSettings, str]) -> None:
    """As every other database's refusal is: with what to do."""
    source, _ = writing_postgres
    for sql in ("select 1 as a; select 2 as a", "delete from item", "drop table item"):
        with pytest.raises(QueryError, match=r"A view is one SELECT|tries to write"), open_source(source) as connection:
            list(connection.read(sql))


@pytest.fixture(scope="module")
def mariadb_with_a_row(mariadb: MariaDb) -> str:
    """A database with a row in a table that knows no transaction."""
    database = mariadb.fresh_database()
    mariadb.execute(database, "create table item (code varchar(9)) engine = myisam", "insert into item values ('A')")
    return database


@pytest.mark.parametrize("option", ["", ";OPTION=67108864", ";option={67108867}"])
@pytest.mark.parametrize("behind", BEHIND)
def test_a_second_statement_does_nothing_on_mariadb(
    mariadb: MariaDb, mariadb_with_a_row: str, behind: str, option: str
) -> None:
    """Also where the project's connection asks for several: views need none."""
    connection = mariadb.connection(mariadb_with_a_row, login="admin") + option
    source = SourceSettings(dialect="mysql", connection=connection)
    attempt(source, "select 1 as a" + behind.format(DELETE), pack=False)
    assert mariadb.row(mariadb_with_a_row, "select count(*) from item") == (1,)


def test_what_a_view_sets_lets_no_later_one_write_on_mariadb(mariadb: MariaDb, mariadb_with_a_row: str) -> None:
    """A function of the database's may change the session."""
    mariadb.execute(
        mariadb_with_a_row,
        "create function opened() returns int begin set session transaction read write; return 1; end",
        "create function emptied() returns int modifies sql data begin delete from item; return 1; end",
    )
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(mariadb_with_a_row, login="admin"))
    with open_source(source) as connection:
        assert [batch.num_rows for batch in connection.read("select opened() as a")] == [1]
        with pytest.raises(QueryError, match="tries to write"):
            list(connection.read("select emptied() as a"))
    assert mariadb.row(mariadb_with_a_row, "select count(*) from item") == (1,)


def test_several_statements_are_left_to_orders() -> None:
    """A login that raises them may write, and its statements are checked in another way."""
    source = SourceSettings(dialect="mysql", connection="Driver=MariaDB;Option=67108867;UID=a")
    written = parse_options(source.connection or "")
    profile = next(each for each in PROFILES if each.name == "mariadb")
    assert ";Option=3;" in connection_string(written, profile, source, read_only=True)
    assert ";Option=67108867;" in connection_string(written, profile, source, read_only=False)


def test_sql_server_reads_in_a_transaction_that_is_rolled_back() -> None:
    """It has no session that only reads."""
    assert {each.autocommit for each in PROFILES if each.name in {"sqlserver", "freetds"}} == {False}


PIECES = ("", "-- ", "/*", "*/", ", '", "'", "\\''", ', "', "\r", "\n")
"""What begins and ends texts, names and comments, three in a row before a second statement."""

MORE_PIECES = {
    "postgres": (", E'", "$$", ", $a$", "\u20ac", "\u0085", "\u2028"),
    "mysql": (
        "#",
        ", `",
    ),  # not --', which the driver takes for a comment where it parts statements, and the server not
    "sqlite": (", [", "]", ", `"),
}
ENDS = ("", "'", '"', "*/", "`", "$$", "-- '", '-- "', "-- */")


def hidden_statements(dialect: str) -> list[str]:
    """Each view of such pieces whose semicolon our own reading takes for a part of a text, a name or a comment.

    One in which something does not end is refused anyway.
    """
    begun = product((*PIECES, *MORE_PIECES[dialect]), repeat=3)
    views = {f"select 1{''.join(pieces)}; select 2 {end}" for pieces in begun for end in ENDS}
    return sorted(
        view
        for view in views
        if ";" not in blanked(view, dialect) and all(region.closed for region in regions(view, dialect))
    )


def test_no_statement_that_postgresql_sees_is_taken_for_a_text(postgres: Postgres) -> None:
    """The server counts two in none of these views. What it does not understand, nobody can run."""
    seen, read = [], 0
    with closing(pyodbc.connect(postgres.connection("postgres"))) as connection:
        cursor = connection.cursor()
        for sql in hidden_statements("postgres"):
            try:
                cursor.execute(declare_cursor(sql, counted=True))
                read += 1
            except pyodbc.Error as error:
                seen += [sql] if error.args[0] == "42P11" else []
            connection.rollback()
    assert seen == []
    assert read > 100


def test_no_statement_that_mariadb_sees_is_taken_for_a_text(mariadb: MariaDb) -> None:
    """The same, of a server that was asked to run them all."""
    seen, read = [], 0
    connection = mariadb.connection(mariadb.database) + ";OPTION=67108864"
    with closing(pyodbc.connect(connection, autocommit=True)) as opened:
        for sql in hidden_statements("mysql"):
            cursor = opened.cursor()
            try:
                cursor.execute(sql)
            except pyodbc.Error:
                continue  # the first one is none
            read += 1
            try:
                seen += [sql] if cursor.nextset() else []
            except pyodbc.Error:
                seen.append(sql)
            cursor.close()
    assert seen == []
    assert read > 100


def test_no_statement_that_sqlite_sees_is_taken_for_a_text() -> None:
    """Its own function says whether a text ends where a statement does."""
    found = hidden_statements("sqlite")
    assert [sql for sql in found if sqlite3.complete_statement(sql[: sql.index(";") + 1])] == []
    assert len(found) > 100
