"""Read SQL Server in columns, through Microsoft's own library ``mssql-python``, which gives Arrow batches.

It is opt-in, ``reader = "mssql-python"`` under ``[source]``, and at first beside pyodbc: the catalogue, the facts for
``s2s doctor`` and everything that writes still go over ODBC, and a sample of each view is read both ways before it
counts, see :mod:`engine.sync.reader_check`. Fetching was measured to take a third of pyodbc's CPU time, on a server
that speaks T-SQL over TDS; no SQL Server was run here.

A type whose value would differ from pyodbc's is refused by name, never changed in silence.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.database.arrow import BatchResult, expand_exponents
from engine.database.binary import BinaryValueError, decode_array
from engine.database.connection import NOT_ONE_SELECT, NOT_ONE_SELECT_HINT
from engine.database.connection_string import parse_options
from engine.database.error_messages import translate_error
from engine.database.odbc import OdbcConnection
from engine.database.session import run_session_statements
from engine.database.watchdog import Watchdog
from engine.errors import DriverError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from engine.clock import Deadline
    from engine.database.connection import ServerFacts
    from engine.database.watchdog import T
    from engine.model.settings import SourceSettings

LEFT_OUT = frozenset({"driver", "app", "application name"})
"""Options of a connection string that the library keeps for itself: it brings its driver."""


class ColumnarConnection:
    """A SQL Server whose views are read in columns; all else is done by an ODBC connection beside."""

    def __init__(self, settings: SourceSettings, *, read_only: bool, deadline: Deadline | None = None) -> None:
        self._settings = settings
        self._driver = load_mssql_python()
        self._odbc = OdbcConnection(settings, read_only=read_only, deadline=deadline)
        self._watchdog = Watchdog(deadline)
        written = [(name, value) for name, value in parse_options(settings.connection or "")]
        kept = [f"{name}={value}" for name, value in written if name.lower() not in LEFT_OUT]
        if read_only and all(name.lower() != "applicationintent" for name, _ in written):
            kept.append("ApplicationIntent=ReadOnly")
        try:
            self._connection = self._call(
                lambda: self._driver.connect(";".join(kept), autocommit=False, timeout=settings.connect_timeout),
                connecting=True,
            )
            self._call(self._prepare, connecting=True)
        except BaseException:
            self.close()
            raise

    def read(self, sql: str, *, pack: bool = False) -> BatchResult:  # noqa: ARG002 - there is nothing to gain
        """Run one SELECT, as :class:`~engine.database.connection.Connection` says."""
        cursor = self._call(self._connection.cursor)
        self._call(lambda: cursor.execute(sql))
        if cursor.description is None:
            raise QueryError(NOT_ONE_SELECT, hint=NOT_ONE_SELECT_HINT)
        columns = tuple(str(column[0]) for column in cursor.description)
        return BatchResult(columns=columns, batches=self._batches(cursor, columns))

    def _batches(self, cursor: Any, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        reader = self._call(lambda: cursor.arrow_reader(self._settings.batch_rows))
        try:
            while (batch := self._call(lambda: _next_batch(reader), cancel=reader.close)) is not None:
                if batch.num_rows:
                    yield plain_batch(batch, columns)
        finally:
            with suppress(self._driver.Error, QueryError):
                self._call(reader.close)
                self._call(cursor.close)
                self._call(self._connection.rollback)

    def begin_snapshot(self) -> bool:
        """There is no transaction in which both connections see the same moment."""
        return False

    def list_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, over ODBC."""
        return self._odbc.list_columns()

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, over ODBC."""
        return self._odbc.describe()

    def close(self) -> None:
        """Close both connections; one whose call never ended is closed once it does."""
        connection = getattr(self, "_connection", None)
        if connection is None:
            self._watchdog.end()
        else:
            with suppress(self._driver.Error, QueryError):
                self._watchdog.close(connection.close, seconds=self._settings.query_timeout)
        self._odbc.close()

    def _prepare(self) -> None:
        self._connection.timeout = self._settings.query_timeout
        cursor = self._connection.cursor()
        run_session_statements(
            self._settings.session,
            cursor.execute,
            errors=self._driver.Error,
            message_of=lambda error: self._odbc.without_secrets(str(error)),
        )
        cursor.close()
        self._connection.commit()  # a rollback would take the session's settings back

    def _call(
        self, call: Callable[[], T], *, cancel: Callable[[], object] | None = None, connecting: bool = False
    ) -> T:
        settings = self._settings
        seconds = settings.connect_timeout if connecting else settings.query_timeout
        try:
            return self._watchdog.call(call, seconds=seconds, cancel=cancel)
        except (self._driver.Error, self._driver.ConnectionStringParseError, ValueError, ArithmeticError) as error:
            text = self._odbc.without_secrets(str(error))
            raise translate_error("", text, connecting=connecting) from None


def load_mssql_python() -> Any:
    """The module ``mssql_python``. Raises :class:`DriverError` where it is not installed."""
    try:
        import mssql_python
    except ImportError as error:
        raise DriverError(
            f"Microsoft's library cannot be used here: {error}",
            hint='Install it with `pip install "stock2shop-sync[mssql-python]"`, or remove `reader` under [source].',
        ) from None
    return mssql_python


def _next_batch(reader: Any) -> Any:
    """The reader's next batch; None where there is none."""
    try:
        return reader.read_next_batch()
    except StopIteration:
        return None


def plain_batch(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """A batch with values as :mod:`engine.database.connection` has them: texts, integers and booleans.

    Raises :class:`QueryError` for a type whose value cannot be given as pyodbc gives it.
    """
    import pyarrow as pa

    arrays = [_plain(values, name) for values, name in zip(batch.columns, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{number}" for number in range(len(columns))])


def _plain(values: pa.Array, name: str) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = values.type, pa.types
    if types.is_string(kind) or types.is_boolean(kind):
        return values
    if types.is_integer(kind):
        return values.cast(pa.int64())
    if types.is_binary(kind) or types.is_large_binary(kind):
        try:
            return decode_array(values.cast(pa.binary()), name)
        except BinaryValueError as error:
            raise error.as_query_error("tsql") from None
    if types.is_timestamp(kind) and kind.tz is None:
        return pc.replace_substring_regex(values.cast(pa.timestamp("us"), safe=False).cast(pa.string()), r"\.0+$", "")
    if types.is_time(kind):
        return pc.replace_substring_regex(values.cast(pa.time64("us"), safe=False).cast(pa.string()), r"\.0+$", "")
    if types.is_floating(kind):
        return pc.replace_substring_regex(expand_exponents(values.cast(pa.string())), r"\.0$", "")
    if types.is_decimal(kind):
        return _expanded_decimals(values.cast(pa.string()))
    if types.is_date(kind) or types.is_large_string(kind) or types.is_null(kind):
        return values.cast(pa.string())
    offset = types.is_timestamp(kind)
    raise QueryError(
        f"The column {name} is of a type that mssql-python gives in another way than pyodbc: {kind}.",
        hint=(
            "It loses the offset of a DATETIMEOFFSET: write convert(varchar(33), …, 126) in the view, or remove"
            if offset
            else "Write it as text, cast(… as nvarchar(4000)), or remove"
        )
        + " `reader` under [source].",
    )


def _expanded_decimals(values: pa.Array) -> pa.Array:
    """Texts of decimals with all their digits: Arrow writes small ones with an exponent, 1E-8."""
    import pyarrow.compute as pc

    return expand_exponents(pc.replace_substring(values, "E", "e"))
