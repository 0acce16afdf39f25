"""Measure `s2s run` beside a bare pyodbc loop over the same query: CPU seconds, wall seconds, peak memory.

The floor is pyodbc fetching every row and dropping it, tuned as well as is known here: texts as UTF-8, decimals as
text, no garbage collections, batches of 5,000. Each kind of run is interleaved with it, so that both meet the same
noise; the ratios are of the medians of CPU time. `--small` measures many small projects, and one as a process of its
own. Where `--dlt` names a Python that has dlt and connectorx, dlt copies the same table into a DuckDB file beside it.
Run it with `just bench`, or `just bench --rows 100000`.
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
import urllib.parse
import urllib.request
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.servers import PASSWORDS, READER, MariaDb, Postgres, Server, free_port  # noqa: E402 - the tests' servers live beside, not in a package

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


DLT = """\
import sys
import dlt
from dlt.sources.sql_database import sql_table

table = sql_table(credentials=sys.argv[1], table="item", backend="connectorx", reflection_level="minimal")
target = dlt.destinations.duckdb(sys.argv[2] + "/copy.duckdb")
pipeline = dlt.pipeline("bench", pipelines_dir=sys.argv[2], destination=target)
pipeline.run(table, write_disposition="replace")
"""

KINDS = ("floor", "nothing changed", "1 % changed", "0.1 % deleted")


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
    """A workspace of ``projects`` over one source, and a sandbox in a process of its own."""

    def __init__(self, folder: Path, source: str, *, view: str = VIEW, projects: int = 1) -> None:
        self.folder = folder
        port = free_port()
        for number in range(projects):  # the sandbox knows one source: all of them share it
            root = folder / "projects" / ("bench" if projects == 1 else f"bench_{number:02}")
            (root / "views").mkdir(parents=True)
            (root / "views" / "products.sql").write_text(view)
            (root / "project.toml").write_text(
                f"[source]\n{source}\n\n[stock2shop]\n"
                f'url = "http://127.0.0.1:{port}/v1"\nsource_id = 57\nusername = "${{U}}"\n'
                'password = "${U}"\npace = 0\n\n[products]\nmax_changes = "100%"\n'
            )
        # An installed package is compiled once; tokens are kept here, and not among the user's own.
        more = {
            "U": "sandbox",
            "PYTHONPATH": str(HERE.parent),
            "XDG_CACHE_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        }
        self.environment = {**os.environ, **more}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
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

    def run(self, *words: str) -> Cost:
        """One `s2s run`."""
        command = [sys.executable, "-m", "engine", "run", *(words or ("bench",))]
        return measure(command, env=self.environment, cwd=self.folder)

    def close(self) -> None:
        """Stop the sandbox."""
        self.sandbox.kill()
        self.sandbox.wait()


def show(name: str, kind: str, costs: list[Cost], base: float) -> None:
    """Print the medians of ``costs``, and how many times ``base`` they are."""
    cpu, wall, peak = (statistics.median(getattr(cost, part) for cost in costs) for part in ("cpu", "wall", "peak"))
    ratio = f"{cpu / base:6.2f} x floor" if base else ""
    print(f"{name:<18} {kind:<26} {cpu:8.2f} CPU s {wall:8.2f} s {peak:7.0f} MB {ratio}", flush=True)


def compare(name: str, bench: Bench, floor: list[str], change: Callable[[str], None], options: Options) -> None:
    """First load, then rounds of floor, nothing changed, 1 % changed and 0.1 % deleted; and dlt, where it is given."""
    found: dict[str, list[Cost]] = {"first load": [bench.run()], **{kind: [] for kind in KINDS}}
    bench.run()
    for number in range(options.rounds):
        found["floor"].append(measure(floor))
        found["nothing changed"].append(bench.run())
        change(f"update item set price = price + 1 where qty = {number}")
        found["1 % changed"].append(bench.run())
        change(f"delete from item where grams % 1000 = {501 + number}")
        found["0.1 % deleted"].append(bench.run())
        if options.dlt and options.url:
            with tempfile.TemporaryDirectory(prefix="s2s-dlt-") as folder:
                command = [options.dlt, "-c", DLT, options.url, folder]
                for kind in ("dlt, first copy", "dlt, each further copy"):
                    found.setdefault(kind, []).append(
                        measure(command, env={**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false"})
                    )
    base = statistics.median(cost.cpu for cost in found["floor"])
    for kind, costs in found.items():
        show(name, kind, costs, base)


@dataclass(frozen=True)
class Options:
    """How often each kind of run is measured; the Python that has dlt, and the address that it reads from."""

    rounds: int
    dlt: str = ""
    url: str = ""


def measure_server(server: Server, name: str, rows: int, folder: Path, options: Options) -> None:
    """A database server: what it is asked for comes through ODBC."""
    mysql = isinstance(server, MariaDb)
    database = server.fresh_database()
    columns = COLUMNS.format(html="repeat('<p>some text here</p> ', 15)", filler="repeat('x', 40)")
    numbers = f"generate_series(1, {rows}) as numbers(n)"
    view = VIEW
    if mysql:
        view = VIEW.replace('"', "`")
        columns, numbers = columns.replace("n / 4", "n div 4"), f"(select seq as n from seq_1_to_{rows}) as numbers"
        server.execute(database, "set global sql_mode = concat(@@global.sql_mode, ',PIPES_AS_CONCAT')")
    charset = " character set utf8mb4" if mysql else ""
    server.execute(
        database,
        f"create table item{charset} as select {columns} from {numbers}",
        "create index item_code on item (code)",
    )
    server.execute(database, "analyze table item" if mysql else "analyze item")
    connection = server.connection(database)
    bench = Bench(
        folder, f"dialect = '{'mysql' if mysql else 'postgres'}'\nconnection = {json.dumps(connection)}", view=view
    )
    # For the floor the cursor of PostgreSQL's driver, which is the fastest; the engine declares one in SQL.
    tuned = connection if mysql else f"{connection};UseDeclareFetch=1;Fetch=2000;BoolsAsChar=0"
    floor = [sys.executable, "-c", FLOOR, tuned, view, "1" if mysql else "0", "1"]
    login = f"{READER}:{urllib.parse.quote(PASSWORDS[READER], safe='')}@127.0.0.1:{server.port}/{database}"
    url = f"mysql+pymysql://{login}" if mysql else f"postgresql+psycopg2://{login}"
    try:
        compare(f"{name} {rows:,}", bench, floor, lambda sql: server.execute(database, sql), replace(options, url=url))
    finally:
        bench.close()


def postgres(rows: int, folder: Path, options: Options) -> None:
    """PostgreSQL through psqlODBC with its cursor."""
    server = Postgres()
    try:
        measure_server(server, "PostgreSQL", rows, folder, options)
    finally:
        server.remove()


def mariadb(rows: int, folder: Path, options: Options) -> None:
    """MariaDB through its own driver."""
    server = MariaDb()
    try:
        measure_server(server, "MariaDB", rows, folder, options)
    finally:
        server.remove()


def make_sqlite(path: Path, rows: int) -> str:
    """Make the table in a SQLite file; gives its [source]."""
    columns = COLUMNS.format(
        html="replace(hex(zeroblob(15)), '00', '<p>some text here</p> ')", filler="hex(zeroblob(20))"
    )
    execute_sqlite(
        path,
        "create table item as with recursive numbers(n) as"
        f" (select 1 union all select n + 1 from numbers where n < {rows}) select {columns} from numbers",
    )
    return f"dialect = 'sqlite'\ndatabase = {json.dumps(str(path))}"


def execute_sqlite(path: Path, sql: str) -> None:
    """Run one statement in a SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()


def sqlite(rows: int, folder: Path, options: Options) -> None:
    """A SQLite file: the engine through Python's module, the floor through ODBC."""
    path = folder / "erp.sqlite"
    bench = Bench(folder, make_sqlite(path, rows))
    floor = [sys.executable, "-c", FLOOR, f"Driver=SQLite3;Database={path};StepAPI=1;BigInt=1", VIEW, "1", "0"]
    try:
        compare(f"SQLite {rows:,}", bench, floor, lambda sql: execute_sqlite(path, sql), options)
    finally:
        bench.close()


def small(projects: int, rounds: int) -> None:
    """Many small projects of 2,000 rows each, and one of them as a process of its own."""
    for count in (1, projects):
        with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
            bench = Bench(Path(folder), make_sqlite(Path(folder) / "erp.sqlite", 2_000), projects=count)
            try:
                words = ("bench",) if count == 1 else ("--all",)
                first = [bench.run(*words)]
                costs = [bench.run(*words) for _ in range(rounds)]
            finally:
                bench.close()
        show(f"{count} small, 2,000", "first load", first, 0)
        show(f"{count} small, 2,000", "nothing changed", costs, 0)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 500_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--source", choices=["postgres", "mariadb", "sqlite", "none"], nargs="+", default=[*SOURCES])
    parser.add_argument("--small", type=int, default=50, help="how many small projects; 0 for none")
    parser.add_argument("--dlt", default="", help="a Python that has dlt, connectorx and the databases' drivers")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for rows in given.rows:
        for name, measure_source in SOURCES.items():
            if name in given.source:
                with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
                    measure_source(rows, Path(folder), Options(given.rounds, given.dlt))
    if given.small:
        small(given.small, given.rounds)
    print("load average:", *(f"{load:.1f}" for load in os.getloadavg()))


SOURCES = {"postgres": postgres, "mariadb": mariadb, "sqlite": sqlite}


if __name__ == "__main__":
    main()
