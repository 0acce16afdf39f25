"""The one JSON document that a command prints with ``--output json``: an envelope around its result and its errors.

``docs/reference/output.schema.json`` describes it; :mod:`engine.cli.results` says what each command's result is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, SyncError

if TYPE_CHECKING:
    from engine.errors import Diagnostic

CONTRACT_VERSION = 1
"""Rises when a key goes or changes its meaning; new keys may come without it."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """What one command comes to: its result, and what went wrong. ``is_given`` says whether there is a result."""

    result: object = None
    is_given: bool = False
    errors: list[dict[str, Any]] = field(default_factory=list)

    def give(self, result: object) -> None:
        """Keep the command's result, which is printed at its end."""
        self.result, self.is_given = result, True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to print, as of a command that only showed its help."""
        return not (self.is_given or self.errors)


def build_envelope(answer: Answer, *, command: str, project: str | None) -> dict[str, Any]:
    """The document that is printed. ``project`` is None for a command about no project, or about several."""
    return {
        "version": CONTRACT_VERSION,
        "command": command,
        "project": project,
        "result": answer.result,
        "errors": answer.errors,
    }


def error_entries(
    error: BaseException, *, message: str, hint: str, exit_code: int, project: str | None = None, entity: str = ""
) -> list[dict[str, Any]]:
    """An error as the envelope has it; one that is about several places of a project has an entry for each."""
    about = {"project": project or None, "entity": entity or None, "key": getattr(error, "key", None)}
    kind = error_kind(error)

    def entry(message: str, hint: str, place: Diagnostic | None) -> dict[str, Any]:
        return {
            "kind": kind,
            "message": message,
            "hint": hint,
            "exit_code": exit_code,
            **about,
            "file": None if place is None or place.path is None else str(place.path),
            "line": None if place is None else place.line,
            "column": None if place is None else place.column,
        }

    if isinstance(error, ConfigError) and error.diagnostics:
        wrong = [each for each in error.diagnostics if each.severity == "error"] or error.diagnostics
        return [entry(each.message, each.hint or error.hint, each) for each in wrong]
    return [entry(message, hint, getattr(error, "place", None))]


def diagnostic_json(each: Diagnostic) -> dict[str, Any]:
    """A thing that is wrong with a project, with the keys of an error for its place."""
    return {
        "severity": each.severity,
        "message": each.message,
        "hint": each.hint,
        "file": None if each.path is None else str(each.path),
        "line": each.line,
        "column": each.column,
    }


def error_kind(error: BaseException) -> str:
    """The kind of an error: the name of its class in :mod:`engine.errors`, as in ``state_locked``.

    ``system`` is an error of the operating system's, ``interrupted`` a second Ctrl-C, ``internal`` a fault of s2s.
    """
    if isinstance(error, SyncError):
        name = type(error).__name__.removesuffix("Error")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return "system" if isinstance(error, OSError | MemoryError) else "internal"
