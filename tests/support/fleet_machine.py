"""One machine of a fleet as a process: ``python -m support.fleet_machine POINT COUNT WORDS…`` runs ``s2s WORDS``.

It freezes itself with SIGSTOP at a point, when that is come to for the COUNT-th time: before it logs in, before a POST
of products, before a receipt is recorded, before what is left is stored at the end, before a whole file that is
uploaded becomes the state; of an order, before it is noted that its commit is sent, and before that. Leases and retries
are short, as in the tests.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

LEASE_SECONDS = 2.0

POINTS = {
    "login": ("engine.stock2shop.client", "Stock2Shop", "_authenticate"),
    "post": ("engine.stock2shop.session", "Session", "request"),
    "receipt": ("engine.sync.dispatch", "", "record_receipt"),
    "store": ("engine.fleet.checkout", "Checkout", "finish"),
    "pointer": ("engine.fleet.stored_states", "", "_is_next"),
    "note": ("engine.orders.ledger", "Ledger", "mark_commit_sent"),
    "commit": ("engine.database.writer", "DbApiWriter", "commit"),
}


def freeze_at(point: str, count: int) -> None:
    """Put the freezing in."""
    module, owner, name = POINTS[point]
    target: Any = import_module(module)
    target = getattr(target, owner) if owner else target
    original, calls = getattr(target, name), 0

    def frozen(*values: Any, **named: Any) -> Any:
        nonlocal calls
        calls += name != "request" or values[2].endswith("/products/queue")
        if calls == count:
            os.kill(os.getpid(), signal.SIGSTOP)
        return original(*values, **named)

    setattr(target, name, frozen)


def shorten() -> None:
    """Have leases, retries and the worker's own times be short."""
    from engine.fleet import database, lease, object_store, stored_states, versions, worker
    from engine.state.store import DUCKDB_SETTINGS

    lease.LEASE_SECONDS, database.RETRY_SECONDS = float(os.environ.get("LEASE_SECONDS", LEASE_SECONDS)), 1.0
    worker.TICK_SECONDS, worker.BEAT_SECONDS, worker.RESTART_SECONDS = 0.5, 0.1, 0.5
    if "CHECKPOINTS" in os.environ:
        DUCKDB_SETTINGS["wal_autocheckpoint"] = os.environ["CHECKPOINTS"]
    if "OBJECT_BYTES" in os.environ:
        stored_states.MIN_OBJECT_BYTES, object_store.RETRY_SECONDS = int(os.environ["OBJECT_BYTES"]), 1
    worker.HEARTBEAT_SECONDS, worker.STALLED_SECONDS = 0.5, 2.0
    versions.ALIVE_SECONDS = 2.0


def run_job(job: Mapping[str, Any], stop: threading.Event, report: Callable[[Mapping[str, Any]], None]) -> Any:
    """Run a project in a warm process of a worker, with short times."""
    from engine.cli import run

    shorten()
    return run.run_job(job, stop, report)


if __name__ == "__main__":
    from engine.agent import agent
    from engine.cli.app import main

    shorten()
    freeze, number, *words = sys.argv[1:]
    if freeze in POINTS:
        freeze_at(freeze, int(number))
    made = agent.Projects
    agent.Projects = lambda **named: made(**{**named, "run": "support.fleet_machine:run_job"})  # type: ignore[misc, assignment] # a stand-in
    sys.argv = ["s2s", *words]
    main()
