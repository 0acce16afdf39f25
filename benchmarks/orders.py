"""Measure what raising an order costs by its lines: CPU seconds of this process, and how long other orders wait.

Each order is raised in a database of three tables on SQLite, PostgreSQL and MariaDB, whose servers are the tests' own.
Other orders wait while the project's lock is held. Run it with `python benchmarks/orders.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from support.erp import Erp, in_sqlite, on_server, order_document  # noqa: E402 - the tests' ERP lives beside
from support.servers import MariaDb, Postgres  # noqa: E402 - found by the path above

from engine.orders import ledger_file  # noqa: E402 - as above
from engine.orders.ledger_file import raising_lock  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator


def main() -> None:
    """Raise orders of several sizes in each database; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, nargs="+", default=[100, 1_000, 10_000])
    sizes = parser.parse_args().lines
    sandbox: Any = SimpleNamespace(url="http://127.0.0.1:9")  # nothing is sent there
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite", in_sqlite(Path(folder), sandbox), sizes)
    for name, dialect, start in (("PostgreSQL", "postgres", Postgres), ("MariaDB", "mysql", MariaDb)):
        server: Any = start()
        try:
            with tempfile.TemporaryDirectory() as folder:
                measure(name, on_server(server, dialect, Path(folder), sandbox), sizes)
        finally:
            server.remove()


def measure(name: str, erp: Erp, sizes: list[int]) -> None:
    """Raise an order of each size, after a small one that loads everything."""
    held = 0.0

    @contextmanager
    def watched_lock(*arguments: Any) -> Iterator[None]:
        nonlocal held
        with raising_lock(*arguments):
            began = time.perf_counter()
            yield
            held = time.perf_counter() - began

    vars(ledger_file)["raising_lock"] = watched_lock
    erp.write('default_customer = "CASH"')
    erp.receive(order_document(1))
    line = {"sku": "A", "qty": 1, "price": 1, "sub_total": 1, "tax": 0, "total": 1}
    for order_id, lines in enumerate(sizes, 2):
        document = order_document(order_id, line_items=[line] * lines, total=lines + 50)
        cpu, wall = time.process_time(), time.perf_counter()
        (entry,) = erp.receive(document)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(f"{name:12}{lines:8,} lines  {entry.status}  {cpu:6.2f} CPU s  {wall:6.2f} s, {held:6.2f} s of it locked")


if __name__ == "__main__":
    main()
