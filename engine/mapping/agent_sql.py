"""Read the statement that an agent runs today, as the columns and the FROM of a view.

Such a statement pages itself: ``row_number() over (…) as n`` in a derived table or a CTE, and outside of it ``where n >
%(lower)s and n <= %(upper)s``. That is taken off; everything else stays the client's own text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import UsageError
from engine.mapping.clauses import ClauseReader, Span
from engine.mapping.parse import ParseFailure, parse, plain_reason
from engine.quoting import ident, regions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.mapping.clauses import Select

MARK = re.compile(
    r"%\(\w+\)[a-z]|%[sd](?!\w)|\$?\{\{?\s*\w+\s*\}?\}|(?<![\w:]):[a-z_]\w*|(?<!\w)@\w+|\?|\[\[\w+\]\]", re.IGNORECASE
)
"""A place that the agent fills in: ``%(lower)s``, ``%s``, ``{lower}``, ``:lower``, ``@lower``, ``?``."""

_WORDS = frozenset({"and", "or", "not", "between", "is", "null"})
"""Words of a paging condition that are no names."""

_RUNNING_NUMBER = re.compile(r"(?i)\b(row_number|rank|dense_rank)\s*\(\s*\)\s*over\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentColumn:
    """An output column of the statement: its name, its SQL without the alias, and the line that it begins on.

    ``kind`` is ``blank`` for a constant that holds nothing, such as ``''``. ``results`` are the texts that the
    expression can give, as far as they are written in it; ``complete`` says whether it can give no others.
    """

    name: str
    expression: str
    line: int
    kind: Literal["blank", "constant", "expression"]
    results: tuple[str, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about a line of the statement that a person has to decide."""

    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatement:
    """What a statement gives: its columns, what stands before SELECT's columns, and the text from FROM on."""

    columns: tuple[AgentColumn, ...]
    head: str
    lead: str
    tail: str
    paged: bool
    notes: tuple[Note, ...]


def read_agent_sql(text: str, *, dialect: str) -> AgentStatement:
    """Read an agent's statement.

    1. Leave out what the script has beside the one SELECT, such as USE and GO.
    2. Check that it parses, with numbers in place of what the agent fills in.
    3. Go down through the derived tables and CTEs that only page or hand on, to the SELECT that maps.
    4. Read its columns, and take the filters off that the agent fills in.

    Raises :class:`UsageError` where it cannot be read as one SELECT of ``dialect``.
    """
    sql = text.replace("\r\n", "\n").replace("\t", "    ")
    if re.search(r"%\(\w+\)[a-z]", sql):
        sql = sql.replace("%%", "%")  # Python's DB-API doubles them beside its marks
    script = _Script(sql, dialect)
    statement = script.statement()
    parsed = parse(_filled(statement, dialect), dialect)
    if isinstance(parsed, ParseFailure):
        line = "" if parsed.offset is None else f", line {statement.count(chr(10), 0, parsed.offset) + 1}"
        raise UsageError(
            f"The statement cannot be read as {dialect}: {plain_reason(parsed, statement)}{line}.",
            hint="Name the database's dialect with --dialect, such as mysql or postgres.",
        )
    return _Reader(statement, dialect).read(script.notes)


class _Script:
    """The file's text; everything in it that is not its SELECT is blanked, so that lines keep their numbers."""

    def __init__(self, sql: str, dialect: str) -> None:
        self._sql = sql.removeprefix("\ufeff")
        self._dialect = dialect
        self.notes: list[Note] = []

    def statement(self) -> str:
        """The text with only its SELECT left. Raises :class:`UsageError` where there is none, or several."""
        reader = ClauseReader(self._sql, self._dialect)
        plain = reader.plain(Span(0, len(self._sql)))
        sql = list(self._sql)
        for found in re.finditer(r"(?im)^[ ]*(use|set|go|declare)\b[^\n;]*", plain):
            self._blank(sql, found.start(), found.end())
            what = " ".join(self._sql[found.start() : found.end()].split())
            if found[1].lower() in {"set", "declare"} and what.lower() != "set nocount on":
                self.notes.append(
                    Note(line=reader.line(found.start(1)), message=f"`{what}` is left out: does the view need it?")
                )
        plain = "".join(sql)
        blanked = ClauseReader(plain, self._dialect).plain(Span(0, len(plain)))
        for found in re.finditer(";", blanked):
            sql[found.start()] = " "
            if re.match(r"(?i)\s*(select|with)\b", blanked[found.end() :]) and re.search(
                r"(?i)\bselect\b", blanked[: found.start()]
            ):
                raise UsageError(
                    "The file holds several statements.",
                    hint="Put the one that reads products in a file of its own, and that of customers in another.",
                )
        if not re.search(r"(?i)\bselect\b", blanked):
            raise UsageError("The file holds no SELECT.", hint="Save the statement that the agent runs today in it.")
        return "".join(sql).rstrip()

    @staticmethod
    def _blank(sql: list[str], start: int, end: int) -> None:
        sql[start:end] = [each if each == "\n" else " " for each in sql[start:end]]


def _filled(sql: str, dialect: str) -> str:
    """The SQL with a number of the same length in place of each mark outside of texts, so that it parses."""
    texts = [each for each in regions(sql, dialect) if each.kind != "name"]
    parts = list(sql)
    for found in MARK.finditer(sql):
        if not any(each.start <= found.start() < each.end for each in texts):
            parts[found.start() : found.end()] = "1".ljust(found.end() - found.start())
    return "".join(parts)


class _Reader:
    """Reads the statement, from the outside in."""

    def __init__(self, sql: str, dialect: str) -> None:
        self._sql = sql
        self._dialect = dialect
        self._file = ClauseReader(sql, dialect)
        self._clauses = ClauseReader(_filled(sql, dialect), dialect)
        self._notes: list[Note] = []
        self._ctes: dict[str, Span] = {}
        self._paged = False
        self._filters: list[str] = []
        self._alias = "mapped"

    def read(self, notes: Iterable[Note]) -> AgentStatement:
        """The statement's columns and its FROM."""
        self._notes += notes
        select = self._select(Span(0, len(self._sql)))
        names: list[tuple[str, str]] | None = None  # the outer name of each inner column, where the outside names them
        while (found := self._inner(select)) is not None:
            handed = self._handed_on(select)
            if handed is None:
                break
            span, alias = found
            self._ctes = {name: body for name, body in self._ctes.items() if body != span}
            inner = self._select(span)
            self._page(select, inner, alias)
            if handed and names is None:
                names = handed
            elif handed and names is not None:
                within = {outer.lower(): name for outer, name in handed}
                names = [(outer, within.get(name.lower(), name)) for outer, name in names]
            select = inner
        return self._mapped(select, names)

    def _select(self, span: Span) -> Select:
        select = self._clauses.select(span)
        if select is None:
            raise UsageError(
                "The statement is not one SELECT.", hint="Save the SELECT that the agent runs today in the file."
            )
        self._ctes |= {name.lower(): body for name, body in select.ctes}
        return select

    def _inner(self, select: Select) -> tuple[Span, str] | None:
        """The one query that a SELECT reads from, and its alias: in brackets, or a CTE; None where it reads tables."""
        if select.source is None or select.combined or {"group by", "having"} & set(select.others):
            return None
        derived = self._clauses.derived(select.source)
        if derived is not None:
            return derived
        text = self._clauses.text(select.source)
        name = re.fullmatch(r"(?is)[\[\"`]?(\w+)[\]\"`]?(?:\s+(?:as\s+)?(\w+))?", text)
        body = self._ctes.get(name[1].lower()) if name else None
        return (body, name[2] or name[1]) if name and body else None

    def _handed_on(self, select: Select) -> list[tuple[str, str]] | None:
        """The columns that a SELECT hands on as they are, by outer and inner name; None where it maps more.

        A ``*`` adds none: without any, all columns are handed on.
        """
        found: list[tuple[str, str]] = []
        for item in select.items:
            text = self._clauses.text(item)
            if re.fullmatch(r"(?:\w+\s*\.\s*)?\*", text) or _RUNNING_NUMBER.search(text):
                continue
            part = self._parsed(item)
            plain = part.unalias()
            if type(plain).__name__ != "Column":
                return None
            found.append((part.output_name, plain.name))
        return found

    def _page(self, select: Select, inner: Select, alias: str) -> None:
        """Take off the limits of a SELECT that only pages; keep its other filters for the outside of the view."""
        numbers = self._numbers(select) | self._numbers(inner)
        limited = {"offset", "fetch", "limit"} & set(select.others)
        top = re.search(r"\d", self._clauses.plain(select.lead))
        self._paged = self._paged or bool(numbers or limited or top)
        for condition in () if select.where is None else self._clauses.conditions(select.where):
            names = {each.lower() for each in re.findall(r"[A-Za-z_]\w*", self._clauses.text(condition))}
            names -= {*_WORDS, alias.lower()}
            if names and names <= numbers:
                continue
            if self._is_marked(condition):
                self._leave_out(condition)
            else:
                self._filters.append(self._original(condition))
                self._alias = alias or self._alias

    def _numbers(self, select: Select) -> set[str]:
        """The names of the columns that number the rows, in lower case."""
        return {
            self._parsed(item).output_name.lower()
            for item in select.items
            if _RUNNING_NUMBER.search(self._clauses.text(item))
        }

    def _mapped(self, select: Select, names: list[tuple[str, str]] | None) -> AgentStatement:
        """The innermost SELECT as columns and text."""
        columns = []
        for item in select.items:
            if self._paged and _RUNNING_NUMBER.search(self._clauses.text(item)):
                continue
            columns.append(self._column(item))
        if names is None:
            names = [(each.name, each.name) for each in columns]
        by_name = {each.name.lower(): each for each in columns}
        picked = [(outer, by_name[inner.lower()]) for outer, inner in names if inner.lower() in by_name]
        head = ", ".join(
            f"{name} as (\n{self._sql[body.start : body.end].strip(chr(10))}\n)" for name, body in self._ctes.items()
        )
        lead = " ".join(self._original(select.lead).split())
        if re.search(r"(?i)top\s*\(?\s*100\s*\)?\s+percent", lead):
            lead = re.sub(r"(?i)top\s*\(?\s*100\s*\)?\s+percent", "", lead).strip()
        elif re.search(r"(?i)\btop\b", lead):
            self._note(select.lead, f"`{lead}` reads only some of the rows: should it stay?")
        tail = self._tail(select)
        columns = [replace(column, name=outer) for outer, column in picked]
        if self._filters:
            lead, tail, columns = "", self._wrapped_tail(picked, lead, tail), [*self._from_wrapped(picked)]
        return AgentStatement(
            columns=tuple(columns),
            head=f"with {head}\n" if head else "",
            lead=lead,
            tail=tail,
            paged=self._paged,
            notes=tuple(sorted(self._notes, key=lambda each: each.line)),
        )

    def _from_wrapped(self, picked: list[tuple[str, AgentColumn]]) -> Iterator[AgentColumn]:
        """The columns by their names in the derived table of :meth:`_wrapped_tail`."""
        for outer, column in picked:
            name = f"{self._alias}.{ident(column.name, self._dialect)}"
            yield replace(column, name=outer, expression=column.expression if column.kind != "expression" else name)

    def _wrapped_tail(self, picked: list[tuple[str, AgentColumn]], lead: str, tail: str) -> str:
        """A FROM with the SELECT that maps in it, for filters that stood outside of it."""
        columns = {each.name.lower(): each for _, each in picked}.values()
        inner = ",\n".join(f"        {each.expression} as {ident(each.name, self._dialect)}" for each in columns)
        body = f"    select{' ' if lead else ''}{lead}\n{inner}\n    " + tail.replace("\n", "\n    ")
        where = "\n  and ".join(self._filters)
        return f"from (\n{body}\n) {self._alias}\nwhere {where}"

    def _tail(self, select: Select) -> str:
        """The text from FROM on, without filters that the agent fills in, and without an order or a limit."""
        if select.source is None:
            raise UsageError(
                "The statement reads no table.", hint="Save the statement that the agent runs today in it, whole."
            )
        if select.combined:
            begin = select.source.start
            self._note(select.source, "a UNION: only the names of its first SELECT were changed; paging may be left")
            return f"from {_dedented(self._sql[begin : select.span.end], 0)}"
        parts = [f"from {_dedented(self._original(select.source), 0)}"]
        kept = []
        for condition in () if select.where is None else self._clauses.conditions(select.where):
            if self._is_marked(condition):
                self._leave_out(condition)
            else:
                kept.append(_dedented(self._original(condition)))
        if kept:
            parts.append("where " + "\n  and ".join(kept))
        for name, span in select.others.items():
            if name in {"group by", "having", "option", "window"}:
                parts.append(f"{name} {_dedented(self._original(span))}")
            elif name in {"offset", "fetch", "limit"} and not self._is_marked(span):
                self._note(span, f"`{name}` is left out: every row is read in each run")
        if self._is_marked(select.source):
            self._note(select.source, "the agent fills in a value in this FROM: write it under [vars], or remove it")
        return "\n".join(parts)

    def _column(self, item: Span) -> AgentColumn:
        part = self._parsed(item)
        plain = part.unalias()
        results, complete = result_texts(plain)
        return AgentColumn(
            name=part.output_name,
            expression=self._expression(item, part),
            line=self._clauses.line(self._clauses.first(item)),
            kind=constant_kind(plain),
            results=results,
            complete=complete,
        )

    def _parsed(self, item: Span) -> Any:
        """An output column as the parser's tree."""
        found = parse(f"select {self._clauses.text(item)}", self._dialect)
        if isinstance(found, ParseFailure) or len(found) != 1 or len(found[0].selects) != 1:
            raise UsageError(
                f"Line {self._clauses.line(self._clauses.first(item))} cannot be read:"
                f" {' '.join(self._original(item).split())[:80]}",
                hint="Simplify it in a copy of the file, and write it back into the view afterwards.",
            )
        return found[0].selects[0]

    def _expression(self, item: Span, part: Any) -> str:
        """An output column's own text without its alias."""
        name = part.args.get("alias")
        if name is None:
            return _dedented(self._original(item))
        at = item.start + int(name.meta["start"]) - len("select ")
        at += len(self._clauses.sql[item.start : item.end]) - len(self._clauses.sql[item.start : item.end].lstrip())
        rest = self._clauses.plain(Span(at, item.end))
        assigned = re.match(r"(?i)\s*(?:\w+|\s*)\s*=", rest)
        if assigned and self._clauses.first(item) >= at:
            return _dedented(self._original(Span(at + assigned.end(), item.end)))
        text = self._original(Span(item.start, at))
        return _dedented(re.sub(r"(?i)\s+as$", "", text))

    def _original(self, span: Span) -> str:
        """A stretch as the file has it, without a comment at its end."""
        return self._file.text(span)

    def _is_marked(self, span: Span) -> bool:
        return MARK.search(self._sql[span.start : span.end]) is not None

    def _leave_out(self, condition: Span) -> None:
        text = " ".join(self._original(condition).split())
        if re.fullmatch(r"(?i)[\w.\[\]]*\s*(>|>=|<|<=)\s*\S+", text):
            message = f"`{text}` is left out, as the agent fills it in: every row is read in each run"
        else:
            message = f"`{text}` is left out, as the agent fills it in: does the view need a filter there?"
        self._note(condition, message)

    def _note(self, span: Span, message: str) -> None:
        self._notes.append(Note(line=self._clauses.line(self._clauses.first(span)), message=message))


def _dedented(text: str, step: int = 4) -> str:
    """A text of several lines with those after the first moved left together, and in by one step."""
    first, *more = text.strip().splitlines()
    depth = min((len(each) - len(each.lstrip()) for each in more if each.strip()), default=0)
    return "\n".join([first.rstrip(), *(f"{' ' * step}{each[depth:]}".rstrip() for each in more)])


def constant_kind(expression: Any) -> Literal["blank", "constant", "expression"]:
    """Whether an expression reads no column, and whether such a one gives nothing but blanks or NULL."""
    from sqlglot import exp

    if expression.find(exp.Column, exp.Subquery, exp.Anonymous, exp.Window):
        return "expression"
    literals = [each for each in expression.find_all(exp.Literal) if not isinstance(each.parent, exp.DataTypeParam)]
    if all(each.is_string and not each.this.strip() for each in literals) and (
        literals or expression.find(exp.Null) is not None
    ):
        return "blank"
    return "constant" if literals or expression.find(exp.Boolean) else "expression"


def result_texts(expression: Any) -> tuple[tuple[str, ...], bool]:
    """The texts that an expression can give as far as they are written in it, and whether those are all."""
    from sqlglot import exp

    found: dict[str, None] = {}
    complete = True

    def visit(node: Any) -> Iterator[Any]:
        if isinstance(node, exp.Case):
            yield from (each.args["true"] for each in node.args["ifs"])
            yield node.args.get("default") or exp.null()
        elif isinstance(node, exp.If):
            yield node.args["true"]
            yield node.args.get("false") or exp.null()
        elif isinstance(node, exp.Coalesce):
            yield node.this
            yield from node.expressions
        elif isinstance(node, (exp.Paren, exp.Cast, exp.Trim)):
            yield node.this

    open_nodes = [expression]
    while open_nodes:
        node = open_nodes.pop(0)
        inner = list(visit(node))
        open_nodes = inner + open_nodes
        if isinstance(node, exp.Literal):
            found[str(node.this)] = None
        elif isinstance(node, exp.Null):
            found[""] = None
        elif not inner:
            complete = False
    return tuple(found), complete
