"""Try the statements of ``orders/`` in the database before there is an order, without writing anything.

What only reads is run, in a transaction that can only read where the database has such; what writes is explained by the
database; all is rolled back. What can neither be run nor explained is not tried: a procedure, several statements in one
file, DDL, and whatever writes on SQL Server, which checks no statement with parameters without running it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import Diagnostic, RenderError, WriteError
from engine.orders.statement_checks import FULL_ORDER, MINIMAL_ORDER, iterate_runs, sample_order, statement_files
from engine.orders.statements import StatementRenderer, UnknownValue, read_statement, template_values, without_comments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.database.connection import Writer
    from engine.model.settings import OrderSettings, Project

INVALID_VALUE_STATES = re.compile(r"\[22\w{3}\]$|onversion")
"""What databases say of an invented value that does not fit a column; of a real order it may fit."""

READ_ONLY_STATES = re.compile(r"\[25006\]$|read.?only", re.IGNORECASE)
"""What databases say of a statement that writes although it begins with SELECT, as one that calls a function may."""

_READS = re.compile(r"(select|values|with|table)\b", re.IGNORECASE)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|replace\s+into|into|call|exec|execute|truncate|create|alter|drop|lock|set)\b",
    re.IGNORECASE,
)
_NOT_EXPLAINED = re.compile(
    r"\W|(alter|begin|call|commit|create|declare|do|drop|exec|execute|grant|lock|pragma|revoke|set|truncate|use)\b",
    re.IGNORECASE,
)

EXPLAINING_DIALECTS = frozenset({"postgres", "mysql", "sqlite", "duckdb"})
"""The databases that can check a statement that writes without running it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of trying the statements in the database: ``problems``, and the files that could not be tried."""

    problems: tuple[Diagnostic, ...]
    untried: tuple[Path, ...]


def try_statements(project: Project, settings: OrderSettings, writer: Writer) -> Trial:
    """Try the statements for an order that says everything and for one that says nothing; write nothing.

    Raises :class:`WriteError` where the connection breaks.
    """
    renderer = StatementRenderer(project, settings)
    problems: list[Diagnostic] = []
    untried: list[Path] = []
    for document in (FULL_ORDER, MINIMAL_ORDER):
        for path, parts in iterate_runs(project, order := sample_order(project, settings, document)):
            try:
                query = renderer.render(path, {**template_values(order), **parts})
            except RenderError:
                continue  # check_statements says so
            binds = [None if isinstance(value, UnknownValue) else value for value in query.binds]
            try:
                if not _try(writer, settings.source.dialect, query.sql, binds):
                    untried.append(path)
            except WriteError as error:
                if READ_ONLY_STATES.search(error.message):
                    untried.append(path)
                elif error.retriable:
                    raise
                elif not INVALID_VALUE_STATES.search(error.message):
                    problems.append(Diagnostic(path=path, message=error.message, hint="Fix the statement."))
    problems += _table_problems(project, settings, writer)
    return Trial(problems=tuple(dict.fromkeys(problems)), untried=tuple(dict.fromkeys(untried)))


def _try(writer: Writer, dialect: str, sql: str, binds: Sequence[object]) -> bool:
    """Try one statement as far as that writes nothing; return whether that could be done."""
    way = _way_to_try(sql, dialect)
    if way is None:
        return False
    try:
        if way == "run" and dialect in {"postgres", "mysql"}:
            writer.execute("set transaction read only", ())  # until its end
        writer.execute(sql if way == "run" else f"explain {sql}", binds)
    finally:
        writer.rollback()
    return True


def _way_to_try(sql: str, dialect: str) -> Literal["run", "explain"] | None:
    """Return how a statement can be tried without writing; None where it cannot."""
    code = without_comments(sql).strip()
    if ";" in code:
        return None
    if _READS.match(code) and not _WRITES.search(code):
        return "run"
    return "explain" if dialect in EXPLAINING_DIALECTS and not _NOT_EXPLAINED.match(code) else None


def _table_problems(project: Project, settings: OrderSettings, writer: Writer) -> Iterator[Diagnostic]:
    """Yield the tables of MySQL and MariaDB that statements name and whose engine cannot undo anything."""
    if settings.source.dialect != "mysql":
        return
    sql = (
        "select t.table_schema as folder, t.table_name as name, t.engine as engine, t.table_schema = database() as own"
        " from information_schema.tables as t join information_schema.engines as e on e.engine = t.engine"
        " where e.transactions <> 'YES'"
        " and t.table_schema not in ('mysql', 'information_schema', 'performance_schema', 'sys')"
    )
    rows = [{column.lower(): value for column, value in row.items()} for row in writer.execute(sql, ()).rows]
    writer.rollback()
    for path in statement_files(project):
        text = without_comments(read_statement(project, path))
        for row in rows:
            full = str(row["name"]) if row["own"] else f"{row['folder']}.{row['name']}"
            by_folder = rf"(?<!\w){re.escape(str(row['folder']))}`?\s*\.\s*`?"
            before = rf"((?<![\w.])|(?<!\.)`|{by_folder})" if row["own"] else by_folder
            if re.search(rf"{before}{re.escape(str(row['name']))}(?!\w)", text, re.IGNORECASE):
                yield Diagnostic(
                    path=path,
                    message=f"The table {full} is {row['engine']}, which undoes nothing: half an order stays.",
                    hint=f"alter table {full} engine = InnoDB",
                )
