"""Run projects: one after the other in this process, or several at a time in workers."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.failures import ATTENTION, FAILED, INTERRUPTED, exit_code, gravest, report_error
from engine.cli.fleet_state import state_at_hand
from engine.cli.log import engine_warnings, write_event, write_warning
from engine.cli.progress import StepProgress
from engine.cli.session import GlobalOptions, LogFormat, Output, Session, selected_entities
from engine.cli.signals import run_controls
from engine.cli.terminal import FULL_DISK, Terminal
from engine.cli.versions import load_good, load_present
from engine.clock import Deadline
from engine.errors import DeadlineError, FleetError, LeaseError, SyncError, UsageError, WorkerError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from engine.agent.workers import Ended, Job
    from engine.fleet.checkout import Checkout
    from engine.model.plan import Outcome
    from engine.model.settings import Project
    from engine.sync.context import RunOptions

    Json = Mapping[str, Any]

    Results = list[dict[str, Any]]
    """The result of --output json: an object an entity."""

MAX_DEFAULT_JOBS = 8
"""Projects at a time where nobody says how many: each takes 170 MB of memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the command line asks of each project that it runs.

    ``deadline`` is the whole command's. With ``several`` errors begin with the project's name, with ``text`` outcomes
    are printed as text. With ``last_good`` a version of the project's files that has errors is not run.
    """

    entity: str | None = None
    expect: str | None = None
    approve_deletes: int | None = None
    approve_changes: int | None = None
    full: bool = False
    deadline: Deadline | None = None
    several: bool = False
    text: bool = True
    last_good: bool = False

    @property
    def approved(self) -> bool:
        """Whether somebody looked at a plan and lets it pass."""
        return self.expect is not None or self.approve_deletes is not None or self.approve_changes is not None

    def options(self, deadline: Deadline) -> RunOptions:
        """The options of one run that must end by ``deadline``."""
        from engine.sync.context import RunOptions

        return RunOptions(
            full=self.full,
            expect=self.expect,
            approve_deletes=self.approve_deletes,
            approve_changes=self.approve_changes,
            deadline=deadline,
        )


def default_jobs() -> int:
    """How many projects to run at a time on this machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(MAX_DEFAULT_JOBS, len(affinity(0)) if affinity else os.cpu_count() or 1)


def run_one_after_the_other(session: Session, names: Sequence[str], request: RunRequest) -> tuple[int, Results]:
    """Run projects in this process; gives the exit code and the results. A signal ends the command."""
    code, results = 0, []
    for name in names:
        ended, found = _run_project(session, name, request)
        code = gravest(code, ended)
        results += found
        if ended == INTERRUPTED:
            break
    return code, results


def run_in_workers(session: Session, names: Sequence[str], request: RunRequest, *, count: int) -> tuple[int, Results]:
    """Run projects in ``count`` workers, and print what each printed when it ends; gives the exit code and the results.

    The results are in the order of ``names``. A worker that dies is its project's error. After a signal no project
    begins, and the running ones stop after their batch.
    """
    from engine.agent.workers import Job, Workers

    workspace = session.workspace()
    progress = _Progress(session, len(names))
    code = 0
    results: dict[str, Results] = {}
    jobs = [Job(name, partial(job_message, session.options, workspace, name, request)) for name in names]
    workers = Workers("engine.cli.run:run_job", count=count)
    with workers, run_controls(session, "", on_stop=workers.stop) as (stop, _):
        for ended in workers.run(jobs, on_begin=progress.begin, on_event=lambda event: print_event(session, event)):
            progress.end(ended.job)
            try:
                ended_with, results[ended.job.name] = print_ended(session, ended, request)
            except OSError as error:  # what has no room for what a project printed stops no other
                if error.errno not in FULL_DISK:
                    raise
                write_warning(session, f"What {ended.job.name} printed is lost: {error.strerror}.")
                ended_with, results[ended.job.name] = FAILED, []
            code = gravest(code, ended_with)
            progress.show()
        progress.clear()
    if stop.is_set():
        code = gravest(code, INTERRUPTED)
        not_begun = len(names) - len(results)
        write_event(session, "stopped", "", not_begun=not_begun)
        if not session.logs_json:
            session.terminal.print_error(f"Stopped: {not_begun:,} of {len(names):,} projects were not begun.")
    return code, [result for name in names for result in results.get(name, [])]


def run_job(job: Json, stop: threading.Event, report: Callable[[Json], None]) -> dict[str, Any]:
    """Run one project in a worker: takes what :func:`job_message` made, gives its lines, results and exit code.

    The session is the job's own, so that nothing of one project, its secrets least of all, is known to the next.
    """
    lines: list[tuple[bool, str]] = []
    options = GlobalOptions(
        workspace=Path(job["workspace"]), debug=job["debug"], log_format=LogFormat(job["log_format"])
    )

    def write(text: str, *, err: bool) -> None:
        if err and options.log_format is LogFormat.json:
            report({"line": text})
        else:
            lines.append((err, text))

    deadline = job["deadline"]
    request = RunRequest(
        **job["request"], deadline=deadline and Deadline(time.monotonic() + deadline["left"], deadline["seconds"])
    )
    output = Output.text if request.text else Output.json
    session = Session(options=options, terminal=Terminal(write), output=output, stop=stop)
    with session.resources, engine_warnings(session):
        try:
            if job["task"] is None:
                code, results = _run_project(session, job["project"], request)
            else:
                from engine.cli.tasks import perform

                code, results = perform(session, job["project"], job["task"])
        except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
            report_error(session, error, project=job["project"], lead=True)
            code, results = exit_code(error), [_failed(job["project"], None, error)]
    answer = {"results": results, "errors": session.answer.errors}
    return {"lines": lines, "code": code, **json.loads(session.terminal.json_text(answer))}


def job_message(
    options: GlobalOptions, workspace: Path, name: str, request: RunRequest, task: Json | None = None
) -> dict[str, Any]:
    """The job for one project, as JSON; with a ``task`` that is done instead, see :mod:`engine.cli.tasks`."""
    deadline = request.deadline
    return {
        "project": name,
        "workspace": str(workspace),
        "debug": options.debug,
        "log_format": options.log_format.value,
        "task": task,
        "deadline": None if deadline is None else {"left": deadline.left, "seconds": deadline.seconds},
        "request": {key: value for key, value in asdict(request).items() if key != "deadline"},
    }


def print_event(session: Session, event: Json) -> None:
    """Print a line of the JSON log as soon as a worker writes it."""
    session.terminal.print_json_line(event["line"], err=True)


def print_ended(session: Session, ended: Ended, request: RunRequest) -> tuple[int, Results]:
    """Print what a project printed, whole; gives its exit code and its results."""
    if ended.answer is None:
        error = WorkerError(
            f"The process that ran it ended before it was done ({_ending(ended.exit_code)}). What Stock2Shop"
            " acknowledged is recorded.",
            hint="The next run goes on with the rest. Where it was killed, see whether the machine is short of memory:"
            " fewer --jobs need less.",
        )
        report_error(session, error, project=ended.job.name, lead=True)
        return exit_code(error), [_failed(ended.job.name, request.entity, error)]
    for err, text in ended.answer["lines"]:
        if err:
            session.terminal.print_error(text)
        else:
            session.terminal.print_text(text)
    if session.output is Output.json:
        session.answer.errors += ended.answer["errors"]
    return ended.answer["code"], ended.answer["results"]


def _ending(code: int) -> str:
    """How a process ended."""
    try:
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    except ValueError:
        return f"killed by signal {-code}"


class _Progress:
    """Shows on a terminal which projects are running, and how many have ended."""

    def __init__(self, session: Session, total: int) -> None:
        self._session = session
        self._total = total
        self._progress = StepProgress("projects", 0, time.monotonic())
        self._ended = 0
        self._running: list[str] = []

    def begin(self, job: Job) -> None:
        """A project begins."""
        self._running.append(job.name)
        self.show()

    def end(self, job: Job) -> None:
        """A project has ended; what it printed is printed next."""
        self._running.remove(job.name)
        self._ended += 1
        self.clear()

    def show(self) -> None:
        """Show it."""
        if self._session.shows_progress:
            share = self._progress.text(self._ended, self._total, time.monotonic())
            self._session.terminal.show_progress(f"{share}; running: {', '.join(self._running)}")

    def clear(self) -> None:
        """Make room for other lines."""
        if self._session.shows_progress:
            self._session.terminal.clear_progress()


def _run_project(session: Session, name: str, request: RunRequest) -> tuple[int, Results]:
    """Run the entities of one project, and print what became of each; gives the exit code and the results."""
    code = 0
    results: Results = []

    def fail(entity: str | None, error: Exception, *, among: int = 1) -> None:
        nonlocal code
        code = gravest(code, exit_code(error))
        report_error(session, error, project=name, entity=entity or "", lead=request.several or among > 1)
        results.append(_failed(name, entity, error))

    if request.deadline is not None and request.deadline.has_come:
        fail(request.entity, _not_begun(request.deadline))
        return code, results
    try:
        loaded = load_good(session, name) if request.last_good else load_present(session, name)
        selected = (_approved_entities if request.approved else selected_entities)(loaded, request.entity)
    except (SyncError, OSError) as error:
        fail(None, error)
        return code, results
    limit = request.deadline or Deadline.after(loaded.stock2shop.deadline)

    def run(entity: str, project: Project, checkout: Checkout | None) -> None:
        from engine.sync import report

        nonlocal code
        outcome = _run_entity(session, project, entity, request.options(limit), checkout)
        ended = ATTENTION if outcome.needs_attention else 0
        code = gravest(code, ended)
        results.append(report.outcome_json(outcome, exit_code=ended))
        if request.text:
            session.terminal.print_text(report.outcome_text(outcome))

    try:
        with state_at_hand(session, loaded) as (at_hand, checkout):
            for each in selected:
                if limit.has_come:
                    fail(each, _not_begun(limit), among=len(selected))
                    continue
                try:
                    run(each, at_hand, checkout)
                except (LeaseError, FleetError):  # no entity of the project may be run
                    raise
                except Exception as error:  # noqa: BLE001 - one project's failure never stops the others
                    fail(each, error, among=len(selected))
                    if exit_code(error) == INTERRUPTED:
                        break
            if checkout is not None:
                checkout.exit_code = code
    except (SyncError, OSError) as error:
        fail(None, error)
    return code, results


def _failed(name: str, entity: str | None, error: Exception) -> dict[str, Any]:
    from engine.sync import report

    return report.failure_json(name, entity, exit_code=exit_code(error), message=str(error))


def _approved_entities(project: Project, entity: str | None) -> tuple[str, ...]:
    """The one entity that an approval is for. Raises :class:`UsageError` where it could be several."""
    selected = selected_entities(project, entity)
    if len(selected) > 1:
        raise UsageError(
            f"An approval is for one entity; {project.name} has {', '.join(selected)}.",
            hint=f"Say which: `s2s run {project.name} --entity {selected[0]}` with the approval.",
        )
    return selected


def _not_begun(deadline: Deadline) -> DeadlineError:
    return DeadlineError(
        f"Not begun: the deadline of {deadline.seconds:g} s came before.",
        hint="Raise the deadline, or run what takes long by a schedule of its own.",
    )


def _run_entity(
    session: Session, project: Project, entity: str, options: RunOptions, checkout: Checkout | None
) -> Outcome:
    """Run one entity, and log what became of it."""
    from engine.sync import pipeline

    with run_controls(session, project.name, entity) as (stop, progress):
        watched = progress if checkout is None else checkout.watched(progress)
        outcome = pipeline.run(project, entity, options=options, cancel=stop, progress=watched, replica=checkout)
    counts = outcome.plan.counts
    write_event(
        session,
        outcome.outcome,
        project.name,
        entity,
        exit_code=ATTENTION if outcome.needs_attention else 0,
        run_id=outcome.run_id,
        source=counts.source,
        sent=outcome.sent,
        quarantined=counts.quarantined,
        refused=outcome.refused,
        seconds=round(outcome.seconds, 1),
        **outcome.extra,
    )
    return outcome
