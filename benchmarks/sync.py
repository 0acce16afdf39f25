"""Measure `s2s run` beside a bare pyodbc loop over the same query: CPU seconds, wall seconds, peak memory.

The floor is pyodbc fetching every row and dropping it, tuned as well as is known here: texts as UTF-8, decimals as
text, no garbage collections, batches of 5,000. Each kind of run is interleaved with it, so that both meet the same
noise; the ratios are of the medians of CPU time. Run it with `just bench`, or `just bench --rows 100000`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.servers import Postgres, free_port  # noqa: E402 - the tests' servers live beside, not in a package

COLUMNS = """
    'P' || (n / 4) as product,
    'V' || n as code,
    'Title of the product number ' || (n / 4) as title,
    'Active' as flag,
    cast((n % 1000) + 0.5 as decimal(18, 4)) as price,
    n % 100 as qty,
    'V' || n as sku,
    1 as managed,
    'S' || (n % 4) as size,
    {html} as html,
    'Collection ' || (n / 4 % 10) as collection,
    'Type ' || (n / 4 % 30) as kind,
    'b,a,c' as tags,
    'Vendor ' || (n / 4 % 50) as vendor,
    '600' || n as barcode,
    n % 5000 as grams,
    cast((n % 777) + 0.25 as decimal(18, 4)) as trade,
    cast((n % 77) + 0.1 as decimal(18, 4)) as retail,
    n % 10 as qty_a,
    n % 20 as qty_b,
    'colour ' || (n / 4 % 12) as m1,
    'brand of the thing ' || (n / 4 % 99) as m2,
    {filler} as m3,
    'note ' || (n / 4 % 7) as m4,
    'origin ' || (n / 4 % 5) as m5
"""

VIEW = """\
select
    product as source_product_code, code as source_variant_code, title, flag as product_active,
    price as csv_price_tiers, qty as "variants.qty", sku as "variants.sku", managed as "variants.inventory_management",
    size as "variants.option1_value", html as body_html, collection, kind as product_type, tags, vendor,
    barcode as "variants.barcode", grams as "variants.grams", trade as "price_Trade", retail as "price_Retail",
    qty_a as "qty_A", qty_b as "qty_B", m1 as "meta_colour", m2 as "meta_brand", m3 as "meta_text", m4 as "meta_note",
    m5 as "meta_origin"
from item
"""

FLOOR = """\
import gc, sys, pyodbc
connection = pyodbc.connect(sys.argv[1], autocommit=sys.argv[3] == "1")
connection.decimal_mode = "text"
if sys.argv[4] == "1":
    for kind in (pyodbc.SQL_CHAR, pyodbc.SQL_WCHAR):
        connection.setdecoding(kind, encoding="utf-8", ctype=pyodbc.SQL_CHAR)
cursor = connection.cursor()
cursor.execute(sys.argv[2])
gc.disable()
count = 0
while rows := cursor.fetchmany(5000):
    count += len(rows)
print(count)
"""


@dataclass(frozen=True)
class Cost:
    """What one process cost: CPU and wall in seconds, peak memory in MB."""

    cpu: float
    wall: float
    peak: float


def measure(command: list[str], **more: Any) -> Cost:
    """Run ``command`` to its end."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    assert process.stdout is not None
    assert process.stderr is not None
    said, complained = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in {0, 4}:
        raise SystemExit(f"{command[:4]} failed: {complained.decode()} {said.decode()}")
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


class Bench:
    """A workspace, a sandbox in a process of its own, and one source."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        root = folder / "projects" / "bench"
        (root / "views").mkdir(parents=True)
        (root / "views" / "products.sql").write_text(VIEW)
        port = free_port()
        (root / "project.toml").write_text(
            f"[source]\n{source}\n\n[stock2shop]\n"
            f'url = "http://127.0.0.1:{port}/v1"\nsource_id = 57\nusername = "${{U}}"\npassword = "${{U}}"\npace = 0\n'
            '\n[products]\nmax_changes = "100%"\n'
        )
        self.environment = {**os.environ, "U": "sandbox", "PYTHONPATH": str(HERE.parent)}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
        self.sandbox = subprocess.Popen(
            [sys.executable, "-m", "engine", "sandbox", "--port", str(port)],
            env=self.environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(200):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_sandbox/requests"):
                break
            time.sleep(0.05)

    def run(self) -> Cost:
        """One `s2s run`."""
        return measure([sys.executable, "-m", "engine", "run", "bench"], env=self.environment, cwd=self.folder)

    def close(self) -> None:
        """Stop the sandbox."""
        self.sandbox.kill()
        self.sandbox.wait()


def compared(name: str, bench: Bench, floor: list[str], change: Any, rounds: int) -> dict[str, list[Cost]]:
    """First load, then rounds of floor, nothing changed and 1 % changed."""
    found: dict[str, list[Cost]] = {"first load": [bench.run()], "floor": [], "nothing changed": [], "1 % changed": []}
    bench.run()
    for number in range(rounds):
        found["floor"].append(measure(floor))
        found["nothing changed"].append(bench.run())
        change(number)
        found["1 % changed"].append(bench.run())
    base = statistics.median(cost.cpu for cost in found["floor"])
    for kind, costs in found.items():
        cpu, wall, peak = (statistics.median(getattr(cost, part) for cost in costs) for part in ("cpu", "wall", "peak"))
        print(
            f"{name:<10} {kind:<16} {cpu:8.2f} CPU s {wall:8.2f} s {peak:7.0f} MB   {cpu / base:5.2f} x floor",
            flush=True,
        )
    return found


def postgres(rows: int, rounds: int, folder: Path) -> None:
    """PostgreSQL through psqlODBC with its cursor."""
    server = Postgres()
    try:
        database = server.fresh_database()
        columns = COLUMNS.format(html="repeat('<p>some text here</p> ', 15)", filler="repeat('x', 40)")
        server.execute(
            database,
            f"create table item as select {columns} from generate_series(1, {rows}) as numbers(n)",
            "create index on item (code)",
            "analyze item",
        )
        connection = server.connection(database)
        bench = Bench(folder, f"dialect = 'postgres'\nconnection = {json.dumps(connection)}")
        # For the floor the driver's own cursor, which is the fastest; the engine reads through one declared in SQL.
        tuned = f"{connection};UseDeclareFetch=1;Fetch=2000;BoolsAsChar=0"
        floor = [sys.executable, "-c", FLOOR, tuned, VIEW, "0", "1"]

        def change(number: int) -> None:
            server.execute(
                database,
                f"update item set price = price + 1, barcode = barcode || '{number}' where qty = {number}",
            )

        try:
            compared(f"PostgreSQL {rows:,}", bench, floor, change, rounds)
        finally:
            bench.close()
    finally:
        server.remove()


def sqlite(rows: int, rounds: int, folder: Path) -> None:
    """A SQLite file: the engine through Python's module, the floor through ODBC."""
    path = folder / "erp.sqlite"
    columns = COLUMNS.format(
        html="replace(hex(zeroblob(15)), '00', '<p>some text here</p> ')", filler="hex(zeroblob(20))"
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "create table item as with recursive numbers(n) as"
            f" (select 1 union all select n + 1 from numbers where n < {rows}) select {columns} from numbers"
        )
        connection.commit()
    bench = Bench(folder, f"dialect = 'sqlite'\ndatabase = {json.dumps(str(path))}")
    floor = [sys.executable, "-c", FLOOR, f"Driver=SQLite3;Database={path};StepAPI=1;BigInt=1", VIEW, "1", "0"]

    def change(number: int) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("update item set price = price + 1 where qty = ?", (number,))
            connection.commit()

    try:
        compared(f"SQLite {rows:,}", bench, floor, change, rounds)
    finally:
        bench.close()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[500_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", choices=["postgres", "sqlite", "both"], default="both")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for rows in options.rows:
        for name, measured in (("postgres", postgres), ("sqlite", sqlite)):
            if options.source in {name, "both"}:
                with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
                    measured(rows, options.rounds, Path(folder))


if __name__ == "__main__":
    main()
