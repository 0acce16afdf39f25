"""Read a DuckDB file."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.database.arrow import BatchResult, expand_exponents
from engine.database.binary import BinaryValueError, decode_array
from engine.database.connection import NOT_ONE_SELECT, NOT_ONE_SELECT_HINT, ServerFacts
from engine.database.error_messages import plain_message, translate_error
from engine.database.session import closed_on_error, run_session_statements
from engine.database.watchdog import Watchdog
from engine.embedded import connect_duckdb, parse_select
from engine.errors import ConnectError, QueryError, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from engine.clock import Deadline
    from engine.database.watchdog import T
    from engine.model.settings import SourceSettings


class DuckDbSource:
    """A DuckDB file, on a connection of its own."""

    def __init__(self, path: Path, settings: SourceSettings, deadline: Deadline | None = None) -> None:
        import duckdb

        self._settings = settings
        self._watchdog = Watchdog(deadline)
        self._readers: list[pa.RecordBatchReader] = []
        self._error = duckdb.Error
        self._version = duckdb.__version__
        try:
            self._connection = connect_duckdb(path, read_only=True)
        except duckdb.Error as error:
            if is_out_of_memory(error):
                raise MemoryError(plain_message(str(error))) from None
            raise ConnectError(
                f"The file {path} cannot be opened: {plain_message(str(error))}",
                hint="If another program has it open, close it; or a newer DuckDB may have written the file.",
            ) from None
        with closed_on_error(self._connection):
            run_session_statements(settings.session, self._connection.execute, errors=duckdb.Error)

    def read(self, sql: str, *, pack: bool = False) -> BatchResult:  # noqa: ARG002 - there is nothing to gain
        """Run one SELECT, as :class:`~engine.database.connection.Connection` says."""

        def reading() -> tuple[tuple[str, ...], list[str], pa.RecordBatchReader]:
            statement = parse_select(self._connection, sql)
            if statement is None:
                raise QueryError(NOT_ONE_SELECT, hint=NOT_ONE_SELECT_HINT)
            relation = self._connection.sql(statement)
            texts = [_duck_text(number, str(kind)) for number, kind in enumerate(relation.types, start=1)]
            kinds = [str(kind) for kind in relation.types]
            reader = _arrow_reader(relation.project(", ".join(texts)), self._settings.batch_rows)
            return tuple(relation.columns), kinds, reader

        columns, kinds, reader = self._call(reading)
        self._readers.append(reader)
        return BatchResult(columns=columns, batches=self._batches(reader, columns, kinds))

    def _batches(
        self, reader: pa.RecordBatchReader, columns: Sequence[str], kinds: Sequence[str]
    ) -> Iterator[pa.RecordBatch]:
        converted = not {"FLOAT", "DOUBLE", "BLOB"}.isdisjoint(kinds)
        try:
            while True:
                batch = self._call(partial(next, reader, None))
                if batch is None:
                    return
                yield _texts_of(batch, columns, kinds) if converted else batch
        finally:
            reader.close()

    def begin_snapshot(self) -> bool:
        """Begin the transaction in which everything that is read is of one moment."""
        self._call(partial(self._connection.execute, "begin transaction"))
        return True

    def list_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema, table, column and type."""
        sql = (
            "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
            " and database_name = current_database() order by schema_name, table_name, column_index"
        )
        yield from self._call(lambda: self._connection.execute(sql).fetchall())

    def _call(self, call: Callable[[], T]) -> T:
        try:
            return self._watchdog.call(call, seconds=self._settings.query_timeout, cancel=self._connection.interrupt)
        except (self._error, OSError) as error:  # Arrow's errors of a stream are OSErrors
            raise translate_error("", str(error), connecting=False) from None

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, for ``s2s doctor``."""
        return ServerFacts(
            driver="DuckDB", driver_version=self._version, dbms="DuckDB", dbms_version=self._version, read_only=True
        )

    def close(self) -> None:
        """Close the connection; one whose call never ended is closed once it does."""

        def close() -> None:
            # DuckDB opens a file again only when every reader of it is gone, and waits for that for ever. A result that
            # was not read to its end may be held by an error's traceback until the garbage collector runs.
            for reader in self._readers:
                reader.close()
            self._connection.close()

        with suppress(QueryError):
            self._watchdog.close(close, seconds=self._settings.query_timeout)


def _duck_text(number: int, kind: str) -> str:
    """SQL for the text of column ``number``: DuckDB's own casts, but for whole floats; bytes stay as they are."""
    text = f"cast(#{number} as varchar)"
    if kind in {"FLOAT", "DOUBLE"}:
        text = rf"regexp_replace({text}, '\.0$', '')"
    elif kind == "BLOB":
        text = f"#{number}"
    return f"{text} as c{number}"


def _texts_of(batch: pa.RecordBatch, columns: Sequence[str], kinds: Sequence[str]) -> pa.RecordBatch:
    """The batch with the digits of its floats, and with the texts in its columns of bytes."""
    import pyarrow as pa

    arrays = []
    for name, kind, values in zip(columns, kinds, batch.columns, strict=True):
        if kind == "BLOB":
            try:
                arrays.append(decode_array(values, name))
            except BinaryValueError as error:
                raise error.as_query_error("duckdb") from None
        else:
            arrays.append(expand_exponents(values) if kind in {"FLOAT", "DOUBLE"} else values)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _arrow_reader(relation: Any, rows: int) -> Any:
    """DuckDB 2 renamed what streams a relation as Arrow."""
    stream = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    return stream(rows)
