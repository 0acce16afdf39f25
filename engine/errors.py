"""Everything that can go wrong, grouped by what to do about it.

::

    SyncError                    exit  what to do
    ├── ConfigError                 2  fix the project; carries every Diagnostic at once
    │   ├── OutsideWorkspaceError      a file of the workspace that is a link to somewhere else
    │   ├── ProjectError               project.toml, .env, the workspace
    │   ├── RenderError                a template
    │   ├── FixtureError               a fixture, or a view that cannot be run on the fixtures
    │   └── ViewError                  what a template rendered to
    ├── UsageError                  2  fix the command line
    ├── SourceError                 1  look at the client's database
    │   ├── DriverError                the driver or the driver manager is not there
    │   ├── ConnectError               the database cannot be reached or refuses the login
    │   ├── QueryError                 the database refused or aborted the query
    │   │   ├── UnpackableError            a row cannot be read as one text: its columns are read one by one
    │   │   └── UnresponsiveError          it stopped responding, and could not be cancelled
    │   └── WriteError                 it refused to raise an order; ``retriable`` where the same may succeed later
    ├── OrderError                  1  an order that cannot even be kept: its sender is wrong
    ├── StateError                  1  look at the state file
    │   ├── StateMemoryError           the machine has too little memory for rows this wide
    │   ├── ObjectStoreError           the fleet's object store cannot be reached, or refuses a request
    │   │   └── MissingObjectError         it does not have what was stored there
    │   └── StateLockedError       75  wait: another run holds the project
    │       └── LeaseError             another machine of the fleet has it, or took it over, or it is paused
    ├── FleetError                  1  look at the fleet's PostgreSQL
    ├── ApiError                    1  look at Stock2Shop
    │   ├── UnavailableError           it could not be reached, or kept failing: try later
    │   │   └── ServerError                it answers 500, perhaps for what is in this very batch
    │   ├── AuthenticationError        it refuses the user
    │   ├── AnswerError                it answered something that is not documented
    │   └── RefusedError               it refused this very batch: never retried as it is
    ├── GuardError                  3  read the plan, then approve it or fix the source
    │   └── OriginChangedError         its state belongs to another account or database: say what is meant
    ├── DeadlineError               1  raise the deadline, or make the view faster: the next run goes on
    ├── AccountingError             1  an error of this engine: nothing was sent
    ├── WorkerError                 1  look at the machine: the process that ran a project died
    ├── SchedulerError              1  look at the system's own scheduler, or at the rights of this account
    └── CancelledError            130  it was stopped by a signal: run it again

Each message says what is wrong and where; ``hint`` says what to do next. Neither ever holds a password, a
token or a customer's data.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing wrong with a project, and where.

    ``line`` and ``column`` count from 1. A warning does not stop a run.
    """

    message: str
    hint: str = ""
    path: Path | None = None
    line: int | None = None
    column: int | None = None
    severity: Literal["error", "warning"] = "error"

    @property
    def where(self) -> str:
        """``path:line:column``, as much of it as is known; empty where nothing is."""
        if self.path is None:
            return ""
        parts = [str(self.path), *(str(number) for number in (self.line, self.column) if number is not None)]
        return ":".join(parts)

    def relative_location(self, workspace: Path) -> str:
        """:attr:`where` from the workspace on, with slashes on every system: the same text on every machine."""
        if self.path is not None and self.path.is_relative_to(workspace):
            return self.path.relative_to(workspace).as_posix() + self.where.removeprefix(str(self.path))
        return self.where


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python's, a library's or the operating system's means that there is too little memory.

    A thread that cannot be started and a library that cannot be mapped mean nothing else on a machine that works.
    """
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    words = r"out of memory|bad.alloc|cannot allocate memory|can't start new thread|failed to map segment"
    return bool(re.search(words, str(error), re.IGNORECASE))


class SyncError(Exception):
    """The root: a message for people, and a hint that names the next step.

    ``place`` is where in a file of the project it is, and ``key`` the row or order that it is about, where known.
    """

    exit_code = 1
    place: Diagnostic | None = None
    key: str | None = None

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SyncError):
    """The project is wrong; ``diagnostics`` holds everything that was found, never only the first."""

    exit_code = 2

    def __init__(self, diagnostics: Sequence[Diagnostic], *, hint: str = "") -> None:
        self.diagnostics = tuple(diagnostics)
        lines = [f"{each.where}: {each.message}" if each.where else each.message for each in self.diagnostics]
        super().__init__("\n".join(lines), hint=hint)


def located_messages(error: ConfigError, workspace: Path) -> tuple[str, ...]:
    """The messages of an error, each with its place in the workspace."""
    return tuple(
        f"{each.relative_location(workspace)}: {each.message}".removeprefix(": ") for each in error.diagnostics
    )


class OutsideWorkspaceError(ConfigError):
    """A path of the workspace leads out of it, through a link or through ``..``."""


class ProjectError(ConfigError):
    """``project.toml``, its variables or the workspace are wrong."""


class RenderError(ConfigError):
    """A template could not be rendered."""


class FixtureError(ConfigError):
    """A fixture cannot be loaded, or a view cannot be run on the fixtures that there are."""


class ViewError(ConfigError):
    """A view rendered to something that may not run, or does not fit the contract."""


class UsageError(SyncError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class UnknownKeyError(UsageError):
    """Neither the source nor the state of a project knows the code ``key``."""

    def __init__(self, message: str, *, key: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key


class SourceError(SyncError):
    """The client's database could not be read."""


class DriverError(SourceError):
    """The ODBC driver manager or the driver is missing."""


class ConnectError(SourceError):
    """The database cannot be reached, or refuses the login."""


class QueryError(SourceError):
    """The database refused the query, aborted it or took too long.

    ``bare_message`` is the message without ``place``, which is where in a template it is, if that is known.
    """

    def __init__(self, message: str, *, hint: str = "", place: Diagnostic | None = None) -> None:
        super().__init__(f"{place.where}: {message}" if place and place.where else message, hint=hint)
        self.bare_message = message
        self.place = place


class UnpackableError(QueryError):
    """A row does not arrive as one text: it is to be read column by column."""


class UnresponsiveError(QueryError):
    """The database stopped responding, and the call could not be cancelled."""

    def __init__(self) -> None:
        super().__init__(
            "The database stopped responding: it did not answer in time, and could not be cancelled either.",
            hint="Run again, which opens a new connection. If it happens again, look for what drops connections between"
            " this machine and the database without an error (a VPN, a firewall), or whether the server hangs.",
        )


class WriteError(SourceError):
    """The database refused a statement of an order; ``retriable`` where the same may succeed later.

    ``uncertain`` where it may have kept the order all the same: the connection was lost while committing.
    """

    def __init__(self, message: str, *, hint: str = "", retriable: bool = False, uncertain: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retriable = retriable
        self.uncertain = uncertain

    def at(self, path: Path) -> WriteError:
        """The same of the statement in ``path``."""
        message = f"{path.parent.name}/{path.name}: {self.message}"
        return WriteError(message, hint=self.hint, retriable=self.retriable, uncertain=self.uncertain)


class OrderError(SyncError):
    """A document that is not an order. ``status`` is the HTTP status of the answer."""

    def __init__(self, message: str, *, hint: str = "", status: int = 422) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class StateError(SyncError):
    """The state file is damaged, newer than this engine, not writable, or out of space."""


class StateLockedError(StateError):
    """Another run holds the project's state file."""

    exit_code = 75


class LeaseError(StateLockedError):
    """Another machine of the fleet has the project, or took it over; or the project is paused."""


class ObjectStoreError(StateError):
    """The fleet's object store cannot be reached, or refuses a request."""


class MissingObjectError(ObjectStoreError):
    """The fleet's object store does not have an object, or one of another size."""


class FleetError(SyncError):
    """The fleet's PostgreSQL cannot be reached, or refuses a statement."""


class StateMemoryError(StateError):
    """The working set does not fit into the memory that DuckDB is given."""


class ApiError(SyncError):
    """Stock2Shop did not take or give what was asked."""


class UnavailableError(ApiError):
    """Stock2Shop could not be reached, or kept failing until the retries ran out."""


class ServerError(UnavailableError):
    """Stock2Shop answered 500 until the retries ran out: it may be broken, or what it was sent breaks it.

    ``named`` are the items of the request that its answer speaks of, by the kind of the guess, numbered from 0.
    """

    def __init__(self, message: str, *, hint: str = "", named: Mapping[str, Sequence[int]] | None = None) -> None:
        super().__init__(message, hint=hint)
        self.named = named or {}


class DeadlineError(SyncError):
    """The command's deadline came before its work was done; the next run goes on."""


class AuthenticationError(ApiError):
    """Stock2Shop refuses the user name, the password or the source."""


class AnswerError(ApiError):
    """Stock2Shop answered something that its documentation does not say."""


class RefusedError(ApiError):
    """Stock2Shop refused this request for what is in it; ``reason`` is its own word.

    ``named`` are the items of the request that its answer speaks of, by the kind of the guess, numbered from 0.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int,
        hint: str = "",
        named: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
        self.status = status
        self.named = named or {}


class GuardError(SyncError):
    """A plan is larger than the project allows; nothing was sent."""

    exit_code = 3


class OriginChangedError(GuardError):
    """The state belongs to another Stock2Shop account or database than ``project.toml`` names; nothing was sent."""


class AccountingError(SyncError):
    """The rows do not add up; nothing was sent."""


class WorkerError(SyncError):
    """The process that ran a project died, however it came."""


class SchedulerError(SyncError):
    """The system's own scheduler cannot be used, or has something of that name already."""


class CancelledError(SyncError):
    """The run was stopped by a signal or its deadline: between two batches, or while the source was read."""

    exit_code = 130
