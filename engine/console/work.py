"""What people ask for on the console that is done by the agent's workers, and what came of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

MAX_ANSWERS = 100
"""So many explanations are kept, the newest, in memory alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Has things done; each function returns at once, and gives whether it was taken: what is asked for twice is not.

    ``run`` takes a project, ``approve`` a project, an entity and a plan's digest, ``retry`` a project and an order.
    ``explain`` takes a project, a code, and a function for what is found: stories as
    :class:`engine.sync.explain.Story` has them, or an error. ``skip`` takes a project, an order and the code under
    which it was entered by hand, and skips it before it returns; ``statements`` gives what raising an order would run:
    the file, the SQL and the values, personal data masked unless it is to be revealed. The last two raise
    :class:`engine.errors.SyncError`.
    """

    run: Callable[[str], bool]
    approve: Callable[[str, str, str], bool]
    retry: Callable[[str, int], bool]
    explain: Callable[[str, str, Callable[[Sequence[Mapping[str, Any]], str], None]], bool]
    skip: Callable[[str, int, str | None], None]
    statements: Callable[[str, int, bool], Sequence[tuple[str, str, Sequence[str]]]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the source said of a code, at a time in UTC, or why it could not be asked."""

    at: datetime
    stories: Sequence[Mapping[str, Any]] = ()
    error: str = ""


@dataclass(slots=True)
class Explanations:
    """What was explained, and what is being explained, by project and code."""

    _known: OrderedDict[tuple[str, str], Answer | None] = field(default_factory=OrderedDict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, project: str, code: str) -> None:
        """Take note that a code is being explained."""
        self._put(project, code, None)

    def end(self, project: str, code: str, stories: Sequence[Mapping[str, Any]], error: str) -> None:
        """Keep what was found."""
        self._put(project, code, Answer(now(), [_with_fields(each) for each in stories], error))

    def find(self, project: str, code: str) -> tuple[bool, Answer | None]:
        """Whether a code is being explained, and what was found."""
        with self._changing:
            answer = self._known.get((project, code))
            return answer is None and (project, code) in self._known, answer

    def _put(self, project: str, code: str, answer: Answer | None) -> None:
        with self._changing:
            self._known.pop((project, code), None)
            self._known[project, code] = answer
            while len(self._known) > MAX_ANSWERS:
                self._known.popitem(last=False)


def _with_fields(story: Mapping[str, Any]) -> dict[str, Any]:
    """A story with its fields side by side: in the source, and as Stock2Shop has them."""
    rows = [*story["source"], {}]
    source, published = rows[0], story["published"] or {}
    names = [name for name in dict.fromkeys([*source, *published]) if not name.startswith("_")]
    return {**story, "fields": [(name, source.get(name), published.get(name)) for name in names]}
