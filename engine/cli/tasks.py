"""What the agent's workers do besides running projects: pull orders, retry one, explain a code.

A task is JSON: ``{"do": "pull"}``, ``{"do": "retry", "order": 1001}`` or ``{"do": "explain", "code": "HAM-500"}``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.failures import ATTENTION, exit_code, report_error
from engine.cli.fleet_state import order_ledgers, state_at_hand
from engine.cli.signals import run_controls
from engine.cli.versions import load_good
from engine.errors import SyncError, UnknownKeyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.cli.session import Session
    from engine.orders.entry import Entry

    Results = list[dict[str, Any]]


def perform(session: Session, name: str, task: Mapping[str, Any]) -> tuple[int, Results]:
    """Do a task for one project; gives the exit code, and what came of it. What goes wrong is printed."""
    work = {"pull": _pull, "retry": _retry, "explain": _explain}[task["do"]]
    try:
        return work(session, name, task)
    except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
        report_error(session, error, project=name, lead=True)
        message = f"{error.message} {error.hint}".strip() if isinstance(error, SyncError) else type(error).__name__
        return exit_code(error), [{"project": name, "error": session.terminal.mask(message)}]


def _pull(session: Session, name: str, _task: Mapping[str, Any]) -> tuple[int, Results]:
    from engine.cli.orders import pull_recorded

    loaded = load_good(session, name)
    with run_controls(session, name, "orders") as (stop, _):
        return _tell(session, name, pull_recorded(session, loaded, stop=stop))


def _retry(session: Session, name: str, task: Mapping[str, Any]) -> tuple[int, Results]:
    from engine.orders.operations import retry_orders

    loaded = load_good(session, name)
    with run_controls(session, name, "orders") as (stop, _):
        return _tell(session, name, retry_orders(loaded, order_ledgers(session), (task["order"],), stop=stop))


def _tell(session: Session, name: str, entries: list[Entry]) -> tuple[int, Results]:
    """Print what became of orders."""
    for entry in entries:
        code = f" as {entry.source_order_code}" if entry.source_order_code else ""
        session.terminal.print_text(f"{name}: order {entry.order_id} is {entry.status}{code}")
    waits = any(entry.status in {"waiting", "failed"} for entry in entries)
    return ATTENTION if waits else 0, [entry.as_json() for entry in entries]


def _explain(session: Session, name: str, task: Mapping[str, Any]) -> tuple[int, Results]:
    """The stories of a code, of each entity that knows it; personal data is masked."""
    from engine.sync.explain import explain

    loaded = load_good(session, name)
    found: Results = []
    unknown: SyncError = UsageError(f"{name} syncs no products and no customers.")
    for entity in loaded.entities:
        try:
            with state_at_hand(session, loaded) as (at_hand, _):
                found.append({"story": asdict(explain(at_hand, entity, task["code"]))})
        except UnknownKeyError as error:
            unknown = error
    if not found:
        raise unknown
    return 0, found
