"""Let `s2s agent` work for an hour on 200 small projects and 3 large ones, and kill it and its workers meanwhile.

One client's database holds a lock and answers no query, another one's is behind a network that is lost, a project's
configuration cannot be read, and rows change all the time. The agent runs with two workers beside a Stock2Shop in a
process of its own; somebody opens the console's first page every few seconds. Workers and the agent are killed with
SIGKILL at random; the agent is started again after as long as its systemd unit has it wait. At the end the run log says
which cadence was kept, and what Stock2Shop holds is compared with every source. Run it with `just agent-hour`, or
`just agent-hour --minutes 10 --small 50`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

import pyodbc  # noqa: E402 - as below
from support.servers import ADMIN, Postgres, Proxy, free_port  # noqa: E402 - the tests' servers live beside, not in a package

from engine.service.systemd import RESTART_SECONDS  # noqa: E402 - as above

CADENCE_SECONDS = 180
SMALL_ROWS, LARGE_ROWS = 500, (30_000, 30_000, 40_000)
HANGS, SILENT, BROKEN = "small_007", "small_011", "small_013"
PAGE_SECONDS, MEMORY_SECONDS, CHANGE_SECONDS, LARGE_CHANGE_SECONDS = 5.0, 10.0, 2.0, 45.0
WORKER_KILL_SECONDS, AGENT_KILL_SECONDS = 150.0, 420.0
"""How long it takes until the next kill, on average."""

PROGRAM = [sys.executable, "-m", "engine"]

TABLE = """\
create table item as
with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {rows})
select
    '{name}-P' || (n / 4) as product, '{name}-' || n as code, 'Title of the product ' || (n / 4) as title,
    n % 1000 + 1 as price, n % 100 as qty, 'S' || (n % 4) as size, 'Vendor ' || (n / 4 % 50) as vendor,
    'Type ' || (n / 4 % 30) as kind, 'b,a,c' as tags, n % 5000 as grams, n % 10 as qty_a,
    'brand of the thing ' || (n / 4 % 99) as brand
from numbers
"""

VIEW = """\
select
    product as source_product_code, code as source_variant_code, title, 'Active' as product_active,
    price as csv_price_tiers, qty as "variants.qty", code as "variants.sku", 1 as "variants.inventory_management",
    size as "variants.option1_value", vendor, kind as product_type, tags, grams as "variants.grams", qty_a as "qty_A",
    brand as "meta_brand"
from item
"""

PROJECT = """\
[source]
{source}

[stock2shop]
url = "http://127.0.0.1:{port}/v1"
source_id = 57
username = "${{HOUR_USER}}"
password = "${{HOUR_USER}}"
pace = 0

[products]
max_changes = "100%"
"""


def utc() -> datetime:
    """Now, in UTC, without a zone, as the run log has all times."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


@dataclass
class Seen:
    """What was measured: seconds of pages, MB by process, and when processes were killed and the agent was away."""

    pages: list[float] = field(default_factory=list)
    pages_missed: int = 0
    agent_mb: list[float] = field(default_factory=list)
    worker_mb: list[float] = field(default_factory=list)
    total_mb: list[float] = field(default_factory=list)
    three_mb: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    away: list[tuple[datetime, datetime]] = field(default_factory=list)
    workers_killed: int = 0
    changes: int = 0


class Workspace:
    """The projects, their databases, and the Stock2Shop of all of them."""

    def __init__(self, folder: Path, *, small: int, large: int) -> None:
        self.folder = folder
        self.port = free_port()
        self.small = [f"small_{number:03}" for number in range(1, small + 1)]
        self.large = [f"large_{number}" for number in range(1, large + 1)]
        self.healthy = [name for name in (*self.small, *self.large) if name not in {HANGS, SILENT, BROKEN}]
        more = {"HOUR_USER": "sandbox", "PYTHONPATH": str(HERE.parent), "XDG_CACHE_HOME": str(folder / "cache")}
        self.environment = {**os.environ, **more, "XDG_STATE_HOME": str(folder / "cache")}
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment.pop("S2S_STATE", None)
        for name in self.healthy:
            self._write(name, "dialect = 'sqlite'\ndatabase = 'erp.sqlite'")
            rows = SMALL_ROWS if name in self.small else LARGE_ROWS[int(name[-1]) % len(LARGE_ROWS)]
            execute(self.database(name), TABLE.format(rows=rows, name=name), "create unique index code on item (code)")
        (folder / "workspace.toml").write_text(f'[schedule]\nevery = "{CADENCE_SECONDS}s"\n')

    def database(self, name: str) -> Path:
        """Where a project's database is."""
        return self.folder / "projects" / name / "erp.sqlite"

    def add_served(self, name: str, server: Postgres, port: int) -> str:
        """A project whose database is of a server, at a port of its or of a proxy's; gives the database's name."""
        database = server.fresh_database()
        rows = f"generate_series(1, {SMALL_ROWS}) as numbers(n)"
        table = TABLE.partition("select\n")[2].format(name=name).replace("from numbers", f"from {rows}")
        server.execute(database, f"create table item as select {table}")
        self._write(name, f"dialect = 'postgres'\nconnection = '{server.connection(database, port=port)}'")
        return database

    def add_broken(self) -> None:
        """A project whose configuration cannot be read."""
        self._write(BROKEN, "dialect = 'sqlite")

    def _write(self, name: str, source: str) -> None:
        root = self.folder / "projects" / name
        (root / "views").mkdir(parents=True)
        (root / "views" / "products.sql").write_text(VIEW)
        (root / "project.toml").write_text(PROJECT.format(source=source, port=self.port))

    def start_sandbox(self) -> subprocess.Popen[bytes]:
        """Start the Stock2Shop, and wait until it answers."""
        process = subprocess.Popen(
            [*PROGRAM, "sandbox", "--port", str(self.port)],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        while not answers(f"http://127.0.0.1:{self.port}/_sandbox/faults"):
            time.sleep(0.1)
        return process

    def change(self, chance: random.Random, name: str, rows: int) -> None:
        """Change some rows of a project."""
        execute(
            self.database(name),
            f"update item set price = price + 1, qty = {chance.randrange(100)} where rowid in"
            f" (select rowid from item order by random() limit {rows})",
        )

    def differences(self) -> list[str]:
        """Where Stock2Shop holds something else than the source, for each healthy project."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_sandbox/products") as reply:
            held: dict[str, Any] = json.load(reply, parse_float=Decimal)
        found = []
        for name in self.healthy:
            with closing(sqlite3.connect(self.database(name))) as connection:
                source = {
                    code: (price, qty) for code, price, qty in connection.execute("select code, price, qty from item")
                }
            there = {code: numbers(item) for code, item in held.items() if code.startswith(f"{name}-")}
            wrong = sum(there.get(code) != each for code, each in source.items()) + len(there.keys() - source.keys())
            if wrong:
                found.append(f"{name}: {wrong:,} of {len(source):,}")
        return found


def numbers(item: dict[str, Any]) -> tuple[Any, Any]:
    """The price and the quantity that Stock2Shop holds of a variant."""
    return item.get("price"), item.get("qty")


def execute(path: Path, *statements: str) -> None:
    """Run statements in a SQLite file."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def answers(address: str) -> bool:
    """Whether somebody answers there."""
    with suppress(OSError), urllib.request.urlopen(address, timeout=10) as reply:
        return bool(reply.status == 200)
    return False


def children(process: int) -> list[int]:
    """The processes that a process has started, and that have not ended."""
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").glob("*"):
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def memory_mb(process: int) -> float:
    """The proportional share of memory of a process in MB; 0 where it has gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


class Supervisor:
    """Starts the agent, and again when it is gone, and does to it what happens in an hour."""

    def __init__(self, workspace: Workspace, chance: random.Random) -> None:
        self.seen = Seen()
        self._workspace = workspace
        self._chance = chance
        self._log = (workspace.folder / "agent.log").open("ab")
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._gone_at: datetime | None = None
        self.address = f"http://127.0.0.1:{self._port}/"

    def start(self) -> None:
        """Start the agent, and wait until it answers."""
        self._process = subprocess.Popen(
            [*PROGRAM, "--log-format", "json", "agent", "--workers", "2", "--port", str(self._port)],
            env=self._workspace.environment,
            cwd=self._workspace.folder,
            stdout=self._log,
            stderr=self._log,
        )

    def serve(self, until: float, *, quiet_from: float) -> None:
        """Do what happens at its time, until a moment; from ``quiet_from`` on nothing is killed or changed."""
        tasks: list[tuple[Callable[[], float], float]] = [
            (self._open_page, quiet_from),
            (self._weigh, quiet_from),
            (self._change_small, quiet_from),
            (self._change_large, quiet_from),
            (self._kill_worker, quiet_from),
            (self._kill_agent, quiet_from),
        ]
        due = {each: time.monotonic() + self._chance.uniform(1, 10) for each, _ in tasks}
        due[self._kill_worker] += WORKER_KILL_SECONDS / 2
        due[self._kill_agent] += AGENT_KILL_SECONDS / 2
        said = time.monotonic()
        while (moment := time.monotonic()) < until:
            for task, last in tasks:
                if due[task] <= moment < last:
                    due[task] = moment + task()
            assert self._process is not None
            if self._process.poll() is not None:
                self._restart()
            if moment - said > 300:
                said = moment
                kills = f"{self.seen.workers_killed} kills of workers, {len(self.seen.away)} of the agent"
                print(f"{utc():%H:%M} {len(self.seen.pages)} pages, {kills}", flush=True)
            time.sleep(0.2)

    def stop(self) -> tuple[int, float]:
        """Stop the agent in order; gives its exit code, and the seconds that it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(timeout=150)
        return code, time.monotonic() - began

    def kill(self) -> None:
        """End the agent at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _restart(self) -> None:
        if self._gone_at is None:
            raise SystemExit(f"The agent ended by itself, see {self._workspace.folder / 'agent.log'}.")
        time.sleep(RESTART_SECONDS)
        self.start()
        while not answers(f"{self.address}ready"):
            time.sleep(0.2)
        self.seen.away.append((self._gone_at, utc()))
        self._gone_at = None

    def _open_page(self) -> float:
        began = time.monotonic()
        if answers(self.address):
            self.seen.pages.append(time.monotonic() - began)
        else:
            self.seen.pages_missed += 1
        return PAGE_SECONDS

    def _weigh(self) -> float:
        assert self._process is not None
        agent, workers = memory_mb(self._process.pid), [memory_mb(each) for each in children(self._process.pid)]
        self.seen.agent_mb.append(agent)
        self.seen.worker_mb += workers
        self.seen.total_mb.append(agent + sum(workers))
        self.seen.three_mb.append(agent + sum(sorted(workers)[-2:]))
        self.seen.loads.append(os.getloadavg()[0])
        return MEMORY_SECONDS

    def _change_small(self) -> float:
        name = self._chance.choice([each for each in self._workspace.healthy if each in self._workspace.small])
        self._workspace.change(self._chance, name, self._chance.randint(1, 20))
        self.seen.changes += 1
        return CHANGE_SECONDS

    def _change_large(self) -> float:
        if self._workspace.large:
            self._workspace.change(self._chance, self._chance.choice(self._workspace.large), 300)
            self.seen.changes += 1
        return LARGE_CHANGE_SECONDS

    def _kill_worker(self) -> float:
        assert self._process is not None
        workers = children(self._process.pid)
        if workers:
            with suppress(ProcessLookupError):
                os.kill(self._chance.choice(workers), signal.SIGKILL)
            self.seen.workers_killed += 1
        return self._chance.expovariate(1 / WORKER_KILL_SECONDS)

    def _kill_agent(self) -> float:
        self.kill()
        self._gone_at = utc()
        return 30 + self._chance.expovariate(1 / (AGENT_KILL_SECONDS - 30))


def starts(folder: Path, since: datetime, until: datetime) -> dict[str, list[datetime]]:
    """When runs of each project began; one that found the project locked is none."""
    sql = "select project, started_at from runs where command = 'run' and outcome <> 'locked' order by id"
    found: dict[str, list[datetime]] = {}
    with closing(sqlite3.connect(folder / ".state" / "runs.sqlite")) as connection:
        for name, text in connection.execute(sql):
            if since <= (at := datetime.fromisoformat(text)) < until:
                found.setdefault(name, []).append(at)
    return found


def outcomes(folder: Path, since: datetime) -> dict[str, int]:
    """How many runs ended how."""
    sql = "select outcome, count(*) from runs where command = 'run' and started_at >= ? group by 1 order by 2 desc"
    with closing(sqlite3.connect(folder / ".state" / "runs.sqlite")) as connection:
        return dict(connection.execute(sql, [str(since)]).fetchall())


def gaps(times: Iterable[datetime], away: list[tuple[datetime, datetime]]) -> Iterator[tuple[float, float]]:
    """The seconds between starts, and those without the time that the agent was away."""
    for before, after in pairwise(times):
        gone = sum(max(0.0, (min(end, after) - max(begin, before)).total_seconds()) for begin, end in away)
        yield (after - before).total_seconds(), (after - before).total_seconds() - gone


def percentile(values: list[float], share: float) -> float:
    """The value that so large a share of ``values`` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def report(workspace: Workspace, seen: Seen, since: datetime, until: datetime) -> None:
    """Print what the run log and the measurements say."""
    found = starts(workspace.folder, since, until)
    longest = {}
    for name in workspace.healthy:
        pairs = list(gaps([since, *found.get(name, []), until], seen.away))
        longest[name] = (max(gap for gap, _ in pairs), max(gap for _, gap in pairs))
    cadences = (until - since).total_seconds() / CADENCE_SECONDS
    everything, without = ([pair[each] for pair in longest.values()] for each in (0, 1))
    healthy = sum(len(found.get(name, [])) for name in workspace.healthy)
    away = sum((end - begin).total_seconds() for begin, end in seen.away)
    print(f"{(until - since).total_seconds() / 60:.0f} minutes, {len(workspace.healthy)} healthy projects")
    print(f"load average: median {statistics.median(seen.loads):.1f}, at most {max(seen.loads):.1f}")
    print(f"runs of healthy projects: {healthy:,}; {cadences * len(workspace.healthy):,.0f} cadences")
    print(f"outcomes of all: {outcomes(workspace.folder, since)}")
    print(f"kills: {seen.workers_killed} of workers, {len(seen.away)} of the agent, which was away for {away:.0f} s")
    for text, values in (("gap between starts", everything), ("without the time that the agent was away", without)):
        print(
            f"longest {text}, by project: median {statistics.median(values):.0f} s,"
            f" 95 % {percentile(values, 0.95):.0f} s, most {max(values):.0f} s;"
            f" over two cadences: {sum(each > 2 * CADENCE_SECONDS for each in values)}"
        )
    print(
        "longest:",
        ", ".join(f"{name} {gap:.0f}" for name, (gap, _) in sorted(longest.items(), key=lambda e: -e[1][0])[:8]),
    )
    pages = seen.pages
    print(
        f"page of all clients: {len(pages)} times, median {statistics.median(pages) * 1000:.0f} ms,"
        f" 95 % {percentile(pages, 0.95) * 1000:.0f} ms, most {max(pages) * 1000:.0f} ms;"
        f" {seen.pages_missed} times nobody answered"
    )
    print(
        f"most memory, MB of PSS: agent {max(seen.agent_mb):.0f}, a worker {max(seen.worker_mb):.0f},"
        f" agent and two workers {max(seen.three_mb):.0f}, with the worker for long runs {max(seen.total_mb):.0f}"
    )
    print(f"changes of sources: {seen.changes:,}", flush=True)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--large", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started ends, too
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="s2s-hour-", ignore_cleanup_errors=True)))
        server = Postgres()
        stack.callback(server.remove)
        workspace = Workspace(folder, small=given.small, large=given.large)
        proxy = stack.enter_context(closing(Proxy(server.port, after=sys.maxsize, cuts=False)))
        workspace.add_served(SILENT, server, proxy.port)
        hanging = workspace.add_served(HANGS, server, server.port)
        sandbox = workspace.start_sandbox()
        stack.callback(sandbox.kill)
        began = time.monotonic()
        loaded = subprocess.run(
            [*PROGRAM, "run", "--all", "--jobs", "2"],
            env=workspace.environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if loaded.returncode:
            raise SystemExit(f"The first load failed: {loaded.stderr.decode()}")
        print(f"first load of all: {time.monotonic() - began:.0f} s, in {folder}", flush=True)
        workspace.add_broken()
        supervisor = Supervisor(workspace, chance)
        supervisor.start()
        stack.callback(supervisor.kill)
        while not answers(f"{supervisor.address}ready"):
            time.sleep(0.2)
        proxy.silence()
        holder = pyodbc.connect(server.connection(hanging, login=ADMIN), autocommit=False)
        stack.callback(holder.close)
        holder.execute("lock table item in access exclusive mode")
        since, began = utc(), time.monotonic()
        end = began + given.minutes * 60
        supervisor.serve(end, quiet_from=end)
        until = utc()
        report(workspace, supervisor.seen, since, until)
        supervisor.serve(end + CADENCE_SECONDS + 60, quiet_from=0)
        code, seconds = supervisor.stop()
        print(f"the agent ended with {code} after {seconds:.0f} s")
        wrong = workspace.differences()
        print("Stock2Shop holds what every source has" if not wrong else f"Stock2Shop differs: {wrong}")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
