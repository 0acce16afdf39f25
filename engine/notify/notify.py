"""Find what changed since people were last told, send it, and remember that."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from engine.clock import now
from engine.config.notifications import is_quiet
from engine.file_lock import file_lock
from engine.files import WorkspaceFiles, exists, make_private_folder, replace_file
from engine.notify.changes import TROUBLES, Change, compose, find_changes
from engine.notify.digest import compose_digest
from engine.notify.send import ping, send_message
from engine.run_log.read import open_run_log
from engine.status.collect import collect_statuses, current_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from engine.config.notifications import NotifySettings
    from engine.config.schedule import DigestTime
    from engine.orders.ledger import Ledgers
    from engine.run_log.read import RunLogReader
    from engine.status.collect import ProjectStatus

LOCK_SECONDS = 1
"""How long to wait for another process that notifies; it sends what this one would."""

log = logging.getLogger(__name__)

_warned: set[str] = set()

_unsaved: dict[Path, Memory] = {}
"""What people know, by the file into which it could not be written: nobody is sent the same every minute for that."""


@dataclass(slots=True, kw_only=True)
class Memory:
    """What people know.

    The kinds of trouble by project, by ping the run that it was last sent for, and for whom which digest was last due.
    """

    known: dict[str, list[str]] = field(default_factory=dict)
    pinged: dict[str, str] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


def notify(
    workspace: Path,
    state_folder: Path,
    settings: Mapping[str, NotifySettings],
    *,
    ledgers: Ledgers,
    up_for: timedelta | None,
) -> None:
    """Send what is news of the projects with ``settings``.

    Raises nothing: what cannot be sent is warned of, and sent later. ``up_for`` is how long an agent has been up; None
    where there is none.
    """
    try:
        wrong = _notify(workspace, state_folder, settings, ledgers=ledgers, up_for=up_for)
    except Exception as error:  # noqa: BLE001 - a notification never fails a run
        wrong = [f"{type(error).__name__}"]
    warn(wrong)


def warn(wrong: Sequence[str]) -> None:
    """Warn of what went wrong, of each thing once in this process."""
    for message in wrong:
        if message not in _warned:
            _warned.add(message)
            log.warning("Somebody may not be notified: %s. It is tried again after the next run.", message)


def send_test(settings: Mapping[str, NotifySettings]) -> tuple[int, list[str]]:
    """Send a message to every address, and ping; gives how many there are, and what went wrong."""
    groups = {each.urls for each in settings.values() if each.urls}
    pings = {each.ping for each in settings.values() if each.ping}
    wrong: list[str] = []
    for urls in sorted(groups):
        wrong += send_message(urls, "Stock2Shop: a test", "`s2s notify --test` sent this. Nothing is wrong.")
    for url in sorted(pings):
        wrong += ping(url, failing=False)
    return len({url for urls in groups for url in urls} | pings), wrong


def _notify(
    workspace: Path,
    state_folder: Path,
    settings: Mapping[str, NotifySettings],
    *,
    ledgers: Ledgers,
    up_for: timedelta | None,
) -> list[str]:
    make_private_folder(state_folder)
    with file_lock(state_folder / "notified.lock", seconds=LOCK_SECONDS) as held:
        if not held:
            return []
        path = state_folder / "notified.json"
        memory = _read(path)
        statuses = collect_statuses(workspace, [*settings], state_folder=state_folder, ledgers=ledgers)
        with open_run_log(state_folder) as run_log:
            failing = run_log.failures_since_good(current_parts(workspace))
            digests, undelivered = _send_digests(memory, statuses, settings, run_log)
        known, wrong = _send_changes(memory, statuses, settings, failing=failing, up_for=up_for)
        pinged, failed = _send_pings(memory, statuses, settings)
        after = Memory(known=known, pinged=pinged, digests=digests)
        unsaved = _keep(path, after) if after != memory or path in _unsaved else []
        return wrong + failed + undelivered + unsaved


def _send_changes(
    memory: Memory,
    statuses: Sequence[ProjectStatus],
    settings: Mapping[str, NotifySettings],
    *,
    failing: Collection[str],
    up_for: timedelta | None,
) -> tuple[dict[str, list[str]], list[str]]:
    """Send one message to each group of addresses; gives what people know then, and what went wrong."""
    moment = now()
    local = moment.replace(tzinfo=timezone.utc).astimezone()
    news: dict[tuple[str, ...], list[Change]] = {}
    known = {status.project: memory.known.get(status.project, []) for status in statuses}
    later: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for status in statuses:
        of = settings[status.project]
        if not of.urls or is_quiet(of, local):
            continue
        changes, after = find_changes(
            known[status.project], status, of, failing=status.project in failing, up_for=up_for
        )
        news.setdefault(of.urls, []).extend(changes)
        later.setdefault(of.urls, {})[status.project] = after
    wrong: list[str] = []
    for urls, changes in news.items():
        failed = send_message(urls, *compose(changes)) if changes else []
        wrong += failed
        if len(failed) < len(urls):  # somebody has it: no second time for those whose address works
            known |= later[urls]
    return {project: kinds for project, kinds in known.items() if kinds}, wrong


def _send_digests(
    memory: Memory,
    statuses: Sequence[ProjectStatus],
    settings: Mapping[str, NotifySettings],
    run_log: RunLogReader,
) -> tuple[dict[str, str], list[str]]:
    """Send each digest that has become due; gives which was last due for whom, and what went wrong.

    The first one comes a day after it was written down, so that nobody has one at any other time.
    """
    moment = now()
    local = moment.replace(tzinfo=timezone.utc).astimezone()
    groups: dict[tuple[tuple[str, ...], DigestTime], list[ProjectStatus]] = {}
    for status in statuses:
        of = settings[status.project]
        if of.urls and of.digest is not None:
            groups.setdefault((of.urls, of.digest), []).append(status)
    digests: dict[str, str] = {}
    wrong: list[str] = []
    for (urls, digest), members in groups.items():
        key = _secret_key("\n".join([*urls, f"{digest.at} {digest.zone}"]))
        due = digest.last_due(moment)
        before = memory.digests.get(key)
        digests[key] = due.isoformat()
        if before is None or datetime.fromisoformat(before) >= due:
            continue
        if is_quiet(settings[members[0].project], local):
            digests[key] = before
            continue
        since = due - timedelta(days=1)
        title, text = compose_digest(
            members, since=since, totals=run_log.totals_since(since), failures=run_log.failures_since(since)
        )
        failed = send_message(urls, title, text)
        wrong += failed
        if len(failed) == len(urls):
            digests[key] = before
    return digests, wrong


def _secret_key(text: str) -> str:
    """What stands for an address, which is a secret."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _send_pings(
    memory: Memory, statuses: Sequence[ProjectStatus], settings: Mapping[str, NotifySettings]
) -> tuple[dict[str, str], list[str]]:
    """Ping for each address under which something has run since the last ping; the worst of its projects counts."""
    groups: dict[str, list[ProjectStatus]] = {}
    for status in statuses:
        if settings[status.project].ping:
            groups.setdefault(settings[status.project].ping, []).append(status)
    pinged: dict[str, str] = {}
    wrong: list[str] = []
    for url, members in groups.items():
        key = _secret_key(url)
        newest = max((str(each.last_run_at) for each in members if each.last_run_at is not None), default="")
        if newest != memory.pinged.get(key, ""):
            failed = ping(url, failing=any(each.condition in TROUBLES for each in members))
            wrong += failed
            newest = memory.pinged.get(key, "") if failed else newest
        if newest:
            pinged[key] = newest
    return pinged, wrong


def _keep(path: Path, memory: Memory) -> list[str]:
    """Keep what people know; gives what went wrong. Where the disk is full, this process knows it nevertheless."""
    try:
        replace_file(path, json.dumps(asdict(memory)).encode(), mode=0o600)
    except OSError as error:
        _unsaved[path] = memory
        return [f"what was sent cannot be noted in {path}: {error.strerror}"]
    _unsaved.pop(path, None)
    return []


def _read(path: Path) -> Memory:
    """What people know; nothing where the file is not there or cannot be understood."""
    if path in _unsaved:
        return _unsaved[path]
    if not exists(path):
        return Memory()
    try:
        found: Any = json.loads(WorkspaceFiles((path.parent,)).read(path))
        return Memory(
            known={str(project): [str(kind) for kind in kinds] for project, kinds in found["known"].items()},
            pinged={str(key): str(at) for key, at in found["pinged"].items()},
            digests={str(key): str(at) for key, at in found.get("digests", {}).items()},
        )
    except (ValueError, KeyError, AttributeError, TypeError):
        return Memory()
