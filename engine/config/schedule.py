"""When a project runs: ``[schedule]`` of its ``project.toml``, or of the workspace's ``workspace.toml``.

And whether it takes orders, and what its runs are about. It is read without the rest of a project, its variables least
of all: who looks whether a project is late has no passwords, and wants to know it of a project whose configuration is
broken, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from engine.config.toml_text import parse_toml
from engine.config.values import InvalidValueError, check_timezone
from engine.errors import ConfigError, Diagnostic
from engine.files import WorkspaceFiles, exists
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

DURATION = r"^\s*[1-9]\d*\s*(s|m|h|d)\s*$"
"""How a cadence is written: a whole number of seconds, minutes, hours or days."""

QUIET = r"^\s*\d\d:\d\d\s*-\s*\d\d:\d\d\s*$"
"""How quiet hours are written: ``20:00-06:30``."""

MAX_DURATION = timedelta(days=1_000)
"""The longest cadence."""

LATE_CADENCES = 2
"""A project is late where no run has begun for so many cadences, and :data:`LATE_GRACE` more."""

LATE_GRACE = timedelta(minutes=1)

CRON_GRACE = timedelta(minutes=10)
"""A project is late where no run has begun for so long after the moment that its ``cron`` names."""

MAX_CRON_MOMENTS = 1_000
"""Of so many moments of ``cron`` one has to be outside of quiet hours."""

MAX_QUIET_DAYS = 400
"""For so many days quiet hours are taken off the time since the last run; before that nothing is."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

QuietHours = tuple[time, time]
"""From when to when no run begins; past midnight where the end is before the begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When runs begin: ``every`` so often, or when ``cron`` says; none begins in the hours ``quiet``.

    ``cron`` and ``quiet`` are meant in ``zone`` and ``quiet_zone``. All moments that go in and come out are UTC,
    without a zone.
    """

    every: timedelta | None = None
    cron: str = ""
    zone: ZoneInfo | timezone = timezone.utc
    quiet: tuple[QuietHours, ...] = ()
    quiet_zone: ZoneInfo | timezone = timezone.utc

    @property
    def runs(self) -> bool:
        """Whether it says that anything runs."""
        return self.every is not None or bool(self.cron)

    def next_moment(self, after: datetime) -> datetime:
        """The first moment after another one that ``cron`` names, quiet hours or not.

        Where clocks are put forward or back it is as Debian's cron does it: nothing is left out, and nothing that has
        an hour of its own runs twice.
        """
        from cronsim import CronSim

        local = after.replace(tzinfo=timezone.utc).astimezone(self.zone)
        return next(CronSim(self.cron, local)).astimezone(timezone.utc).replace(tzinfo=None)

    def is_quiet(self, moment: datetime) -> bool:
        """Whether no run begins at a moment."""
        if not self.quiet:
            return False
        local = moment.replace(tzinfo=timezone.utc).astimezone(self.quiet_zone).time()
        return any(is_between(local, hours) for hours in self.quiet)

    def late_by(self, last: datetime, moment: datetime) -> timedelta | None:
        """By how much a project is late whose last run began at ``last``; None where it is not late.

        Quiet hours do not count.
        """
        if self.cron:
            due = last
            for _ in range(MAX_CRON_MOMENTS):
                due = self.next_moment(due)
                if due > moment or not self.is_quiet(due):
                    return moment - due if moment - due > CRON_GRACE else None
            return None
        if self.every is None:
            return None
        age = moment - last
        if age <= self.every * LATE_CADENCES + LATE_GRACE:
            return None
        age -= self._quiet_time(last, moment)
        return age - self.every if age > self.every * LATE_CADENCES + LATE_GRACE else None

    def _quiet_time(self, begin: datetime, end: datetime) -> timedelta:
        """How much of the time between two moments is quiet."""
        spans = sorted(
            (max(first, begin), min(last, end)) for first, last in self._quiet_spans(begin, end) if first < end
        )
        total, reached = timedelta(), begin
        for first, last in spans:
            if last > reached:
                total += last - max(first, reached)
                reached = last
        return total

    def _quiet_spans(self, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        first = end - timedelta(days=MAX_QUIET_DAYS) if end - begin > timedelta(days=MAX_QUIET_DAYS) else begin
        day = first.replace(tzinfo=timezone.utc).astimezone(self.quiet_zone).date() - timedelta(days=1)
        while self.quiet and self._moment(day, time()) < end:
            for begins, ends in self.quiet:
                until = day + timedelta(days=1) if ends <= begins else day
                yield self._moment(day, begins), self._moment(until, ends)
            day += timedelta(days=1)

    def _moment(self, day: Any, at: time) -> datetime:
        local = datetime.combine(day, at, tzinfo=self.quiet_zone)
        return local.astimezone(timezone.utc).replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class OrderWays:
    """Whether a project raises orders, which Stock2Shop then may send, and whether it asks Stock2Shop for them."""

    taken: bool = False
    pulled: bool = False


def parse_duration(text: str) -> timedelta:
    """A cadence such as ``3m``. Raises :class:`ValueError` for anything else.

    >>> parse_duration("90s").total_seconds()
    90.0
    """
    found = re.match(DURATION, text)
    if not found:
        raise ValueError('a cadence is a whole number of s, m, h or d, such as "3m"')
    try:
        duration = timedelta(**{_UNITS[found[1]]: int(text.strip().rstrip("smhd"))})
    except OverflowError:
        duration = timedelta.max
    if duration > MAX_DURATION:
        raise ValueError(f"a cadence is at most {MAX_DURATION.days:,} days")
    return duration


def check_duration(text: str | None) -> str | None:
    """``text`` as it is. Raises :class:`ValueError` where :func:`parse_duration` does."""
    if text is not None:
        parse_duration(text)
    return text


def check_cron(text: str | None) -> str | None:
    """``text`` as it is. Raises :class:`ValueError` for what is no five fields of cron, or names no moment at all."""
    from cronsim import CronSim, CronSimError

    if text is None:
        return None
    wrong = 'cron has five fields, such as "15 6 * * MON-FRI": minute, hour, day, month, day of the week'
    if len(text.split()) != 5:  # noqa: PLR2004 - cronsim takes a field for seconds, too
        raise ValueError(wrong)
    try:
        next(CronSim(text, datetime.now(timezone.utc)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"{wrong} ({str(error) or 'it names no moment'})") from None
    return text


def parse_quiet(text: str) -> QuietHours:
    """Quiet hours. Raises :class:`ValueError` for what is none.

    >>> parse_quiet("20:00-06:30")
    (datetime.time(20, 0), datetime.time(6, 30))
    """
    if not re.match(QUIET, text):
        raise ValueError('quiet hours are written like "20:00-06:30"')
    begin, _, end = text.partition("-")
    return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())


def check_quiet(text: str | None) -> str | None:
    """``text`` as it is. Raises :class:`ValueError` where :func:`parse_quiet` does."""
    if text is not None:
        parse_quiet(text)
    return text


DIGEST = r"^\s*\d\d:\d\d\s+\S+\s*$"
"""How the time of a digest is written: ``07:00 Africa/Johannesburg``."""


@dataclass(frozen=True, slots=True)
class DigestTime:
    """When the digest of a day is due."""

    at: time
    zone: ZoneInfo

    def last_due(self, moment: datetime) -> datetime:
        """The last moment at which one was due, at ``moment`` or before; both are UTC, without a zone.

        >>> parse_digest("07:00 Africa/Johannesburg").last_due(datetime(2026, 3, 2, 4, 59))
        datetime.datetime(2026, 3, 1, 5, 0)
        """
        local = moment.replace(tzinfo=timezone.utc).astimezone(self.zone)
        for day in (local.date(), local.date() - timedelta(days=1)):
            due = datetime.combine(day, self.at, tzinfo=self.zone).astimezone(timezone.utc).replace(tzinfo=None)
            if due <= moment:
                break
        return due


def parse_digest(text: str) -> DigestTime:
    """The time of a digest, with its zone. Raises :class:`ValueError` for what is none."""
    if not re.match(DIGEST, text):
        raise ValueError('digest is written like "07:00 Africa/Johannesburg"')
    at, zone = text.split()
    try:
        return DigestTime(time.fromisoformat(at), ZoneInfo(check_timezone(zone)))
    except InvalidValueError:
        raise ValueError(f"digest has {zone!r}, which is no time zone such as Africa/Johannesburg") from None


def check_digest(text: str | None) -> str | None:
    """``text`` as it is. Raises :class:`ValueError` where :func:`parse_digest` does."""
    if text is not None:
        parse_digest(text)
    return text


def check_all_quiet(texts: Sequence[str]) -> Sequence[str]:
    """``texts`` as they are. Raises :class:`ValueError` where :func:`parse_quiet` does, or where nothing would run."""
    hours = [parse_quiet(text) for text in texts]
    if any(begin == end for begin, end in hours):
        raise ValueError("quiet hours end when they begin, so nothing would ever run")
    return texts


def is_between(at: time, hours: QuietHours) -> bool:
    """Whether a time of the day is in quiet hours.

    >>> is_between(time(23), (time(20), time(6))), is_between(time(6), (time(20), time(6)))
    (True, False)
    """
    begin, end = hours
    return begin <= at < end if begin <= end else at >= begin or at < end


def read_schedule(workspace: Path, name: str, *, root: Path | None = None, shared: Path | None = None) -> Schedule:
    """When the project ``name`` of a workspace is to run; nothing runs where nothing says so.

    ``every`` or ``cron`` of the project counts before that of the workspace, and so do its quiet hours. ``root`` is
    where its files are, in place of its own folder, and ``shared`` a copy of workspace.toml to read in its place.
    Raises :class:`ConfigError` where a file cannot be read.
    """
    own = _file((root or workspace / "projects" / name) / "project.toml", root or workspace)
    of_all = _file(shared or workspace / "workspace.toml", workspace if shared is None else shared.parent)
    found = {**of_all.cadence, **of_all.hours}
    if own.cadence:
        found = {**own.cadence, **of_all.hours}
    return Schedule(**{**found, **own.hours})


def read_order_ways(workspace: Path, name: str, *, root: Path | None = None) -> OrderWays:
    """How orders come to the project ``name``, with ``root`` and the errors of :func:`read_schedule`."""
    return _file((root or workspace / "projects" / name) / "project.toml", root or workspace).orders


def read_run_parts(workspace: Path, name: str) -> frozenset[str]:
    """What runs of the project ``name`` are about: its entities, and ``orders`` where they are pulled.

    Empty where its files name none. Raises :class:`ConfigError` and :class:`OSError` where they cannot be read.
    """
    root = workspace / "projects" / name
    file = _file(root / "project.toml", workspace)
    views = {entity for entity in ENTITIES if exists(root / "views" / f"{entity}.sql")}
    return file.entities | views | ({"orders"} if file.orders.pulled else set())


@dataclass(frozen=True, slots=True)
class _File:
    """What one file says: of when runs begin, of when none does, of orders, and of which entities it has tables."""

    cadence: Mapping[str, Any] = field(default_factory=dict)
    hours: Mapping[str, Any] = field(default_factory=dict)
    orders: OrderWays = OrderWays()
    entities: frozenset[str] = frozenset()


_known: dict[Path, tuple[tuple[int, ...], _File]] = {}
"""What files said, as long as they have not changed: the agent and the console ask again and again."""


def _file(path: Path, workspace: Path) -> _File:
    try:
        if not exists(path):
            return _File()
        found = path.stat()
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        known = _known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        text = WorkspaceFiles((workspace,)).read_utf8(path)
    except OSError as error:
        raise ConfigError([Diagnostic(path=path, message=f"The file cannot be read: {error.strerror}.")]) from None
    document = parse_toml(text, path=path)
    try:
        result = _read(document)
    except ValueError as error:
        hint = 'Write [schedule] and below it every = "3m".'
        raise ConfigError([Diagnostic(path=path, message=f"[schedule] {str(error).rstrip('.')}.", hint=hint)]) from None
    _known[path] = (stamp, result)
    return result


def _read(document: Mapping[str, Any]) -> _File:
    """What a file says. Raises :class:`ValueError` where it cannot be understood."""
    orders = document.get("orders")
    ways = OrderWays(taken=isinstance(orders, dict), pulled=isinstance(orders, dict) and "pull" in orders)
    entities = frozenset(name for name in ENTITIES if name in document)
    table = document.get("schedule")
    if not isinstance(table, dict):
        return _File(orders=ways, entities=entities)
    for problem in schedule_problems(table):
        raise ValueError(problem)
    zone = ZoneInfo(check_timezone(str(table["timezone"]))) if table.get("timezone") else timezone.utc
    cadence: dict[str, Any] = {}
    hours: dict[str, Any] = {}
    if table.get("every") is not None:
        cadence = {"every": parse_duration(str(table["every"]))}
    elif table.get("cron") is not None:
        cadence = {"cron": check_cron(str(table["cron"])), "zone": zone}
    if isinstance(table.get("quiet"), list):
        texts = check_all_quiet([str(each) for each in table["quiet"]])
        hours = {"quiet": tuple(parse_quiet(text) for text in texts), "quiet_zone": zone}
    return _File(cadence, hours, ways, entities)


def schedule_problems(table: Mapping[str, Any]) -> Iterable[str]:
    """What is wrong with keys of [schedule] beside each other."""
    if table.get("every") is not None and table.get("cron") is not None:
        yield "has every and cron: one of them says when it runs"
    needs = [name for name in ("cron", "quiet") if table.get(name)]
    if needs and not table.get("timezone"):
        yield f'{needs[0]} needs a timezone, such as "Africa/Johannesburg": a server\'s own may be any'
