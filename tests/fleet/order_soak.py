"""Kill receivers of a fleet at random moments, and see that each order is in the client's database once.

    python tests/fleet/order_soak.py --orders 2000 --kills 40
    python tests/fleet/order_soak.py --orders 1000 --kills 10 --freezes 15 --restarts 5

Real processes and two real PostgreSQL servers: the fleet's and the client's. Each sender sends an order to one of the
receivers, and again to any of them until it is answered with the order's code. Each kill is of a random receiver, in
whatever it does, and another one on a machine of its own is started in its place; a frozen one wakes up after its lease
has ended; a server is killed and started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent), str(TESTS)]

import requests  # noqa: E402 - after the path
from support.erp import NOTHING_UNIQUE, Erp, on_server, order_document  # noqa: E402 - the checkout's own
from support.fleet_machine import LEASE_SECONDS  # noqa: E402 - as above
from support.servers import ADMIN, PASSWORDS, Postgres, free_port  # noqa: E402 - as above

from engine.sandbox.server import Sandbox  # noqa: E402 - as above
from engine.sandbox.settings import SandboxSettings  # noqa: E402 - as above


class Soak:
    """The workspace, the servers and the receivers."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.options = options
        self.draw = random.Random(options.seed)
        self.sandbox = Sandbox(SandboxSettings()).start()
        self.postgres, self.client = Postgres(), Postgres()
        self.erp: Erp = on_server(self.client, "postgres", folder, self.sandbox)
        self.erp.write('default_customer = "CASH"', statements=NOTHING_UNIQUE)
        (folder / "workspace.toml").write_text('[fleet]\ndatabase = "${S2S_FLEET}"\n', "utf-8")
        self.receivers: dict[int, subprocess.Popen[bytes]] = {}
        self.started = 0
        self.answers: Counter[str] = Counter()

    def environment(self, machine: str) -> dict[str, str]:
        """What a command on a machine sees."""
        address = f"postgresql://{ADMIN}:{quote(PASSWORDS[ADMIN])}@127.0.0.1:{self.postgres.port}/postgres"
        paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
        own = {"S2S_FLEET": address, "S2S_STATE": str(self.folder / machine), "PYTHONPATH": paths}
        return {**os.environ, **self.erp.environment, **own}

    def call(self, *words: str) -> str:
        """Run a command to its end."""
        command = [sys.executable, "-m", "engine", *words]
        ran = subprocess.run(command, cwd=self.folder, env=self.environment("m0"), capture_output=True, check=True)
        return ran.stdout.decode()

    def start_receiver(self) -> None:
        """Start a receiver on a machine of its own."""
        self.started += 1
        port, machine = free_port(), f"m{self.started}"
        words = ["support.fleet_machine", "never", "0", "orders", "serve", "acme", "--port", str(port)]
        with (self.folder / f"{machine}.log").open("wb") as log:
            self.receivers[port] = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=self.folder,
                env=self.environment(machine),
                stdout=log,
                stderr=log,
            )

    def kill_receiver(self) -> None:
        """Kill a random receiver."""
        process = self.receivers.pop(self.draw.choice([*self.receivers]))
        process.kill()
        process.wait()

    def freeze_receiver(self) -> None:
        """Freeze a random receiver for longer than its lease lasts."""
        process = self.draw.choice([*self.receivers.values()])
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.draw.uniform(1.0, 3.0) * LEASE_SECONDS)
        process.send_signal(signal.SIGCONT)

    def restart_server(self) -> None:
        """Kill one of the servers, and start it again."""
        server = self.draw.choice([self.postgres, self.client])
        server.stop()
        for _ in range(20):
            time.sleep(self.draw.uniform(0.5, 2.0))
            with suppress(AssertionError):  # what it had started is still ending
                server.start()
                return

    def send(self, number: int) -> None:
        """Send an order until it is answered with its code."""
        while True:
            port = random.choice([*self.receivers] or [1])
            try:
                url = f"http://127.0.0.1:{port}/orders"
                answer = requests.post(url, json=order_document(number), timeout=120)
            except requests.RequestException:
                self.answers["no answer"] += 1
                time.sleep(0.05)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code == 200:
                return
            time.sleep(0.1)


def main() -> int:
    """Run it; gives 1 where an order is missing, or there twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--freezes", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--receivers", type=int, default=2)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="s2s-soak-") as folder:
        soak = Soak(Path(folder), options)
        try:
            return run(soak)
        finally:
            while soak.receivers:
                soak.kill_receiver()
            soak.postgres.remove()
            soak.client.remove()
            soak.sandbox.stop()


def run(soak: Soak) -> int:
    """Send, kill, and judge."""
    options = soak.options
    soak.call("fleet", "init")
    for _ in range(options.receivers):
        soak.start_receiver()
    began, done = time.monotonic(), threading.Event()
    faults = [soak.kill_receiver] * options.kills + [soak.freeze_receiver] * options.freezes
    faults += [soak.restart_server] * options.restarts
    soak.draw.shuffle(faults)
    made: Counter[str] = Counter()
    with ThreadPoolExecutor(options.senders) as pool:
        sent = [pool.submit(soak.send, number) for number in range(1, options.orders + 1)]
        while not all(each.done() for each in sent):
            done.wait(soak.draw.uniform(0.5, 4.0))
            if faults and not all(each.done() for each in sent):
                fault = faults.pop()
                fault()
                made[fault.__name__] += 1
                while len(soak.receivers) < options.receivers:
                    soak.start_receiver()
    seconds = time.monotonic() - began
    times = dict(soak.erp.rows("select s2s_id, count(*) from erp_order group by s2s_id"))
    listed = json.loads(soak.call("orders", "list", "acme", "--limit", "1000000", "--output", "json"))["result"]
    codes = {f"SO{number}" for (number,) in soak.erp.rows("select id from erp_order")}
    found = {
        "orders": options.orders,
        "raised once": sum(count == 1 for count in times.values()),
        "raised twice": sum(count > 1 for count in times.values()),
        "missing": sum(number not in times for number in range(1, options.orders + 1)),
        "lines": soak.erp.rows("select count(*) from erp_line")[0][0],
        "faults": dict(made),
        "seconds": round(seconds, 1),
        "answers": dict(soak.answers),
        "in the ledger": dict(Counter(each["status"] for each in listed)),
        "codes agree": {each["source_order_code"] for each in listed} == codes,
    }
    for number in [number for number in range(1, options.orders + 1) if times.get(number) != 1]:
        print(soak.call("orders", "show", "acme", str(number), "--output", "json"))
    print(json.dumps(found, indent=2))
    return 0 if found["raised once"] == options.orders and found["codes agree"] else 1


if __name__ == "__main__":
    sys.exit(main())
