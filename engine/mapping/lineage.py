"""Which source columns feed which Stock2Shop field: read from a view's SQL alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import ViewError
from engine.mapping.check import resolve_column
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import ParseFailure, parse, parse_cached, sqlglot_dialect, start_offset, union_arms, write_sql
from engine.mapping.scopes import Scopes, is_star, output_stars
from engine.quoting import blanked, regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.fields import Entity, Field
    from engine.model.query import Query

_SELECT = re.compile(r"(?i)\bselect(\s+(distinct|all))?(\s+top\s*(\(\s*\d+\s*\)|\d+)(\s+percent)?)?\s*")
"""What stands before the first output column of a SELECT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where one output column comes from.

    ``sources`` are tables and columns as the view writes them; those that only a join or a filter uses are none. A
    column whose table cannot be told stands under ``?``. ``expression`` is the project's own SQL, on one line.
    """

    field: Field
    alias: str
    sources: tuple[tuple[str, str], ...]
    kind: Literal["column", "expression", "constant"]
    expression: str

    @property
    def unresolved(self) -> tuple[str, ...]:
        """The columns whose table cannot be told without the database."""
        return tuple(column for table, column in self.sources if table == "?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """A table, and the columns of it that the view reads anywhere."""

    table: str
    columns: tuple[str, ...]


def trace_columns(
    query: Query, *, dialect: str, entity: Entity, schema: Mapping[str, Sequence[str]] | None = None
) -> tuple[Trace, ...]:
    """Trace each output column of a view, in its order; of a UNION the sources of all its arms.

    ``schema`` gives tables' columns, where it is known, to tell columns without a table apart. Raises
    :class:`ViewError` where the view cannot be parsed.
    """
    statement = parsed_view(query, dialect)
    scopes = Scopes(statement, schema or {})
    found: list[Trace] = []
    sql = query.sql.lstrip("\ufeff")
    plain_sql = blanked(sql, dialect)
    starts = frozenset(match.end() for match in _SELECT.finditer(plain_sql))
    shown = [part for part in statement.selects if not _is_column(part.unalias())]
    texts = dict(
        zip(map(id, shown), _source_texts(shown, sql, dialect, plain_sql=plain_sql, starts=starts), strict=True)
    )
    for position, part in enumerate(statement.selects):
        sources: dict[tuple[str, str], None] = {}
        for arm in union_arms(statement):
            if position < len(arm.selects):
                sources |= dict.fromkeys(scopes.of(arm.selects[position], set()))
        field = resolve_column(part.output_name, entity)
        if field is None:
            continue
        plain = part.unalias()
        kind: Literal["column", "expression", "constant"] = "expression"
        if not sources:
            kind = "constant"
        elif _is_column(plain):
            kind = "column"
        text = texts.get(id(part), "") if kind != "column" else ""
        found.append(
            Trace(
                field=field,
                alias=part.output_name,
                sources=tuple(sources),
                kind=kind,
                expression=text or re.sub(r"\s+", " ", write_sql(plain, sqlglot_dialect(dialect))),
            )
        )
    return tuple(found)


def tables_read(
    query: Query, *, dialect: str, schema: Mapping[str, Sequence[str]] | None = None
) -> tuple[TableRead, ...]:
    """Every table that a view reads, with the columns that it reads of it anywhere.

    ``schema`` gives tables' columns, where they are known. With it, ``*`` and a NATURAL JOIN read all columns of their
    tables, a column without a table is found, and a table of which only rows are counted is read by its first column.
    Without it, these are left out. Raises :class:`ViewError` where the view cannot be parsed.
    """
    from sqlglot import exp

    statement = parsed_view(query, dialect)
    columns = {table.lower(): tuple(names) for table, names in (schema or {}).items()}
    scopes = Scopes(statement, columns)
    found: dict[str, dict[str, str]] = {}

    def add(table: str, name: str) -> None:
        known = {each.lower(): each for each in columns.get(table.lower(), ())}
        if table != "?" and (not known or name.lower() in known):
            found.setdefault(table, {}).setdefault(name.lower(), name)

    for table in scopes.tables():
        found.setdefault(table, {})
    for column in statement.find_all(exp.Column):
        if not is_star(column):
            for table, name in scopes.direct(column):
                add(table, name)
    for select in statement.find_all(exp.Select):
        for table, name in scopes.joined_by_name(select):
            add(table, name)
        for table in output_stars(scopes, select):
            for name in columns.get(table.lower(), ()):
                add(table, name)
    for table, names in found.items():
        for name in columns.get(table.lower(), ())[: 0 if names else 1]:
            add(table, name)
    return tuple(TableRead(table=table, columns=tuple(names.values())) for table, names in found.items())


def joined_columns(
    query: Query, *, dialect: str, schema: Mapping[str, Sequence[str]] | None = None
) -> frozenset[frozenset[tuple[str, str]]]:
    """Sets of tables and columns, in lower case, by which a view joins tables: each must have the same values.

    They stand on both sides of an ``=`` or an ``IN (SELECT …)``, or in USING. Raises :class:`ViewError` where the view
    cannot be parsed.
    """
    from sqlglot import exp

    statement = parsed_view(query, dialect)
    scopes = Scopes(statement, schema or {})
    pairs = [(node.this, [node.expression]) for node in statement.find_all(exp.EQ, exp.NullSafeEQ)]
    pairs += [
        (node.this, node.args["query"].unnest().selects)
        for node in statement.find_all(exp.In)
        if node.args.get("query")
    ]
    sides = [
        (list(left.find_all(exp.Column)), [column for part in right for column in part.find_all(exp.Column)])
        for left, right in pairs
    ]
    found = [
        {place for column in (*left, *right) for place in scopes.of(column, set())}
        for left, right in sides
        if left and right
    ]
    for select in statement.find_all(exp.Select):
        by_name: dict[str, set[tuple[str, str]]] = {}
        for table, name in scopes.joined_by_name(select):
            by_name.setdefault(name.lower(), set()).add((table, name))
        found += by_name.values()
    return frozenset(frozenset((table.lower(), name.lower()) for table, name in places) for places in found)


def compared_texts(
    query: Query, *, dialect: str, schema: Mapping[str, Sequence[str]] | None = None
) -> dict[tuple[str, str], frozenset[str]]:
    """The texts and numbers that a view writes beside each column, by table and column in lower case.

    They are what the column is compared with, or searched for: of a pattern the texts between its wildcards. Raises
    :class:`ViewError` where the view cannot be parsed.
    """
    from sqlglot import exp

    statement = parsed_view(query, dialect)
    scopes = Scopes(statement, schema or {})
    found: dict[tuple[str, str], frozenset[str]] = {}
    for literal in statement.find_all(exp.Literal):
        at = literal.parent
        columns: list[Any] = []
        while at is not None and not columns and not isinstance(at, exp.Query):
            columns = list(at.find_all(exp.Column))
            at = at.parent
        texts = frozenset(re.split("[%_]+", literal.name)) if isinstance(literal.parent, exp.Like) else {literal.name}
        for column in columns:
            for table, name in scopes.of(column, set()):
                place = (table.lower(), name.lower())
                found[place] = found.get(place, frozenset()) | texts
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRow:
    """A row of the mapping table: the source columns (``table.column``) of a field, and what the field is.

    ``expression`` is blank where the field is a column as it is.
    """

    field: str
    sources: tuple[str, ...]
    expression: str
    required: bool
    meaning: str


def mapping_rows(query: Query, *, dialect: str, entity: Entity, linked: bool) -> tuple[MappingRow, ...]:
    """The mapping as the Custom Database guide's table. Raises :class:`ViewError` where the view cannot be parsed."""
    required = {field.name for field in entity.required(linked=linked)}
    return tuple(
        MappingRow(
            field=each.field.name,
            sources=tuple(f"{table}.{column}" if table != "?" else column for table, column in each.sources),
            expression="" if each.kind == "column" else each.expression,
            required=each.field.name in required,
            meaning=each.field.meaning.replace("NAME", each.field.placeholder_value)
            if each.field.placeholder_value
            else each.field.meaning,
        )
        for each in trace_columns(query, dialect=dialect, entity=entity)
    )


def mapping_markdown(rows: Sequence[MappingRow]) -> str:
    """The mapping table: source, field, whether it is required, description."""
    lines = ["| Custom Database | Stock2Shop | Required | Description |", "| --- | --- | --- | --- |"]
    for row in rows:
        code = f"`{_cell(row.expression)}`" if row.expression else ""
        sources = ": ".join(filter(None, (", ".join(f"`{source}`" for source in row.sources), code)))
        lines.append(f"| {sources} | {row.field} | {'yes' if row.required else ''} | {_cell(row.meaning)} |")
    return "\n".join(lines) + "\n"


def _source_texts(
    parts: Sequence[Any], sql: str, dialect: str, *, plain_sql: str, starts: frozenset[int]
) -> Iterator[str]:
    """Output columns' expressions as the view has them, each on one line; blank where that cannot be told.

    No writer's next release changes them, and none has a function's name in Pervasive or Firebird. ``plain_sql`` is the
    SQL with its texts and comments blanked out, and ``starts`` are the places where a first output column begins. That
    a text is the expression is proved by parsing it: all at once, and one by one where they do not parse together.
    """
    texts = [_source_text(part, sql, dialect, plain_sql=plain_sql, starts=starts) for part in parts]
    known = [text for text in texts if text]
    together = _parsed_outputs(", ".join(known), dialect) if known else []
    each = iter(together if len(together) == len(known) else ())
    for part, text in zip(parts, texts, strict=True):
        again = next(each, None) if text else None
        same = text and (again == part.this or _parsed_outputs(text, dialect) == [part.this])
        yield text if same else ""


def _parsed_outputs(text: str, dialect: str) -> list[Any]:
    """The output columns of a SELECT of ``text``; none where it is not one statement."""
    found = parse(f"select {text}", dialect)
    return [] if isinstance(found, ParseFailure) or len(found) != 1 else list(found[0].selects)


def _source_text(part: Any, sql: str, dialect: str, *, plain_sql: str, starts: frozenset[int]) -> str:
    """What stands before an output column's alias, on one line; blank where it has none."""
    from sqlglot import exp

    end = start_offset(part) if isinstance(part, exp.Alias) else None
    if end is None:
        return ""
    head = plain_sql[:end].rstrip()
    end = len(head) - (2 if re.search(r"(?i)\bas\Z", head[-3:]) else 0)
    begin, depth = end, 0
    while begin > 0 and depth >= 0:
        letter = plain_sql[begin - 1]
        depth += (letter == ")") - (letter == "(")
        if depth < 0 or (depth == 0 and (letter == "," or begin in starts)):
            break
        begin -= 1
    return _on_one_line(sql[begin:end], dialect)


def _on_one_line(sql: str, dialect: str) -> str:
    """SQL without comments, and with one blank for many outside of quotes."""
    parts, position = [], 0
    for region in regions(sql, dialect):
        parts.append(_collapse_blanks(sql[position : region.start]))
        parts.append(" " if region.kind == "comment" else sql[region.start : region.end])
        position = region.end
    return re.sub(r"(?<!\s)\s*\n\s*", " ", "".join([*parts, _collapse_blanks(sql[position:])])).strip()


def _collapse_blanks(sql: str) -> str:
    return re.sub(r"(?<=\() | (?=\))", "", re.sub(r"\s+", " ", sql))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'")


def parsed_view(query: Query, dialect: str) -> Any:
    """The one SELECT of a view, as sqlglot's expression, which must not be changed.

    Raises :class:`ViewError` where the view cannot be parsed.
    """
    from sqlglot import exp

    statements = parse_cached(query.sql.lstrip("\ufeff"), dialect)
    if isinstance(statements, ParseFailure) or len(statements) != 1 or not isinstance(statements[0], exp.Query):
        reason = statements.message if isinstance(statements, ParseFailure) else "it is not one SELECT"
        hint = "Its columns are checked when it runs."
        raise ViewError([diagnostic_at(query, None, f"The view cannot be traced: {reason}.", hint)])
    return statements[0]


def _is_column(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Column)
