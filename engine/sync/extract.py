"""extract."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from engine.database.open import open_source
from engine.errors import CancelledError, QueryError
from engine.mapping.check import check_columns, resolve_columns
from engine.mapping.locate import diagnostic_at, locate_error
from engine.mapping.views import raise_errors
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

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
    stop: threading.Event,
    pack: bool = False,
    source: Connection | None = None,
) -> Iterator[tuple[tuple[str, ...], bool, Iterator[pa.RecordBatch]]]:
    """Run the view; gives the canonical names of its columns, whether its rows are packed into one, and its batches.

    It is run on ``source`` where that is open already. The batches raise :class:`CancelledError` when ``stop`` is set.
    """
    import pyarrow as pa

    # Arrow's own allocators keep what a batch took for the next one; the system's gives it back.
    pa.set_memory_pool(pa.system_memory_pool())
    settings = project.entities[entity]
    with nullcontext(source) if source else open_source(project.source) as connection:
        try:
            read = connection.read(query.sql, pack=pack)
        except QueryError as error:
            raise _placed(error, query, project.source.dialect) from None
        raise_errors(check_columns(query, read.columns, entity=ENTITIES[entity], linked=settings.linked))

        def until_stopped() -> Iterator[pa.RecordBatch]:
            for batch in read:
                if stop.is_set():
                    raise cancelled()
                yield batch

        yield resolve_columns(read.columns, entity=ENTITIES[entity]), read.packed, until_stopped()


def _placed(error: QueryError, query: Query, dialect: str) -> QueryError:
    """What the database refused of a view, with the place in its template that it is about."""
    fault = diagnostic_at(
        query, locate_error(query, error.bare_message, dialect=dialect), error.bare_message, error.hint
    )
    return QueryError(error.bare_message, hint=fault.hint, where=fault.where)


def cancelled() -> CancelledError:
    """Say that the run was asked to stop."""
    return CancelledError(
        "Stopped as asked. What Stock2Shop acknowledged is recorded.", hint="Run again to go on with the rest."
    )
