"""Hash rows with DuckDB's own SQL, outside of the state's connection, which is busy while rows stream into it."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from engine.embedded import connect_duckdb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


@cache
def _hash_database() -> duckdb.DuckDBPyConnection:
    """A database in memory that lasts as long as the process: opening one for each view of a test run would be slow."""
    return connect_duckdb(":memory:", settings={"threads": "1"})


@contextmanager
def hash_function(expression: str) -> Iterator[Callable[[Sequence[pa.RecordBatch]], npt.NDArray[np.uint64]]]:
    """Inside the block, a function gives the value of the SQL ``expression``, an unsigned 64-bit number, for each row.

    It takes record batches and gives one array with a number for each of their rows, in order.
    """
    import pyarrow as pa

    sql = f"select {expression} as hashed from batch"  # noqa: S608 - the caller's own SQL
    with _hash_database().cursor() as connection:

        def hashed(batches: Sequence[pa.RecordBatch]) -> npt.NDArray[np.uint64]:
            connection.register("batch", pa.Table.from_batches(batches))
            return connection.execute(sql).fetchnumpy()["hashed"]

        yield hashed
