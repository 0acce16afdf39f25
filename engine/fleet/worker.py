"""One machine's share of the fleet's work: take jobs from the queue, run them in warm processes, see to what is due.

Each worker looks at what is due, one of them at a time. A job is a project; a project is queued once at most, and runs
once at a time. What a worker that died had begun is finished as failed and queued again. It is never retried as the
same job: where the project is queued already, that would be refused for ever.

During a deploy workers of two versions share the projects. One whose state only some of them read is queued for those,
and a worker that meets such a project all the same hands it over; see :mod:`engine.fleet.versions`.

The queue ends a worker that lost PostgreSQL. It is then started again here, and what runs goes on meanwhile as far as
it can: its lease says how far.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from engine.agent.lanes import Lane, LaneLimits
from engine.agent.workers import Job
from engine.fleet import lease, versions
from engine.fleet.database import connection_options
from engine.fleet.due import FAILURES_TO_BACK_OFF, LANES, LastRun, find_due
from engine.fleet.queue import worker_versions
from engine.fleet.versions import (
    NEEDS_SQL,
    WORKERS_SQL,
    Versions,
    Worker,
    choose_queue,
    needs_of,
    own_queue,
    workers_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import psycopg
    from procrastinate import App

    from engine.agent.agent import Projects
    from engine.agent.workers import Ended, Json

TASK = "run_project"

TICK_SECONDS = 5.0
"""How often the fleet looks at what is due."""

BEAT_SECONDS = 0.5
"""How often a worker looks whether it is to stop."""

HEARTBEAT_SECONDS = 10.0

STALLED_SECONDS = 30.0
"""A worker without a heartbeat for so long is dead, and what it ran is queued again."""

RESTART_SECONDS = 2.0
"""How long to wait before the queue is tried again after PostgreSQL was lost."""

LOCKED_EXIT_CODE = 75

KEEP_RUNS_DAYS = 1
"""How long PostgreSQL keeps what run logs hand on: a machine that has not looked for longer does without."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """``url`` is the fleet's PostgreSQL. ``slots`` ordinary runs at a time, and one long one besides.

    When it stops, what runs has ``grace_seconds`` to end by itself; then it is asked to stop after its batch, and
    killed ``stop_seconds`` later.
    """

    url: str
    slots: int
    limits: LaneLimits = field(default_factory=LaneLimits)
    grace_seconds: float = 20.0
    stop_seconds: float = 60.0


class FleetWorker:
    """Runs jobs of the queue until it is stopped or drained."""

    def __init__(self, projects: Projects, settings: WorkerSettings) -> None:
        self._projects = projects
        self._settings = settings
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._queues: dict[str, SimpleQueue[Job | None]] = {lane: SimpleQueue() for lane in LANES}
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Ended]]] = {}
        self._asked: dict[str, tuple[Job, Callable[[Ended], None]]] = {}
        self._asking = threading.Lock()
        self._lanes: list[Lane] = []
        self._known = worker_versions()
        self._last_beat = time.monotonic()
        self._is_registered = False

    @property
    def is_alive(self) -> bool:
        """Whether the queue was heard from within the last minute, and all lanes are there to run jobs."""
        return time.monotonic() - self._last_beat < 2 * STALLED_SECONDS and all(
            lane.thread.is_alive() for lane in self._lanes
        )

    def ask(self, name: str, request: Json, on_end: Callable[[Ended], None] = lambda _: None) -> bool:
        """Have a job begun on this machine as soon as it has a slot; gives whether it was taken.

        It is not where one of this name was asked for and has not ended. ``on_end`` is called with what became of it.
        Any thread may ask.
        """
        with self._asking:
            if name in self._asked:
                return False
            job = Job(name, request)
            self._asked[name] = (job, on_end)
        self._queues["runs"].put(job)
        return True

    def serve(self, stop: threading.Event) -> None:
        """Run jobs until ``stop`` is set or somebody drains this worker.

        1. Take no more jobs. 2. Wait for those that run. 3. Ask them to stop after their batch. 4. Kill them.
        """
        for name in ("procrastinate", "psycopg.pool"):  # both tell at length of a connection that was lost
            logging.getLogger(name).propagate = False
            logging.getLogger(name).addHandler(logging.NullHandler())
        slots = [*["runs"] * self._settings.slots, "long"]
        self._lanes = [
            Lane(
                self._queues[lane],
                run=self._projects.run,
                limits=self._settings.limits,
                on_event=self._report,
                on_end=self._end,
            )
            for lane in slots
        ]
        try:
            while not self._serve_once(stop):
                log.warning("The fleet's PostgreSQL is away, or was; this worker tries again.")
                stop.wait(RESTART_SECONDS)
        finally:
            for lane in slots:
                self._queues[lane].put(None)
            self._end_lanes()

    def _serve_once(self, stop: threading.Event) -> bool:
        """Serve until the worker is to end, which is True, or PostgreSQL is lost."""
        import psycopg
        import psycopg_pool
        from procrastinate.exceptions import ProcrastinateException

        # Not Windows' default loop, which psycopg cannot use.
        loop = asyncio.SelectorEventLoop()
        try:
            return loop.run_until_complete(self._serve(stop))
        except (ProcrastinateException, psycopg.Error, psycopg_pool.PoolTimeout, OSError) as error:
            log.debug("the queue was lost", exc_info=error)
            return stop.is_set()
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    async def _serve(self, stop: threading.Event) -> bool:
        """Serve with one pool of connections; True where the worker is to end."""
        import psycopg

        app = self._make_app()
        async with app.open_async():
            connection = await psycopg.AsyncConnection.connect(
                self._settings.url, autocommit=True, **connection_options("worker")
            )
            async with connection:
                watch = asyncio.create_task(self._watch(stop, app, connection))
                takers = [
                    asyncio.create_task(
                        app.run_worker_async(
                            name=f"{self._name}-{lane}",
                            queues=[lane, own_queue(lane, self._known)],
                            concurrency=self._settings.slots if lane == "runs" else 1,
                            delete_jobs="always",
                            install_signal_handlers=False,
                            update_heartbeat_interval=HEARTBEAT_SECONDS,
                            stalled_worker_timeout=STALLED_SECONDS,
                        )
                    )
                    for lane in LANES
                ]
                done, _ = await asyncio.wait([watch, *takers], return_when=asyncio.FIRST_COMPLETED)
                error = watch.exception() if watch in done else None
                ends = watch in done and error is None
                if not ends:  # PostgreSQL is lost: nobody is there to be told how a job ended
                    self._forget_jobs()
                for each in (watch, *takers):
                    each.cancel()
                limit = self._settings.grace_seconds + self._settings.stop_seconds if ends else TICK_SECONDS
                escalation = asyncio.create_task(self._stop_lanes()) if ends else None
                await asyncio.wait(takers, timeout=limit)
                if escalation is not None:
                    escalation.cancel()
                    with suppress(psycopg.Error):
                        await connection.execute("delete from worker where name = %s", [self._name])
                if error is not None:
                    raise error
                return ends

    def _make_app(self) -> App:
        """The queue, with the one task that it has."""
        from procrastinate import App, JobContext, PsycopgConnector

        app = App(
            connector=PsycopgConnector(
                conninfo=self._settings.url,
                kwargs=connection_options("queue"),
                min_size=1,
                max_size=4,
                timeout=10.0,
            )
        )

        @app.task(name=TASK, pass_context=True)
        async def run_project(context: JobContext, /, project: str, **_of_newer_versions: object) -> None:
            await self._run(app, _lane_of(str(context.job.queue)), project)

        return app

    async def _run(self, app: App, lane: str, project: str) -> None:
        """Run a project in a warm process, unless a newer version has its state: then whoever reads that runs it.

        It is queued again for a little later where another holder still has its lease, and for the end of the lease
        where the process died; not where it has died or failed again and again.
        """
        needed = needs_of(await _fetch(app, f"{NEEDS_SQL} where project = %(project)s", project=project))
        if not self._known.reads(needed.get(project, Versions())):
            itself = Worker(name=self._name, slots=0, known=self._known)
            await _choose_and_queue(app, lane, project, needed, [*await _list_workers(app), itself])
            return
        loop = asyncio.get_running_loop()
        ended_future: asyncio.Future[Ended] = loop.create_future()
        job = Job(project, self._projects.request(project))
        self._waiting[id(job)] = (loop, ended_future)
        self._queues[lane].put(job)
        ended = await ended_future
        if project.endswith(lease.ORDERS_SUFFIX) and ended.answer is not None:
            # A pull has its lease only while an order is raised: what it came to is noted here.
            sql = (
                "update lease set failures = case when %(code)s in (0, 4) then 0 when %(code)s = 75 then failures"
                " else failures + 1 end"
                " where project = %(project)s returning paused"
            )
            await app.connector.execute_query_all_async(sql, project=project, code=ended.answer["code"])
            return
        if ended.answer is None:
            sql = "update lease set failures = failures + 1 where project = %(project)s returning failures, paused"
        elif ended.answer["code"] == LOCKED_EXIT_CODE:
            sql = "select 0 as failures, paused from lease where project = %(project)s"
        else:
            return
        for row in await app.connector.execute_query_all_async(sql, project=project):
            if row["failures"] < FAILURES_TO_BACK_OFF and not row["paused"]:
                seconds = lease.LEASE_SECONDS * (1.1 if ended.answer is None else 0.3)
                await _queue(app, lane, project, seconds=seconds)

    def _end(self, ended: Ended, seconds: float) -> None:
        """Say how a job ended: to whoever prints it, and to the queue, unless that was lost meanwhile."""
        with suppress(OSError):  # nobody may be left to read it
            self._projects.on_end(ended, seconds)
        self._answer(ended)
        loop, future = self._waiting.pop(id(ended.job), (None, None))
        if loop is not None and future is not None:
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(_resolve, future, ended)

    def _answer(self, ended: Ended) -> None:
        """Tell who asked for a job what became of it."""
        with self._asking:
            job, on_end = self._asked.get(ended.job.name, (None, None))
            if job is not ended.job:
                return
            del self._asked[ended.job.name]
        assert on_end is not None
        on_end(ended)

    def _report(self, event: Json) -> None:
        with suppress(OSError):  # as above
            self._projects.on_event(event)

    def _forget_jobs(self) -> None:
        for _, future in list(self._waiting.values()):
            future.cancel()
        self._waiting.clear()

    async def _watch(
        self, stop: threading.Event, app: App, connection: psycopg.AsyncConnection[tuple[Any, ...]]
    ) -> None:
        """Look at what is due now and then; ends where this worker is to end."""
        tick_at = 0.0
        while not stop.is_set():
            if time.monotonic() >= tick_at:
                tick_at = time.monotonic() + TICK_SECONDS
                if await self._is_drained(connection):
                    return
                await self._tick(app, connection)
                self._last_beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    async def _is_drained(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> bool:
        """Note that this worker is there; gives whether it is to take no more."""
        cursor = await connection.execute(
            "insert into worker (name, host, process, slots, versions) values (%s, %s, %s, %s, %s)"
            " on conflict (name) do update set seen_at = now() returning draining",
            [self._name, socket.gethostname(), os.getpid(), self._settings.slots, str(self._known)],
        )
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def _tick(self, app: App, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Queue what is due since the last tick, and what dead workers had begun, unless another worker just did."""
        cursor = await connection.execute(
            "update fleet set claimed_at = extract(epoch from now())"
            " where claimed_at < extract(epoch from now()) - %s returning ticked_at, claimed_at",
            [TICK_SECONDS * 0.9],
        )
        span = await cursor.fetchone()
        if span is None:
            return
        cursor = await connection.execute("select project, paused, seconds, failures from lease")
        last_runs = {
            project: LastRun(paused=paused, seconds=seconds or 0.0, failures=failures)
            for project, paused, seconds, failures in await cursor.fetchall()
        }
        after, upto = (datetime.fromtimestamp(at, timezone.utc).replace(tzinfo=None) for at in span)
        due = find_due(self._projects.schedules(), last_runs, after=after, upto=upto)
        if due:
            workers, needs = await _list_workers(app), needs_of(await _fetch(app, NEEDS_SQL))
            for project, lane in due.items():
                await _choose_and_queue(app, lane, project, needs, workers)
        # Only now: where this worker died before, another one looks at the same time again.
        await connection.execute("update fleet set ticked_at = greatest(ticked_at, %s)", [span[1]])
        for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
            await _requeue_stalled(app, job)
        await _requeue_stranded(app)
        await connection.execute("delete from worker where seen_at < now() - interval '5 minutes'")
        await connection.execute("delete from run_log where at < now() - make_interval(days => %s)", [KEEP_RUNS_DAYS])

    async def _stop_lanes(self) -> None:
        """Let what runs end by itself, then ask it to stop, then kill it."""
        await asyncio.sleep(self._settings.grace_seconds)
        for lane in self._lanes:
            lane.stop()
        await asyncio.sleep(self._settings.stop_seconds - 1)
        for lane in self._lanes:
            lane.kill()

    def _end_lanes(self) -> None:
        """Wait for the lanes' threads, and kill what does not end."""
        until = time.monotonic() + self._settings.stop_seconds
        for lane in self._lanes:
            lane.thread.join(max(0.0, until - time.monotonic()))
            if lane.thread.is_alive():
                lane.kill()
                lane.thread.join()


def _resolve(future: asyncio.Future[Ended], ended: Ended) -> None:
    if not future.done():
        future.set_result(ended)


async def _queue(app: App, lane: str, project: str, *, seconds: float = 0.0) -> None:
    """Queue a project, unless it is queued already: then that run is its turn."""
    from procrastinate.exceptions import AlreadyEnqueued

    later: dict[str, Any] = {"schedule_in": {"seconds": max(1, round(seconds))}} if seconds else {}
    task = app.configure_task(TASK, queue=lane, lock=project, queueing_lock=project, **later)
    with suppress(AlreadyEnqueued):
        await task.defer_async(project=project)


async def _requeue_stalled(app: App, job: Any) -> None:
    """Finish a job as failed whose worker is dead, and queue its project again."""
    from procrastinate.exceptions import ProcrastinateException
    from procrastinate.jobs import Status

    with suppress(ProcrastinateException):  # it ended by itself just now
        await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)
        project = str(job.task_kwargs["project"])
        needs = needs_of(await _fetch(app, f"{NEEDS_SQL} where project = %(project)s", project=project))
        await _choose_and_queue(app, _lane_of(job.queue), project, needs, await _list_workers(app))


async def _requeue_stranded(app: App) -> None:
    """Queue projects again that wait for workers of a version of which none is left."""
    waiting = await _fetch(
        app,
        "select id, queue_name, args ->> 'project' from procrastinate_jobs"
        " where status = 'todo' and queue_name like '%%-%%' and task_name = %(task)s",
        task=TASK,
    )
    if not waiting:
        return
    workers = await _list_workers(app)
    served = {own_queue(lane, worker.known) for lane in LANES for worker in workers}
    needs = needs_of(await _fetch(app, NEEDS_SQL))
    for job, queue, project in waiting:
        if queue not in served and await app.job_manager.cancel_job_by_id_async(job, delete_job=True):
            await _choose_and_queue(app, _lane_of(queue), project, needs, workers)


async def _choose_and_queue(
    app: App, lane: str, project: str, needs: Mapping[str, Versions], workers: Sequence[Worker]
) -> None:
    """Queue a project of a lane for those who read its state; where nobody does, its next turn looks again."""
    queue = choose_queue(lane, needs.get(project, Versions()), workers)
    if queue is not None:
        await _queue(app, queue, project)


async def _list_workers(app: App) -> list[Worker]:
    return workers_of(await _fetch(app, WORKERS_SQL, alive=versions.ALIVE_SECONDS))


async def _fetch(app: App, sql: str, **values: object) -> list[tuple[Any, ...]]:
    """The rows of a statement, through the queue's connections."""
    return [tuple(row.values()) for row in await app.connector.execute_query_all_async(sql, **values)]


def _lane_of(queue: str) -> str:
    """The lane of a queue, of which those have their own who know the same."""
    return queue.partition("-")[0]
