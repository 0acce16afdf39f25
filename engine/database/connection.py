"""connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What answered: ``read_only`` is None where it cannot be told; ``notes`` are a driver's traps, for people."""

    driver: str
    driver_version: str
    dbms: str
    dbms_version: str
    read_only: bool | None = None
    notes: tuple[str, ...] = ()


class Batches(Protocol):
    """A result: its columns as the driver names them, and its rows as record batches, to be read once.

    Where it is ``packed`` a batch has one column: each row as PostgreSQL writes a composite value, such as
    ``(A,"1,5",,"")``, in which nothing between commas is NULL. Iterating raises :class:`QueryError` when the database
    breaks off: a result never just ends early.
    """

    columns: tuple[str, ...]
    packed: bool

    def __iter__(self) -> Iterator[pa.RecordBatch]: ...


class Connection(Protocol):
    """An open source."""

    def read(self, sql: str, *, pack: bool = False) -> Batches:
        """Run one SELECT; with ``pack`` the rows may come packed, where that is cheaper.

        Raises :class:`QueryError` when the database refuses it, breaks off or takes too long.
        """

    def hold(self) -> bool:
        """Let all that is read from now on be of one moment; tells whether the database can."""

    def catalogue(self) -> Iterator[tuple[str, str, str, str]]:
        """Every column that the login sees, as schema (blank where there is none), table, column and type.

        In the order of the tables' columns. Raises :class:`QueryError` as :meth:`read` does.
        """

    def describe(self) -> ServerFacts:
        """What answered, for ``s2s doctor``."""

    def close(self) -> None:
        """Give the connection back."""


class Writer(Protocol):
    """A transaction on the read-write login.

    Raises :class:`WriteError`, which is ``retriable`` where the same may succeed later.
    """

    def execute(self, sql: str, binds: Sequence[object]) -> list[dict[str, Any]]:
        """Run one statement with its values; gives the rows of the first result that has columns, names as written."""

    def commit(self) -> None:
        """Keep what was executed."""

    def rollback(self) -> None:
        """Undo what was executed and not kept; never raises."""
