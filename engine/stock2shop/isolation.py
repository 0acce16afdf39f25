"""Find the rows that a receiver refuses, by sending parts of them: adaptive group testing.

A part is accepted, or refused as a whole for at least one row in it. Pure: rows are numbers from 0, :class:`Search`
says which part to send next and is told what became of it, and :class:`Evidence` keeps what one run has learned, over
all its batches. No row is blamed that was not refused alone.

What keeps the requests few:

1. A refusal that names rows is believed as far as they are tried alone next, and the others together. Of each kind of
   guess, such as by code or by position, it is learned whether it is right.
2. Where nothing is named, a refused part is halved until one row is left. Half of a refused part whose other half was
   accepted holds the culprit, and is not sent whole again.
3. How many rows are sent together follows the share of refused rows so far (generalized binary splitting, Hwang 1972).
4. Rows that share what all rows refused for one reason have, and no accepted row has, are tried one by one, and the
   others without them.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence

PROBE_AFTER_REFUSALS = 3
"""So many rows refused alone, and nothing accepted yet, and a row of another product is tried."""

MAX_REFUSED_PRODUCTS = 10
"""Rows of so many products refused alone, and nothing accepted, and it is not the rows."""

ALIKE_AFTER_REFUSALS = 3
"""So many rows refused for one reason, and what they have in common is looked for in the others."""

_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
"""Its multiples are spread evenly, however many are taken: refused rows often stand together."""

_FADING = 0.97
"""How much less a row counts with each later row, when the share of refused rows is estimated."""

_MAX_FALSE_NAMES = 2
"""How many more rows may be named wrongly than rightly before names are no longer believed."""


class Likeness:
    """What the rows that were refused for one reason have in common, and no accepted row has.

    >>> likeness = Likeness()
    >>> for vendor in ("Acme", "Acme", "Acme"):
    ...     likeness.add_refused("SKU 17 is bad", {("vendor", vendor), ("qty", 1)})
    >>> likeness.add_accepted([{("vendor", "Other"), ("qty", 1)}])
    >>> likeness.covers({("vendor", "Acme"), ("qty", 5)})
    True
    """

    def __init__(self) -> None:
        self._common: dict[str, set[Hashable]] = {}
        self._refused: defaultdict[str, int] = defaultdict(int)

    def add_refused(self, reason: str, traits: Iterable[Hashable]) -> None:
        """Learn from a row with ``traits`` that was refused alone for ``reason``."""
        kind = re.sub(r"\w*\d\w*", "", reason)
        common = self._common.get(kind)
        self._common[kind] = set(traits) if common is None else common & set(traits)
        self._refused[kind] += 1

    def add_accepted(self, rows: Iterable[Collection[Hashable]]) -> None:
        """Learn from accepted rows, each as its traits."""
        if self._common:
            for traits in rows:
                for common in self._common.values():
                    common.difference_update(traits)

    @property
    def is_known(self) -> bool:
        """Whether any row can be covered."""
        return any(common and self._refused[kind] >= ALIKE_AFTER_REFUSALS for kind, common in self._common.items())

    def covers(self, traits: Collection[Hashable]) -> bool:
        """Whether a row with ``traits`` is like those that were refused for one reason."""
        return any(
            common and self._refused[kind] >= ALIKE_AFTER_REFUSALS and common <= set(traits)
            for kind, common in self._common.items()
        )


@dataclass(slots=True)
class Evidence:
    """What a run has learned of the receiver so far."""

    anything_accepted: bool = False
    doubted_rows: int = 0
    """Rows refused alone of which it is not known yet whether they are the cause: nothing was accepted since."""
    doubted_products: set[Hashable] = field(default_factory=set)
    """The products that the doubted rows belong to."""
    probes: int = 0
    """How often a row of another product was tried for that."""
    tested_weight: float = 0.0
    """Rows that were accepted or refused alone, where the last ones count most: refused rows often stand together."""
    refused_weight: float = 0.0
    named_rightly: Counter[str] = field(default_factory=Counter)
    """How many rows a kind of guess named that were refused alone."""
    named_wrongly: Counter[str] = field(default_factory=Counter)
    """How many rows a kind of guess named that were accepted."""
    likeness: Likeness = field(default_factory=Likeness)

    def believes(self, kind: str) -> bool:
        """Whether the rows that a kind of guess names are tried first."""
        return self.named_wrongly[kind] - self.named_rightly[kind] < _MAX_FALSE_NAMES

    @property
    def is_about_the_account(self) -> bool:
        """Whether so much was refused, and nothing accepted, that the rows are not the cause."""
        return not self.anything_accepted and len(self.doubted_products) >= MAX_REFUSED_PRODUCTS

    def group_size(self) -> int | None:
        """How many rows to send together so that half of such parts are accepted; None for as many as there are."""
        if not self.refused_weight or any(self.believes(kind) for kind in self.named_rightly):
            return None
        share = (self.refused_weight + 0.5) / (self.tested_weight + 20)
        return max(1, round(math.log(2) / share))

    def weigh(self, *, rows: int, refused: int) -> None:
        """Count ``rows`` that were accepted, or the one that was refused alone."""
        fading = _FADING**rows
        self.tested_weight = self.tested_weight * fading + (1 - fading) / (1 - _FADING)
        self.refused_weight = self.refused_weight * fading + refused


class Search:
    """Finds the refused rows of one batch.

    ``products`` holds each row's product; ``traits`` gives what can be told of a row by its number. The first
    ``first_rows`` are a removal, say, that what follows relies on: where not all rows are accepted together, every one
    of them is tried before the others. Call :meth:`next_part`, send it, and call :meth:`accept`, :meth:`refuse` or
    :meth:`divide`, until there is no part.
    """

    def __init__(
        self,
        products: Sequence[Hashable],
        evidence: Evidence,
        *,
        first_rows: int = 0,
        traits: Callable[[int], Collection[Hashable]] = lambda _: (),
    ) -> None:
        self._first_rows = first_rows
        self._products = products
        self._evidence = evidence
        self._traits = traits
        self._unknown: deque[tuple[list[int], bool]] = deque([(list(range(len(products))), True)])
        """Rows of which nothing is known, in segments, and whether a segment may be sent together with the next."""
        self._later: list[int] = []
        """Rows that are tried when everything else was."""
        self._culpable: list[list[int]] = []
        """Segments that hold at least one refused row."""
        self._named: dict[int, str] = {}
        """The rows that a refusal named and that were not tried since, with the kind of the guess."""
        self._part: list[int] = []
        self._rest: list[int] = []
        """The other half of the segment that the part was cut from."""

    @property
    def remaining(self) -> list[int]:
        """The rows that were neither accepted nor refused alone, in their order."""
        segments = [rows for rows, _ in self._unknown]
        return sorted(row for rows in [*segments, self._later, *self._culpable, self._part, self._rest] for row in rows)

    def next_part(self) -> list[int]:
        """The rows to send next, in their order; none when everything was accepted or refused alone."""
        if not self._culpable and not self._unknown and self._later:
            self._unknown.append((self._later, True))
            self._later = []
        doubted = self._evidence.doubted_rows >= PROBE_AFTER_REFUSALS
        if doubted and (probe := self._take_other_product()) is not None:
            self._part, self._rest = [probe], []
        elif self._culpable:
            self._part, self._rest = self._cut(self._culpable.pop())
        elif self._unknown:
            self._part, self._rest = self._gather(), []
        return self._part

    def accept(self) -> None:
        """Learn that the part was accepted."""
        self._evidence.anything_accepted = True
        self._evidence.doubted_rows = 0
        self._evidence.doubted_products.clear()
        self._evidence.weigh(rows=len(self._part), refused=0)
        self._evidence.likeness.add_accepted(map(self._traits, self._part))
        self._forget_names(self._part)
        if self._rest:
            self._culpable.append(self._rest)
        self._part, self._rest = [], []

    def refuse(
        self, reason: str = "", named: Mapping[str, Sequence[int]] | None = None, *, doubtful: bool = False
    ) -> bool:
        """Learn that the part was refused for ``reason``.

        ``named`` are the rows that the refusal seems to name, by their places in the part, for each kind of guess.

        ``doubtful`` says that the receiver itself may have failed, also where it accepted something before. Gives
        whether the part is one row, which is refused alone.
        """
        part, rest = self._part, self._rest
        self._part, self._rest = [], []
        if rest:
            self._unknown.appendleft((rest, True))
        if self._postpone(part):
            return False
        if len(part) == 1:
            self._learn_refusal(part[0], reason, doubtful=doubtful)
            return True
        for kind, places in (named or {}).items():
            if self._evidence.believes(kind) and 0 < len(set(places)) < len(part):
                rows = [part[place] for place in sorted(set(places))]
                self._named |= dict.fromkeys(rows, kind)
                self._culpable += [[row] for row in reversed(rows)]
                self._unknown.appendleft(([row for row in part if row not in self._named], True))
                return False
        self._culpable.append(part)
        return False

    def _forget_names(self, accepted: Iterable[int]) -> None:
        """Learn that these rows were named wrongly, where they were; forget whom a kind named that is often wrong."""
        kinds = [self._named.pop(row) for row in accepted if row in self._named]
        self._evidence.named_wrongly.update(kinds)
        lost = {row for row, kind in self._named.items() if kind in kinds and not self._evidence.believes(kind)}
        if lost:
            self._culpable = [rows for rows in self._culpable if not (len(rows) == 1 and rows[0] in lost)]
            self._unknown.appendleft((sorted(lost), True))
            self._named = {row: kind for row, kind in self._named.items() if row not in lost}

    def divide(self) -> None:
        """Take the part in two, because it is too large for one request."""
        if self._rest:
            self._unknown.appendleft((self._rest, True))
        if not self._postpone(self._part):
            first, second = self._cut(self._part)
            self._unknown.extendleft([(second, False), (first, False)])
        self._part, self._rest = [], []

    def _postpone(self, part: list[int]) -> bool:
        """Part the first rows of ``part`` from those that are tried after them; gives whether it holds both."""
        first = [row for row in part if row < self._first_rows]
        if not first or len(first) == len(part):
            return False
        self._unknown.appendleft((first, True))
        self._later += [row for row in part if row >= self._first_rows]
        return True

    def _learn_refusal(self, row: int, reason: str, *, doubtful: bool) -> None:
        self._evidence.weigh(rows=1, refused=1)
        if doubtful or not self._evidence.anything_accepted:
            self._evidence.doubted_rows += 1
            self._evidence.doubted_products.add(self._products[row])
        self._evidence.likeness.add_refused(reason, self._traits(row))
        if row in self._named:
            self._evidence.named_rightly[self._named.pop(row)] += 1

    def _take_other_product(self) -> int | None:
        """Take a row of a product that is not in doubt out of its segment, each time from somewhere else."""
        segments = [*(rows for rows, _ in self._unknown), *self._culpable]
        others = [
            (row, rows)
            for rows in segments
            for row in rows
            if self._products[row] not in self._evidence.doubted_products
        ]
        if not others:
            return None
        self._evidence.probes += 1
        row, rows = others[int(self._evidence.probes * _GOLDEN_RATIO % 1 * len(others))]
        rows.remove(row)
        if rows in self._culpable:
            # Whether it is the row that was taken out is not known before that was tried.
            self._culpable.remove(rows)
            self._unknown.appendleft((rows, True))
        self._unknown = deque((rows, mergeable) for rows, mergeable in self._unknown if rows)
        return row

    def _cut(self, rows: list[int]) -> tuple[list[int], list[int]]:
        """Two halves of ``rows``, cut between two products where there are any; one row is its own first half."""
        middle = len(rows) // 2
        between = [
            place for place in range(1, len(rows)) if self._products[rows[place]] != self._products[rows[place - 1]]
        ]
        cut = min(between, key=lambda place: abs(place - middle), default=max(1, middle))
        return rows[:cut], rows[cut:]

    def _gather(self) -> list[int]:
        """Take as many rows of which nothing is known as should be sent together."""
        size = self._evidence.group_size()
        rows, mergeable = self._unknown.popleft()
        while mergeable and self._unknown and self._unknown[0][1] and (size is None or len(rows) < size):
            rows += self._unknown.popleft()[0]
        rows.sort()
        if self._evidence.likeness.is_known:
            alike = {row for row in rows if self._evidence.likeness.covers(self._traits(row))}
            if len(alike) == len(rows):
                size = 1
            elif alike:
                self._unknown.append((sorted(alike), False))
                rows = [row for row in rows if row not in alike]
        if size is not None and len(rows) > size:
            self._unknown.appendleft((rows[size:], mergeable))
            rows = rows[:size]
        return rows


def runs(rows: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of consecutive numbers.

    >>> list(runs([1, 2, 3, 7, 9, 10]))
    [(1, 3), (7, 7), (9, 10)]
    """
    start = previous = None
    for row in rows:
        if start is None or previous is None:
            start = row
        elif row != previous + 1:
            yield start, previous
            start = row
        previous = row
    if start is not None and previous is not None:
        yield start, previous
