"""Run every project of a workspace when its schedule says, for as long as the machine runs.

Where a project's run begins within its cadence is its own: 200 projects that run every three minutes begin one after
the other, not all at once. It is counted by the clock, so that an agent that starts again goes on as the one before
would have, and makes up at once for what fell due meanwhile. No project is run twice at a time; what falls due while it
runs is left out, and so is what falls into quiet hours. A project whose last run took long runs in a lane of its own,
and one that then failed in another one, so that the others keep theirs.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from engine.agent.lanes import Lane, LaneLimits
from engine.agent.workers import Job
from engine.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.agent.workers import Ended, Json
    from engine.config.schedule import Schedule

TICK_SECONDS = 0.2

RELOAD_SECONDS = 5.0
"""How often the projects and their schedules are looked for."""

LONG_RUN_SECONDS = 30.0
"""A project whose last run took longer runs in the lane for long runs.

A run that takes longer while others wait, and was not known to, is begun again in the lane for those that hang.
"""

HANGING_SECONDS = 5.0
"""A project whose last run failed after more runs in the lane for those that hang, as a network does that is lost."""

CATCH_UP_SECONDS = 300.0
"""Within so long projects run whose turn passed while the agent was off, or in quiet hours."""

CLOCK_CORRECTION = timedelta(hours=3)
"""A clock that is put back by more was wrong before; by less, nothing runs twice. Debian's cron has the same."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC, without a zone, as all moments here
"""From where turns are counted."""

STALLED_SECONDS = 60.0
"""After so long without a turn the agent counts as stalled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """``workers`` are for ordinary runs; one more is for long ones, and one for those that hang, while there are any.

    ``stop_seconds`` is how long stopping may take.
    """

    workers: int = 2
    limits: LaneLimits = field(default_factory=LaneLimits)
    stop_seconds: float = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRuns:
    """What is known of the last runs: how many ``seconds`` they took, which are ``failing``, and when they ``began``.

    Moments are UTC. A turn that has passed since then is made up for, once; so is a run that was ``broken_off`` by the
    end of the agent before.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    failing: frozenset[str] = frozenset()
    broken_off: frozenset[str] = frozenset()
    began: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projects:
    """The projects that an agent runs, and whom it tells.

    ``schedules`` gives each project's, and is asked again and again. ``run`` names the function that runs a job in a
    worker, and ``request`` gives what it takes for a project. ``on_event`` gets what a running job reports, ``on_end``
    what became of it and its seconds; threads of the agent's call both. ``last`` are their runs before the agent began.
    """

    run: str
    schedules: Callable[[], Mapping[str, Schedule]]
    request: Callable[[str], Json]
    on_event: Callable[[Json], None]
    on_end: Callable[[Ended, float], None]
    last: LastRuns = field(default_factory=LastRuns)


@dataclass(frozen=True, slots=True)
class Slots:
    """Of a cadence of ``every`` seconds, the turn that a project had last.

    ``first`` is when turn 0 was, on the agent's own clock: setting that of the machine leaves the turns where they are.
    """

    every: float
    first: float
    last: int

    def number_at(self, moment: float) -> int:
        """Which turn was the last one at a moment."""
        return math.floor((moment - self.first) / self.every)

    def begin(self, number: int) -> float:
        """When a turn comes."""
        return self.first + number * self.every


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that somebody asked for, and who is to know what became of it."""

    request: Json
    on_end: Callable[[Ended], None]


class Agent:
    """Runs projects by their schedules, and what people ask for besides."""

    def __init__(self, projects: Projects, settings: AgentSettings) -> None:
        self._projects = projects
        self._settings = settings
        self._seconds = dict(projects.last.seconds)
        self._hanging = {name for name in projects.last.failing if self._seconds.get(name, 0.0) > HANGING_SECONDS}
        self._ordinary: SimpleQueue[Job | None] = SimpleQueue()
        self._aside: SimpleQueue[Job | None] = SimpleQueue()
        self._stopping = False
        self._busy: set[str] = set()
        self._last_turn = time.monotonic()
        self._slots: dict[str, Slots] = {}
        self._missed: dict[str, float] = {}
        self._moments: dict[str, tuple[Schedule, datetime, datetime]] = {}
        self._lanes: list[Lane] = []
        self._asked: dict[str, Asked] = {}
        self._running: dict[str, Asked] = {}
        self._asking = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Whether the agent still looks for what is due, and has all its lanes to run it."""
        turning = time.monotonic() - self._last_turn < STALLED_SECONDS
        return turning and all(lane.thread.is_alive() for lane in self._lanes)

    def ask(self, name: str, request: Json, on_end: Callable[[Ended], None] = lambda _: None) -> bool:
        """Have a job begun as soon as no other one of this name runs; gives whether it was taken.

        It is not where one of this name waits already. ``on_end`` is called with what became of it. Any thread may ask.
        """
        with self._asking:
            if name in self._asked:
                return False
            self._asked[name] = Asked(request, on_end)
            return True

    def serve(self, stop: threading.Event) -> None:
        """Run projects until ``stop`` is set; those that run then are asked to stop, and killed where they do not."""
        ordinary = self._ordinary
        long: SimpleQueue[Job | None] = SimpleQueue()
        limits = self._settings.limits
        of_queues = [
            *[(ordinary, replace(limits, waited_seconds=LONG_RUN_SECONDS))] * self._settings.workers,
            (long, limits),
            (self._aside, replace(limits, max_runs=1)),  # where something hangs, no worker stays between two runs
        ]
        self._lanes = lanes = [
            Lane(queue, run=self._projects.run, limits=each, on_event=self._report, on_end=self._end)
            for queue, each in of_queues
        ]
        schedules: Mapping[str, Schedule] = {}
        reload_at = 0.0
        try:
            while not stop.wait(TICK_SECONDS):
                self._last_turn = moment = time.monotonic()
                if moment >= reload_at:
                    schedules, reload_at = self._projects.schedules(), moment + RELOAD_SECONDS
                for name, asked in self._take_asked():
                    self._busy.add(name)
                    self._running[name] = asked
                    ordinary.put(Job(name, asked.request))
                at = now()
                for name, schedule in schedules.items():
                    if self._is_due(name, schedule, moment, at):
                        self._busy.add(name)
                        queue = long if self._seconds.get(name, 0.0) > LONG_RUN_SECONDS else ordinary
                        queue = self._aside if name in self._hanging else queue
                        queue.put(Job(name, self._projects.request(name), gives_way=queue is ordinary))
        finally:
            self._stop(lanes, [queue for queue, _ in of_queues])

    def _take_asked(self) -> list[tuple[str, Asked]]:
        """What people asked for that can begin."""
        with self._asking:
            free = [name for name in self._asked if name not in self._busy]
            return [(name, self._asked.pop(name)) for name in free]

    def _is_due(self, name: str, schedule: Schedule, moment: float, at: datetime) -> bool:
        """Whether a project's turn has come that it has not had; one that still runs leaves it out.

        ``moment`` is on the clock of the agent, ``at`` is the time in UTC.
        """
        if schedule.every is None:
            turn = bool(schedule.cron) and self._has_moment(name, schedule, at)
            return turn and name not in self._busy and not schedule.is_quiet(at)
        every = schedule.every.total_seconds()
        turn = self._has_slot(name, every, moment, at)
        if not turn and name not in self._missed:
            return False
        if schedule.is_quiet(at):
            if every > CATCH_UP_SECONDS:  # the turns of a long cadence might all be in quiet hours
                self._missed[name] = moment + _soon(name, every)
            return False
        if not turn and moment < self._missed[name]:
            return False
        self._missed.pop(name, None)
        return name not in self._busy

    def _has_slot(self, name: str, every: float, moment: float, at: datetime) -> bool:
        known = self._slots.get(name)
        if known is None or known.every != every:  # a new project, or another cadence: its next turn
            first = moment - (at - EPOCH).total_seconds() + spread(name) * every
            found = Slots(every, first, math.floor((moment - first) / every))
            self._slots[name] = found
            if known is None:
                self._catch_up(name, found, moment, at)
            return False
        number = known.number_at(moment)
        if number <= known.last:
            return False
        self._slots[name] = replace(known, last=number)
        return True

    def _catch_up(self, name: str, slots: Slots, moment: float, at: datetime) -> None:
        """Have a project run before its next turn where its last one passed without a run, as far as known.

        It was due while no agent was there. Whoever was late by a few seconds runs within a few seconds: an agent that
        starts again keeps the cadence of all.
        """
        began = self._projects.last.began.get(name)
        wait = _soon(name, slots.every)
        if name in self._projects.last.broken_off:
            wait = 0.0
        elif began is not None:
            ago = (at - began).total_seconds()
            if ago <= moment - slots.begin(slots.last):
                return
            wait = slots.every - ago if ago < slots.every else _soon(name, slots.every, ago - slots.every)
        before_next = slots.begin(slots.last + 1) - moment - wait
        if before_next > 0:
            self._missed[name] = moment + wait
            if slots.every > CATCH_UP_SECONDS and before_next < slots.every / 2:  # the next turn would be soon after it
                self._slots[name] = replace(slots, last=slots.last + 1)

    def _has_moment(self, name: str, schedule: Schedule, at: datetime) -> bool:
        known = self._moments.get(name)
        if known is None:  # the agent has just begun, or the project is new
            known = (schedule, schedule.next_moment(min(at, self._projects.last.began.get(name, at))), at)
        elif known[0] != schedule or at < known[2] - CLOCK_CORRECTION:
            known = (schedule, schedule.next_moment(at), at)
        has_come = known[1] <= at
        self._moments[name] = (schedule, schedule.next_moment(at), at) if has_come else known
        return has_come

    def _report(self, event: Json) -> None:
        with suppress(OSError):  # nobody may be left to read it
            self._projects.on_event(event)

    def _end(self, ended: Ended, seconds: float) -> None:
        name = ended.job.name
        asked = self._running.pop(name, None)
        if asked is None:
            self._note(name, seconds, is_good=ended.is_good)
        after = None if asked is not None or self._stopping else self._next_job(ended, seconds)
        try:
            if asked is not None:
                asked.on_end(ended)
            with suppress(OSError):  # as above
                self._projects.on_end(ended, seconds)
        finally:
            if after is not None:
                queue = self._ordinary if after.gives_way else self._aside
                queue.put(after)
            else:
                self._busy.discard(name)

    def _next_job(self, ended: Ended, seconds: float) -> Job | None:
        """What is begun at once in place of a job that came to nothing.

        That is one that gave way to others, and once one whose worker died, unless it may have hung: its turn is not
        lost because somebody killed a process.
        """
        job = ended.job
        if ended.gave_way and not ended.is_good:
            return replace(job, gives_way=False)
        died = ended.answer is None and not job.repeats and seconds < LONG_RUN_SECONDS
        return replace(job, gives_way=True, repeats=True) if died else None

    def _note(self, name: str, seconds: float, *, is_good: bool) -> None:
        """Keep how long a run took: one that failed soon, or found the project locked, does not say how long one is."""
        if is_good:
            self._hanging.discard(name)
            self._seconds[name] = seconds
        elif seconds > HANGING_SECONDS:
            self._hanging.add(name)

    def _stop(self, lanes: list[Lane], queues: list[SimpleQueue[Job | None]]) -> None:
        """Begin nothing more, ask what runs to stop, and kill what has not ended after ``stop_seconds``."""
        self._stopping = True
        for queue in {id(queue): queue for queue in queues}.values():
            try:
                while True:
                    queue.get_nowait()
            except Empty:
                continue
        for queue in queues:
            queue.put(None)
        for lane in lanes:
            lane.stop()
        until = time.monotonic() + self._settings.stop_seconds
        for lane in lanes:
            lane.thread.join(max(0.0, until - time.monotonic()))
            if lane.thread.is_alive():
                lane.kill()
                lane.thread.join()


def _soon(name: str, *limits: float) -> float:
    """In how many seconds a turn is made up for, all of ``limits`` at most: not all projects at once."""
    return spread(name) * min(CATCH_UP_SECONDS, *limits)


def spread(name: str) -> float:
    """Where in its cadence a project runs: from 0 to 1, always the same for a name.

    >>> spread("acme") == spread("acme"), 0 <= spread("acme") < 1
    (True, True)
    """
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:6], "big") / 2**48
