"""Split the text of a SELECT into its clauses, each as a stretch of the text itself.

The parser's tree would write a client's SQL again, in its own words and without its comments. Here nothing is written:
what comes out are offsets, so that whoever takes a clause away or keeps it does that to the client's own text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.quoting import blanked, regions

_WORDS = re.compile(
    r"(?i)[(),]|(?<![\w.@])(?:select|from|where|group\s+by|having|order\s+by|union|except|intersect|minus|offset|fetch|limit"
    r"|option|for|window|case|end|between|and|or)(?!\w)"
)
"""The words and marks of SQL by which clauses and conditions begin and end."""

_ENDS = frozenset({"where", "group by", "having", "order by", "offset", "fetch", "limit", "option", "for", "window"})
"""Clauses after FROM."""

_SETS = frozenset({"union", "except", "intersect", "minus"})
"""Words that combine two SELECTs."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text: ``text[start:end]``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A query's clauses.

    ``lead`` is the stretch between SELECT and the first output column, such as ``distinct`` or ``top 10``. ``source``
    is what stands after FROM, ``where`` what stands after WHERE, both without the word; None where there is none.
    ``others`` are the clauses after those by their first word. ``combined`` says that it is a UNION or its kin; the
    clauses are then those of its first SELECT.
    """

    span: Span
    lead: Span
    items: tuple[Span, ...]
    source: Span | None = None
    where: Span | None = None
    others: dict[str, Span] = field(default_factory=dict)
    ctes: tuple[tuple[str, Span], ...] = ()
    combined: bool = False


class ClauseReader:
    """Reads the clauses of one SQL text. Quotes and comments in it hide nothing and open nothing."""

    def __init__(self, sql: str, dialect: str) -> None:
        self.sql = sql
        self._dialect = dialect
        self._plain = blanked(sql, dialect)

    def plain(self, span: Span) -> str:
        """The stretch with its texts, quoted names and comments blanked out."""
        return self._plain[span.start : span.end]

    def text(self, span: Span) -> str:
        """The stretch without blanks and comments at its end, and without blanks at its beginning."""
        text = self.sql[span.start : span.end].rstrip()
        while True:
            last = next((each for each in reversed([*regions(text, self._dialect)])), None)
            if last is None or last.kind != "comment" or last.end < len(text):
                return text.lstrip()
            text = text[: last.start].rstrip()

    def line(self, offset: int) -> int:
        """The number of the line that an offset is on, from 1."""
        return self.sql.count("\n", 0, offset) + 1

    def first(self, span: Span) -> int:
        """The offset of the first character of a stretch that is no blank and in no comment."""
        start = span.start
        for each in regions(self.sql, self._dialect):
            if each.kind != "comment" or each.end <= start:
                continue
            if each.start >= span.end or self.sql[start : each.start].strip():
                break
            start = each.end
        rest = self.sql[start : span.end]
        return start + len(rest) - len(rest.lstrip())

    def select(self, span: Span) -> Select | None:
        """The clauses of the query in a stretch, which may stand in brackets; None where there is no SELECT."""
        span = self._without_brackets(span)
        ctes: list[tuple[str, Span]] = []
        start = span.start
        head = re.compile(r"(?i)\s*with\s+(recursive\s+)?").match(self._plain, span.start, span.end)
        if head:
            start = head.end()
            while found := re.compile(r"(?i)\s*,?\s*").match(self._plain, start, span.end):
                opened = re.compile(r"(?i)\bas\s*(?:not\s+)?(?:materialized\s*)?\(").search(
                    self._plain, found.end(), span.end
                )
                begun = re.compile(r"(?i)\s*select\b").match(self._plain, start, span.end)
                if begun or not opened:
                    break
                name = self.sql[found.end() : opened.start()].strip().strip('[]"`')
                end = self._closing(opened.end() - 1, span.end)
                ctes.append((name, Span(opened.end(), end)))
                start = end + 1
        return self._clauses(Span(start, span.end), tuple(ctes), span)

    def conditions(self, span: Span) -> list[Span]:
        """The conditions of a WHERE that are joined by AND; the AND of a BETWEEN joins nothing.

        One stretch where an OR stands among them.
        """
        found: list[Span] = []
        start, depth, between = span.start, 0, 0
        for word in _WORDS.finditer(self._plain, span.start, span.end):
            name = word[0].lower()
            depth += (name in {"(", "case"}) - (name in {")", "end"})
            if depth:
                continue
            if name == "or":
                return [span]
            if name == "between":
                between += 1
            elif name == "and" and between:
                between -= 1
            elif name == "and":
                found.append(Span(start, word.start()))
                start = word.end()
        return [*found, Span(start, span.end)]

    def derived(self, span: Span) -> tuple[Span, str] | None:
        """The query in brackets that a FROM consists of, and its alias; None where there is more, or something else."""
        start = self.first(span)
        if self._plain[start : start + 1] != "(":
            return None
        end = self._closing(start, span.end)
        alias = re.fullmatch(r"(?is)\s*(?:as\s+)?([\w\[\]\"`]*)\s*", self.text(Span(end + 1, span.end)))
        return (Span(start + 1, end), alias[1].strip('[]"`')) if alias else None

    def _closing(self, opening: int, end: int) -> int:
        depth = 0
        for position in range(opening, end):
            depth += (self._plain[position] == "(") - (self._plain[position] == ")")
            if not depth:
                return position
        return end

    def _without_brackets(self, span: Span) -> Span:
        while True:
            start = self.first(span)
            if self._plain[start : start + 1] != "(":
                return Span(start, span.end)
            end = self._closing(start, span.end)
            if self._plain[end + 1 : span.end].strip():
                return Span(start, span.end)
            span = Span(start + 1, end)

    def _clauses(self, span: Span, ctes: tuple[tuple[str, Span], ...], whole: Span) -> Select | None:
        begun = re.compile(
            r"(?i)\s*select\b((?:\s+(?:distinct|all))?(?:\s+top\s*(?:\([^()]*\)|\d+)(?:\s+percent)?(?:\s+with\s+ties)?)?)\s"
        ).match(self._plain, span.start, span.end)
        if begun is None:
            return None
        marks: list[tuple[str, int, int]] = []
        items: list[Span] = []
        start, depth, combined = begun.end(), 0, span.end
        for word in _WORDS.finditer(self._plain, begun.end(), span.end):
            name = re.sub(r"\s+", " ", word[0].lower())
            depth += (name in {"(", "case"}) - (name in {")", "end"})
            if depth:
                continue
            if name in _SETS:
                combined = word.start()
                break
            if name == "," and not marks:
                items.append(Span(start, word.start()))
                start = word.end()
            elif (name == "from" and not marks) or (name in _ENDS and marks):
                marks.append((name, word.start(), word.end()))
        ends = [*(at for _, at, _ in marks), combined]
        items.append(Span(start, ends[0]))
        clauses = {name: Span(after, ends[place + 1]) for place, (name, _, after) in enumerate(marks)}
        return Select(
            span=whole,
            lead=Span(begun.start(1), begun.end(1)),
            items=tuple(items),
            source=clauses.pop("from", None),
            where=clauses.pop("where", None),
            others=clauses,
            ctes=ctes,
            combined=combined < span.end,
        )
