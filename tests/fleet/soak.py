"""Kill workers of a fleet at random moments, and see that Stock2Shop is as the sources are in the end.

    python tests/fleet/soak.py --kills 50 --projects 6 --workers 3
    python tests/fleet/soak.py --kills 0 --projects 20 --workers 2 --every 10 --seconds 120 --quiet
    python tests/fleet/soak.py --kills 0 --projects 500 --rows 2000 --workers 4 --every 180 --seconds 720 --quiet --full

Real processes, a real PostgreSQL, and a sandbox in a process of this program. Sources change all the while; each kill
is of a random worker and all its processes, in whatever it does, and another worker is started in its place. In the end
nothing changes any more, and what the sandbox holds is compared with the sources, without any code of the engine's.
It prints what it cost: how often runs overlapped, turns that had no run, CPU seconds a run, rows that were sent twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

from support.servers import ADMIN, PASSWORDS, Postgres, free_port  # noqa: E402 - the checkout's own

from engine.sandbox.server import Sandbox  # noqa: E402 - as above
from engine.sandbox.settings import SandboxSettings  # noqa: E402 - as above

PROJECT = """\
[project]
description = "A project of the soak"

[source]
dialect = "sqlite"
database = "erp.sqlite"

[stock2shop]
url = "${TEST_URL}"
source_id = 57
username = "${TEST_USER}"
password = "${TEST_PASSWORD}"
pace = 0
batch_variants = BATCH

[products]
max_changes = 1000000
max_deletes = 1000000
max_deletes_per_day = 1000000
"""

VIEW = """\
select
    code as source_product_code, code as source_variant_code, 'Item' as title, 'Yes' as product_active,
    price as csv_price_tiers, '1' as "variants.qty", code as "variants.sku", 'true' as "variants.inventory_management"
from item
"""


class Soak:
    """The workspace, the servers and the workers."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.sandbox = Sandbox(SandboxSettings()).start()
        self.postgres = Postgres()
        self.names = [f"p{number:03}" for number in range(options.projects)]
        self.draw = random.Random(options.seed)
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.started = 0
        self.cpu = 0.0
        (folder / "workspace.toml").write_text('[fleet]\ndatabase = "${S2S_FLEET}"\n', "utf-8")
        for name in self.names:
            root = folder / "projects" / name
            (root / "views").mkdir(parents=True)
            (root / "project.toml").write_text(PROJECT.replace("BATCH", str(options.batch)), "utf-8")
            (root / "views" / "products.sql").write_text(VIEW, "utf-8")
            with closing(sqlite3.connect(self.source(name))) as erp, erp:
                erp.execute("create table item (code text primary key, price text)")
                erp.executemany(
                    "insert into item values (?, '1')", [(f"{name}-{item}",) for item in range(options.rows)]
                )

    def source(self, name: str) -> Path:
        """The database of a project."""
        return self.folder / "projects" / name / "erp.sqlite"

    def environment(self, machine: str) -> dict[str, str]:
        """What a command on a machine sees."""
        address = f"postgresql://{ADMIN}:{quote(PASSWORDS[ADMIN])}@127.0.0.1:{self.postgres.port}/postgres"
        variables = {"TEST_URL": self.sandbox.url, "TEST_USER": "sandbox", "TEST_PASSWORD": "sandbox"}
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        own = {"S2S_FLEET": address, "S2S_STATE": str(self.folder / machine), "PYTHONPATH": paths}
        return {**os.environ, **variables, **own}

    def call(self, *words: str) -> str:
        """Run a command to its end."""
        command = [sys.executable, "-m", "engine", *words]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment("m0"), capture_output=True, check=True)
        return ran.stdout.decode()

    def start_worker(self) -> None:
        """Start a worker on a machine of its own."""
        machine = f"m{self.started}"
        self.started += 1
        program = ["support.fleet_machine", "never", "0"] if self.options.short else ["engine"]
        words = ["fleet", "worker", "--every", f"{self.options.every}s", "--slots", "2", "--port", str(free_port())]
        with (self.folder / f"{machine}.log").open("wb") as log:
            self.workers[machine] = subprocess.Popen(
                [sys.executable, "-m", *program, *words],
                cwd=self.folder,
                env=self.environment(machine),
                stdout=log,
                stderr=log,
            )

    def kill_worker(self) -> None:
        """Kill a random worker and all that it started."""
        machine = self.draw.choice([*self.workers])
        process = self.workers.pop(machine)
        for child in children(process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        process.wait()

    def change(self) -> None:
        """Change some rows of a random project: prices, new ones, gone ones."""
        name = self.draw.choice(self.names)
        with closing(sqlite3.connect(self.source(name), timeout=30)) as erp, erp:
            for _ in range(self.draw.randint(1, self.options.rows)):
                code = f"{name}-{self.draw.randrange(2 * self.options.rows)}"
                if self.draw.random() < 0.2:
                    erp.execute("delete from item where code = ?", [code])
                else:
                    erp.execute("insert or replace into item values (?, ?)", [code, str(self.draw.randint(1, 999))])

    def wanted(self) -> dict[str, float]:
        """What Stock2Shop should hold."""
        found: dict[str, float] = {}
        for name in self.names:
            with closing(sqlite3.connect(self.source(name), timeout=30)) as erp:
                found |= {code: float(price) for code, price in erp.execute("select code, price from item")}
        return found

    def held(self) -> dict[str, float]:
        """What it does hold."""
        return {code: float(each["price"]) for code, each in self.sandbox.products(57).items()}

    def wait_until_equal(self, seconds: float) -> float:
        """Wait until Stock2Shop is as the sources are, for so long at most; gives the seconds that it took."""
        began = time.monotonic()
        looked = 0.0  # what a look takes is half of the time at most: the sandbox is in this process
        while time.monotonic() < began + seconds:
            time.sleep(max(0.2, looked))
            look_began = time.monotonic()
            if self.held() == self.wanted():
                break
            looked = time.monotonic() - look_began
        return time.monotonic() - began

    def runs(self) -> list[tuple[str, str, str, str]]:
        """The project, the begin, the end and the outcome of each run, as all machines' run logs have them."""
        found: set[tuple[str, str, str, str]] = set()  # a machine has the others' runs as well
        for number in range(self.started):
            path = self.folder / f"m{number}" / "runs.sqlite"
            if path.exists():
                with closing(sqlite3.connect(path, timeout=30)) as log:
                    sql = "select project, started_at, coalesce(finished_at, started_at), outcome from runs"
                    found |= {*log.execute(sql).fetchall()}
        return sorted(found)


def children(process: int) -> list[int]:
    """The processes that one started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, check=False, text=True)
    return [int(each) for each in listed.stdout.split()]


def cpu_seconds(soak: Soak) -> float:
    """The CPU seconds of the workers that are up, and of what they started."""
    total = 0.0
    for worker in soak.workers.values():
        for process in (worker.pid, *children(worker.pid)):
            with suppress(OSError):
                words = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
                total += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return total


def server_seconds(soak: Soak) -> float:
    """The CPU seconds of PostgreSQL, of what it started, and of what it had started."""
    server = soak.postgres._process
    assert server is not None
    total = 0.0
    for process in (server.pid, *children(server.pid)):
        with suppress(OSError):
            words = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
            total += sum(int(each) for each in words[11 : 15 if process == server.pid else 13])
    return total / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run it; gives 1 where Stock2Shop is not as the sources are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--projects", type=int, default=6)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--batch", type=int, default=50, help="rows a request")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="how long to go on after the last kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet", action="store_true", help="change nothing: every run is of unchanged rows")
    parser.add_argument("--full", dest="short", action="store_false", help="leases and ticks as long as in production")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="s2s-soak-") as folder:
        soak = Soak(Path(folder), options)
        try:
            return run(soak)
        finally:
            while soak.workers:
                soak.kill_worker()
            soak.postgres.remove()
            soak.sandbox.stop()


def run(soak: Soak) -> int:
    """Kill, change, and judge."""
    options = soak.options
    soak.call("fleet", "init")
    for _ in range(options.workers):
        soak.start_worker()
    first_load = soak.wait_until_equal(1800)
    done = threading.Event()

    def keep_changing() -> None:
        while not done.wait(soak.draw.uniform(0.05, 0.4)):
            soak.change()

    if not options.quiet:
        threading.Thread(target=keep_changing, daemon=True).start()
    for number in range(options.kills):
        time.sleep(soak.draw.uniform(0.5, 4.0))
        soak.kill_worker()
        soak.start_worker()
        print(f"kill {number + 1}", flush=True)
    measured = measure(soak)
    done.set()
    settled = soak.wait_until_equal(120)
    time.sleep(3 * options.every)
    equal = soak.held() == soak.wanted()
    found = {
        "equal": equal,
        "seconds of the first load": round(first_load, 1),
        "seconds until equal": round(settled, 1),
        **report(soak),
        "measured": measured,
    }
    print(json.dumps(found, indent=2))
    return 0 if equal else 1


def measure(soak: Soak) -> dict[str, object]:
    """What runs cost for a while."""
    before = {*soak.runs()}
    began, cpu, server = time.monotonic(), cpu_seconds(soak), server_seconds(soak)
    time.sleep(soak.options.seconds)
    lasted, made = time.monotonic() - began, {*soak.runs()} - before
    runs, turns = len(made), int(lasted / soak.options.every)
    by_project = Counter(project for project, *_ in made)
    return {
        "seconds": round(lasted, 1),
        "runs": runs,
        "turns": turns * len(soak.names),
        "turns without a run": sum(max(0, turns - by_project[name]) for name in soak.names),
        "CPU seconds a run": round((cpu_seconds(soak) - cpu) / runs, 3) if runs else None,
        "of PostgreSQL": round((server_seconds(soak) - server) / runs, 4) if runs else None,
    }


def report(soak: Soak) -> dict[str, object]:
    """What was seen."""
    all_runs = soak.runs()
    by_project = defaultdict(list)
    for project, begin, end, outcome in all_runs:
        if outcome not in {"running", "broken off", "locked"}:
            by_project[project].append((begin, end))
    overlaps = 0
    for spans in by_project.values():
        spans.sort()
        overlaps += sum(one[1] > other[0] for one, other in pairwise(spans))
    return {
        "overlaps": overlaps,
        "outcomes": dict(Counter(outcome for *_, outcome in all_runs)),
        "posted items": sum(each.items for each in soak.sandbox.requests if each.path.endswith("/products/queue")),
        "logins": sum(each.path.endswith("authenticate") for each in soak.sandbox.requests),
        "refused tokens": sum(each.status == 401 for each in soak.sandbox.requests),
    }


if __name__ == "__main__":
    sys.exit(main())
