"""What every connection to a client's database can do, whichever kind of database it is.

Values arrive as text, or as Arrow integers or booleans: dates and timestamps in ISO 8601, decimals with all their
digits, floats as the shortest digits that read back the same, bytes as the text in UTF-8 that they hold (a column whose
bytes are no text is refused by name). The text of a value
depends on that value alone, never on its neighbours in a batch, so that the same data always reads the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa


NOT_ONE_SELECT = "A view is one SELECT, and this is something else or more than one statement."

NOT_ONE_SELECT_HINT = "Write one SELECT; CTEs may help. `s2s render` shows the SQL as it was sent."


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """The driver and the database behind a connection.

    ``read_only`` tells whether the connection refuses to write, ``login_may_write`` whether the login has the right to;
    each is None where it cannot be told. ``notes`` are sentences for people about what the driver gets wrong.
    """

    driver: str
    driver_version: str
    dbms: str
    dbms_version: str
    read_only: bool | None = None
    login_may_write: bool | None = None
    notes: tuple[str, ...] = ()


SEPARATOR = "\x1f"
"""What stands between the values of a packed row. Cleaning would take it out of any value."""

NULL_MARK = "\x1e"
"""What stands for NULL in a packed row. A value that is nothing else counts as blank anyhow."""


class Batches(Protocol):
    """A result: its columns as the driver names them, and its rows as record batches, which can be read once.

    Where it is ``packed`` a batch has one column: the values of each row as one text, with :data:`SEPARATOR` between
    them and :data:`NULL_MARK` for NULL. A row that cannot be packed, since a value holds the separator, or since the
    text is longer than the server sends, is NULL or has another number of values. Iterating raises :class:`QueryError`
    when the database breaks off: a result never just ends early.
    """

    columns: tuple[str, ...]
    packed: bool

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class Connection(Protocol):
    """An open connection that reads, to be used by one thread at a time."""

    def read(self, sql: str, *, pack: bool = False) -> Batches:
        """Run one SELECT; with ``pack`` the rows may come packed, where that is cheaper.

        Raises :class:`QueryError` when the database refuses it, breaks off or takes too long.
        """

    def begin_snapshot(self) -> bool:
        """Begin a transaction in which every read sees the same moment; False where the database has none.

        Raises :class:`QueryError` as :meth:`read` does.
        """

    def list_columns(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema (blank where there is none), table, column and type.

        In the order of the tables' columns. Raises :class:`QueryError` as :meth:`read` does.
        """

    def describe(self) -> ServerFacts:
        """The driver and the database with their versions, for ``s2s doctor``."""

    def close(self) -> None:
        """Close the connection; after that it must not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What one statement returned: the rows of its first result that has columns, names as written.

    ``touched`` counts the rows that it wrote or returned; None where the driver does not say.
    """

    rows: list[dict[str, Any]]
    touched: int | None


class Writer(Protocol):
    """A transaction on the login that writes orders; its first statement begins it.

    Raises :class:`WriteError`, which is ``retriable`` where the same may succeed later.
    """

    def execute(self, sql: str, binds: Sequence[object]) -> WriteResult:
        """Run one statement with its values."""

    def commit(self) -> None:
        """Keep what was executed."""

    def rollback(self) -> None:
        """Undo what was executed and not kept; never raises."""
