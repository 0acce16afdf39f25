"""What pages show of a workspace, read from the run log, the ledgers and the configuration; masked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.config.workspace import discover
from engine.console.masking import masked_text
from engine.errors import SyncError
from engine.run_log.read import open_run_log
from engine.status.collect import collect_statuses, current_parts
from engine.sync.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.orders.entry import Entry
    from engine.orders.ledger import Ledgers
    from engine.run_log.read import Day, LoggedRun
    from engine.status.collect import ProjectStatus

MAX_RUNS, MAX_CHANGES, MAX_ORDERS, MAX_FOUND = 50, 50, 50, 50
"""So many are shown at most."""


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What the page of a client shows. ``orders`` is None where there is no ledger that can be read."""

    status: ProjectStatus
    days: Sequence[Day]
    runs: Sequence[LoggedRun]
    plans: Sequence[LoggedRun]
    columns: Sequence[tuple[str, str, int, int]]
    changes: Sequence[dict[str, Any]]
    quarantine: Sequence[dict[str, Any]]
    rules: Sequence[tuple[str, int]]
    orders: Sequence[Entry] | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What the ledger has of an order."""

    entry: Entry
    history: Sequence[tuple[str, str, str]]
    corrections: Sequence[tuple[str, Any, Any]]
    document: dict[str, Any] | None


class Workspace:
    """The workspace whose projects the console shows, the folder of their states, and where their orders are kept."""

    def __init__(self, folder: Path, state_folder: Path, ledgers: Ledgers) -> None:
        self.folder = folder
        self.state_folder = state_folder
        self.ledgers = ledgers

    def names(self) -> tuple[str, ...]:
        """The names of the projects."""
        return discover(self.folder)

    def statuses(self, names: Sequence[str]) -> list[ProjectStatus]:
        """The status of projects, what needs a person first."""
        return collect_statuses(self.folder, names, state_folder=self.state_folder, ledgers=self.ledgers)

    def days(self, since: date) -> dict[str, list[Day]]:
        """What each project's days came to."""
        with open_run_log(self.state_folder) as log:
            return log.days(since)

    def client(self, name: str, *, since: date) -> ClientFacts:
        """What is known of one project."""
        (status,) = self.statuses([name])
        counts = current_parts(self.folder)
        with open_run_log(self.state_folder) as log:
            runs = log.project_runs(name, limit=MAX_RUNS)
            last = {run.entity: run for run in log.last_runs(name) if counts(name, run.entity)}
            held = log.quarantine(name)
            found: dict[str, Any] = {
                "days": log.days(since, project=name).get(name, []),
                "columns": log.changed_columns(name),
                "changes": log.changes(name, limit=MAX_CHANGES),
            }
            plans = [run for run in last.values() if run.outcome == "guarded" and log.stopped_plan(name, run.entity)]
        rules = Counter(RULES[row["rule"]].reason if row["rule"] in RULES else row["rule"] for row in held)
        return ClientFacts(
            status=status,
            runs=runs,
            plans=plans,
            quarantine=held,
            rules=rules.most_common(),
            orders=self.orders(name),
            **found,
        )

    def run(self, name: str, number: int) -> tuple[LoggedRun, list[dict[str, Any]], list[dict[str, Any]], bool] | None:
        """A run, what it had acknowledged, what is refused of its entity, and whether its plan waits for approval."""
        with open_run_log(self.state_folder) as log:
            run = log.run(number)
            if run is None or run.project != name:
                return None
            of_run: dict[str, Any] = {"limit": MAX_CHANGES, "entity": run.entity, "run_id": run.run_id}
            changes = [] if run.run_id is None else log.changes(name, **of_run)
            refused = (
                [row for row in log.quarantine(name, run.entity) if row["rule"] == "refused"] if run.refused else []
            )
            stopped = log.stopped_plan(name, run.entity)
            return run, changes, refused, stopped is not None and stopped[0] == run.id

    def stopped_plan(self, name: str, entity: str) -> tuple[LoggedRun, dict[str, Any]] | None:
        """The plan that a guard stopped, with its run; None where none waits."""
        with open_run_log(self.state_folder) as log:
            found = log.stopped_plan(name, entity)
            run = None if found is None else log.run(found[0])
            return None if found is None or run is None else (run, found[1])

    def key(self, name: str, code: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Why the last runs held the rows with a code back, and what was acknowledged of them."""
        with open_run_log(self.state_folder) as log:
            keys = {key for project, _, key in log.find_keys(code, limit=MAX_FOUND, project=name)} | {code}
            held = [row for row in log.quarantine(name) if row["key"] in keys]
            changes = [row for key in sorted(keys) for row in log.changes(name, limit=MAX_CHANGES, key=key)]
        return held, changes

    def orders(self, name: str) -> list[Entry] | None:
        """The newest orders, those that wait or failed first; None where there are none or they cannot be read."""
        try:
            if not self.ledgers.has_ledger(name):
                return None
            with self.ledgers.viewed(name) as ledger:
                found = {entry.order_id: entry for entry in ledger.list_newest(limit=MAX_ORDERS)}
                for status in ("failed", "waiting"):
                    found |= {each.order_id: each for each in ledger.list_newest(status=status, limit=MAX_ORDERS)}
                entries = [
                    _without_people(each, ledger.load_document(each.order_id)) if each.reason or each.note else each
                    for each in found.values()
                ]
        except SyncError:  # the status says so
            return None
        waits = {"waiting": 0, "failed": 1}
        newest = sorted(entries, key=lambda entry: entry.received_at, reverse=True)
        return sorted(newest, key=lambda entry: waits.get(entry.status, 2))

    def order(self, name: str, order_id: int) -> OrderFacts | None:
        """What the ledger has of an order; None where there is none. Raises what the ledger raises."""
        if not self.ledgers.has_ledger(name):
            return None
        with self.ledgers.viewed(name) as ledger:
            if not ledger.list_entries("order_id = ?", order_id):
                return None
            document = ledger.load_document(order_id)
            return OrderFacts(
                _without_people(ledger.get_entry(order_id), document),
                [(at, status, masked_text(reason, document)) for at, status, reason in ledger.status_history(order_id)],
                ledger.corrections(order_id),
                document,
            )

    def find(self, text: str) -> tuple[list[str], list[tuple[str, Entry]], list[tuple[str, str, str]]]:
        """The projects, the orders and the rows that go by a code, a number or a name."""
        names = self.names()
        projects = [name for name in names if text.lower() in name.lower()][:MAX_FOUND]
        orders: list[tuple[str, Entry]] = []
        for name in names:
            if len(orders) >= MAX_FOUND:
                break
            try:
                if self.ledgers.has_ledger(name):
                    with self.ledgers.viewed(name) as ledger:
                        orders += [(name, entry) for entry in ledger.find_entries(text)]
            except SyncError:
                continue  # the status says so
        with open_run_log(self.state_folder) as log:
            keys = [found for found in log.find_keys(text, limit=MAX_FOUND) if found[0] in names]
        return projects, orders[:MAX_FOUND], keys


def _without_people(entry: Entry, document: Any) -> Entry:
    """An order of which no message repeats what its document says of people."""
    return replace(entry, reason=masked_text(entry.reason, document), note=masked_text(entry.note, document))


def today() -> date:
    """The day in this machine's zone."""
    return now().replace(tzinfo=timezone.utc).astimezone().date()


def days_ago(count: int) -> date:
    """The day so many days ago."""
    return today() - timedelta(days=count)
