"""Run a view in the client's database and give its rows as Arrow batches, as they arrive.

What the database refuses is translated into an error that names the place in the view's template. No row is kept here.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.clock import Deadline
from engine.database.open import open_source
from engine.errors import CancelledError, QueryError
from engine.mapping.check import check_columns, resolve_columns
from engine.mapping.locate import diagnostic_at, locate_error
from engine.mapping.views import raise_errors
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from engine.database.connection import Connection
    from engine.model.query import Query
    from engine.model.settings import Project


@contextmanager
def extract(
    project: Project,
    query: Query,
    *,
    entity: str,
    cancel: threading.Event,
    pack: bool = False,
    source: AbstractContextManager[Connection] | None = None,
) -> Iterator[tuple[tuple[str, ...], bool, Iterator[pa.RecordBatch]]]:
    """Run the view; gives the canonical names of its columns, whether each row arrives as one text, and its batches.

    It is run on the connection that ``source`` gives, or on one of its own. ``pack`` lets the database put each row
    into one text, where that is faster. The batches raise :class:`CancelledError` when ``cancel`` is set. Raises
    :class:`QueryError` where the database refuses the query, and :class:`ViewError` where its columns are wrong.
    """
    import pyarrow as pa

    # Arrow's own allocators keep what a batch took for the next one; the system's gives it back.
    pa.set_memory_pool(pa.system_memory_pool())
    settings = project.entities[entity]
    with source or open_source(project.source, deadline=Deadline(stop=cancel)) as connection:
        if query.escaped_at is not None and project.source.dialect == "mysql":
            _require_escapes(connection, query, query.escaped_at)
        try:
            read = connection.read(query.sql, pack=pack)
        except QueryError as error:
            raise _with_place(error, query, project.source.dialect) from None
        raise_errors(check_columns(query, read.columns, entity=ENTITIES[entity], linked=settings.linked))

        def until_cancelled() -> Iterator[pa.RecordBatch]:
            for batch in read:
                if cancel.is_set():
                    raise cancelled()
                yield batch

        yield resolve_columns(read.columns, entity=ENTITIES[entity]), read.packed, until_cancelled()


def _require_escapes(connection: Connection, query: Query, offset: int) -> None:
    """Raise :class:`QueryError` where a session does not read the values of a view as they are written.

    With NO_BACKSLASH_ESCAPES MySQL reads two backslashes where a value has one.
    """
    modes = [str(value) for batch in connection.read("select @@sql_mode") for value in batch.column(0).to_pylist()]
    if not any("NO_BACKSLASH_ESCAPES" in mode for mode in modes):
        return
    message = (
        "A value of the view has a backslash, and the database's session reads it as two: its sql_mode has"
        " NO_BACKSLASH_ESCAPES."
    )
    hint = (
        "Take it out by a statement of `session` under [source]:"
        " set sql_mode = replace(@@sql_mode, 'NO_BACKSLASH_ESCAPES', '')"
    )
    fault = diagnostic_at(query, offset, message, hint)
    raise QueryError(message, hint=hint, place=fault)


def _with_place(error: QueryError, query: Query, dialect: str) -> QueryError:
    """The error with the place in the view's template that it is about."""
    fault = diagnostic_at(
        query, locate_error(query, error.bare_message, dialect=dialect), error.bare_message, error.hint
    )
    return QueryError(error.bare_message, hint=fault.hint, place=fault)


def cancelled() -> CancelledError:
    """The error that ends a run which was asked to stop."""
    return CancelledError(
        "Stopped as asked. What Stock2Shop acknowledged is recorded.", hint="Run again to go on with the rest."
    )
