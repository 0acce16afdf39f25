"""Make fixtures from a live source: of every table that the views read, the columns that they read and a few rows.

The rows are chosen in three steps. From each view's own output come rows that show every value of a column that has
few, a NULL and a blank where there are any, and some more; their codes are the keys to begin with. From each table come
the rows that hold one of those keys in any column, so that the variants of a product and what a join finds come along.
And from each table come rows that show its own few values, so that what a view filters out is there to be filtered out.

What is about a person is replaced: what the customers' view makes a name, an e-mail address or an address of, columns
that are called like such, values in the shape of an e-mail address or of a telephone number, and a whole name or street
that was replaced in one place wherever else it is mentioned. The same value gets the same replacement throughout one
capture; what decides it is thrown away.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.database.odbc import open_source
from engine.errors import QueryError, UsageError
from engine.files import listed
from engine.model.fields import ENTITIES
from engine.quoting import ident, literal
from engine.sync import pipeline as sync
from engine.testing.fixture_run import entities
from engine.testing.fixtures import agreed

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from engine.database.odbc import Connection
    from engine.model.settings import Project

FEW = 12
"""A column with at most so many values shows each of them."""

LONGEST = 40
"""A key is no longer than this: descriptions join nothing."""

_PLAIN = re.compile(r"[A-Za-z_]\w*")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE = re.compile(r"(?=(?:\D*\d){9,15}\D*$)(\+\d|\(?0\d+\)?[ -])[\d ()/.-]+")

_ANYWHERE = {
    "email": re.compile(r"(?i)e_?mail"),
    "phone": re.compile(r"(?i)phone|mobile|\btel|_tel|^tel|cell(?!a)|fax"),
    "first": re.compile(r"(?i)first_?name|forename|given_?name|initials"),
    "last": re.compile(r"(?i)last_?name|surname"),
    "born": re.compile(r"(?i)birth|(^|_)dob(_|$)"),
    "person": re.compile(
        r"(?i)contact|attention|salesperson|(full|buyer|owner|manager|employee|rep|user|driver)_?name"
    ),
    "street": re.compile(r"(?i)address|addr|street"),
}
_OF_PEOPLE = {
    **_ANYWHERE,
    "number": re.compile(r"(?i)vat|tax_?(no|num|ref)|id_?(no|nr|num)|passport|regist|bank|iban|account_?no"),
    "city": re.compile(r"(?i)city|town|suburb|province|region"),
    "zip": re.compile(r"(?i)zip|post(al)?_?code|^post|^p_?code"),
    "person": re.compile(r"(?i)name|contact|attention|company|person|title|note|comment|remark"),
}
"""What a column is called that holds something about a person: in any table, and in a table that feeds customers."""

_FIELDS = {
    "first_name": "first",
    "last_name": "last",
    "email": "email",
    "phone": "phone",
    "zip": "zip",
    "address1": "street",
    "address2": "street",
    "city": "city",
    "province": "city",
}
"""What the fields of Stock2Shop that are about a person hold; the others hold names."""

_WHOLE = re.compile(r"(?=.{6,})\S+ .*\S")
"""A name or a street of several words, which is known again where it is mentioned."""

_FIRST = ("Anna", "Bongani", "Chipo", "Daan", "Elena", "Farid", "Grace", "Hugo", "Imani", "Jonas", "Kefilwe", "Lindiwe")
_LAST = ("Adams", "Botha", "Cele", "Dlamini", "Evans", "Fourie", "Govender", "Hendricks", "Isaacs", "Jacobs", "Khumalo")
_CITIES = ("Ashton", "Bredasdorp", "Cradock", "Dundee", "Elgin", "Franschhoek", "Greytown", "Hartenbos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """One file that was written: how many rows of those seen, and the columns in which something was replaced."""

    path: Path
    rows: int
    seen: int
    replaced: tuple[str, ...]


@dataclass(slots=True)
class _Table:
    """A table while its rows are chosen."""

    name: str
    columns: tuple[str, ...]
    people: bool
    fed: dict[str, str] = field(default_factory=dict)
    kinds: list[str | None] = field(default_factory=list)
    kept: dict[tuple[str | None, ...], None] = field(default_factory=dict)
    seen: int = 0
    matched: bool = False


def about_a_person(column: str) -> bool:
    """Whether a column of any table is called so that its values may be about a person."""
    return any(pattern.search(column) for pattern in _ANYWHERE.values())


def capture(
    project: Project,
    *,
    rows: int = 40,
    replace: bool = False,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None] = sync.silent,
) -> tuple[Captured, ...]:
    """Write ``fixtures/<table>.csv`` for every table that the project's views read, about ``rows`` rows each.

    Raises :class:`UsageError` where there are fixtures and ``replace`` is not asked for, and :class:`SourceError` as a
    run does.
    """
    folder = project.root / "fixtures"
    there = listed(folder, "*.csv")
    if there and not replace:
        raise UsageError(
            f"{project.name} has fixtures: {', '.join(path.name for path in there)}.",
            hint=f"To overwrite those that are captured again: s2s fixtures capture {project.name} --replace",
        )
    queries = {entity: sync.check(project, entity)[0] for entity in entities(project)}
    tables = _tables(project, queries)
    keys: set[str] = set()
    with open_source(project.source) as connection:
        for entity, query in queries.items():
            read = connection.read(query.sql)
            chosen = _chosen(read, keys=frozenset(), rows=rows, stop=stop, progress=lambda _: None)
            contract = ENTITIES[entity]
            codes = {
                place
                for place, column in enumerate(read.columns)
                if (known := contract.resolve(column)) is not None and known.type == "code"
            }
            keys |= {key for row in chosen.kept for place in codes if (key := _key(row[place]))}
        more: set[str] = set()
        for table in tables:
            _select(connection, project, table, keys=frozenset(keys), rows=rows, stop=stop, progress=progress)
            if table.matched:
                more |= {key for row in table.kept for value in row if (key := _key(value))}
        # A large table without the views' keys is joined by what those that have them refer to.
        for table in tables:
            if not table.matched and table.seen > rows:
                _select(
                    connection, project, table, keys=frozenset(keys | more), rows=rows, stop=stop, progress=progress
                )
        types = {table.name: _types(connection, project, table) for table in tables}
    folder.mkdir(exist_ok=True)
    disguise = _Disguise(secrets.token_bytes(32))
    for table in tables:
        for kind, column in zip(disguise.kinds(table), zip(*table.kept, strict=True), strict=False):
            disguise.learn(column, kind)
    return tuple(_write(folder, table, types[table.name], disguise) for table in tables)


def _tables(project: Project, queries: Mapping[str, Any]) -> list[_Table]:
    from engine.mapping.lineage import tables_read, trace

    columns: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    people: set[str] = set()
    fed: dict[tuple[str, str], set[str]] = {}
    others: set[tuple[str, str]] = set()
    for entity, query in queries.items():
        for each in trace(query, dialect=project.source.dialect, entity=ENTITIES[entity]):
            for table, column in each.sources:
                place = (table.lower(), column.lower())
                if each.field.personal and each.field.role != "meta":
                    fed.setdefault(place, set()).add(_FIELDS.get(each.field.name.rpartition(".")[2], "person"))
                elif not each.field.personal:
                    others.add(place)
        for read in tables_read(query, dialect=project.source.dialect):
            known = columns.setdefault(read.table.lower(), {})
            names.setdefault(read.table.lower(), read.table)
            known.update({column.lower(): column for column in read.columns if column.lower() not in known})
            if entity == "customers":
                people.add(read.table.lower())
    return [
        _Table(
            name=names[key],
            columns=tuple(columns[key].values()),
            people=key in people,
            # A column of a whole name feeds both the first and the last; one that a CASE looks at feeds others too.
            fed={
                column: next(iter(kinds)) if len(kinds) == 1 else "person"
                for (table, column), kinds in fed.items()
                if table == key and (table, column) not in others
            },
        )
        for key in sorted(columns, key=lambda key: (-len(columns[key]), key))
    ]


def _select(
    connection: Connection,
    project: Project,
    table: _Table,
    *,
    keys: frozenset[str],
    rows: int,
    stop: threading.Event,
    progress: Callable[[str, int, int | None], None],
) -> None:
    names = ", ".join(_name(column, project.source.dialect) for column in table.columns)
    target = ".".join(_name(part, project.source.dialect) for part in table.name.split("."))
    read = connection.read(f"select {names} from {target}")  # noqa: S608 - names that the view itself reads
    found = _chosen(read, keys=keys, rows=rows, stop=stop, progress=lambda seen: progress(table.name, seen, None))
    table.kept, table.seen, table.kinds, table.matched = found.kept, found.seen, found.kinds, found.matched


def _name(name: str, dialect: str) -> str:
    """A name as the view may have written it: quoted only where it must be, because quotes fix its case."""
    return name if _PLAIN.fullmatch(name) else ident(name, dialect)


def _chosen(
    read: Any, *, keys: frozenset[str], rows: int, stop: threading.Event, progress: Callable[[int], None]
) -> _Table:
    """Read a result once and keep the rows that the module's head tells."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = _Table(name="", columns=tuple(read.columns), people=False)
    width = len(found.columns)
    shown: list[dict[str | None, tuple[str | None, ...]]] = [{} for _ in range(width)]
    many = [False] * width
    matching: dict[tuple[str | None, ...], None] = {}
    first: dict[tuple[str | None, ...], None] = {}
    wanted = pa.array(sorted(keys), pa.string())
    kinds: list[set[str]] = [set() for _ in range(width)]
    for batch in read:
        if stop.is_set():
            raise sync.stopped()
        texts = [column.cast(pa.string()) for column in batch.columns]
        for kind, column in zip(kinds, batch.columns, strict=True):
            kind.add("integer" if pa.types.is_integer(column.type) else "other")
        found.seen += batch.num_rows
        progress(found.seen)

        def row(number: int, texts: Sequence[pa.Array] = texts) -> tuple[str | None, ...]:
            return tuple(column[number].as_py() for column in texts)

        if keys and len(matching) < rows * 5:
            hits = None
            for column in texts:
                hit = pc.fill_null(pc.is_in(pc.utf8_trim_whitespace(column), value_set=wanted), False)
                hits = hit if hits is None else pc.or_(hits, hit)
            for number in pc.indices_nonzero(hits).to_pylist()[: rows * 5 - len(matching)]:
                matching[row(number)] = None
        for place, column in enumerate(texts):
            for value in _worth_a_look(column, many=many[place]):
                if value in shown[place]:
                    continue
                if value is not None and value.strip() and (many[place] or len(shown[place]) >= FEW):
                    many[place] = True
                    continue
                where = pc.is_null(column) if value is None else pc.equal(column, value)
                shown[place][value] = row(pc.index(pc.fill_null(where, False), True).as_py())
        for number in range(min(batch.num_rows, rows - len(first))):
            first[row(number)] = None
    few = [
        example
        for place, examples in enumerate(shown)
        for value, example in examples.items()
        if not many[place] or value is None or not value.strip()
    ]
    found.matched = bool(matching)
    found.kept = dict.fromkeys((*matching, *few))
    for example in first:
        if len(found.kept) >= rows:
            break
        found.kept.setdefault(example)
    found.kinds = ["bigint" if kind == {"integer"} else None for kind in kinds]
    return found


def _worth_a_look(column: pa.Array, *, many: bool) -> list[str | None]:
    """The distinct values of a column; of one with many values only those that are NULL or blank."""
    import pyarrow.compute as pc

    if many:
        blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(column), ""), True)
        column = column.filter(blank)
    values: list[str | None] = pc.unique(column).to_pylist()
    return values


def _key(value: str | None) -> str:
    trimmed = (value or "").strip()
    return trimmed if len(trimmed) <= LONGEST else ""


def _types(connection: Connection, project: Project, table: _Table) -> list[str | None]:
    """The type to say in the header, None where the values say it themselves.

    Every reader gives decimals, dates and texts as text, so the database is asked what they are, where it can be asked
    in the standard's way. Where it cannot, a column of digits that did not arrive as integers is text: a code.
    """
    declared: dict[str, tuple[str, str | None]] = {}
    name = table.name.rpartition(".")[2]
    dialect = project.source.dialect
    asked = (
        f"select name, type, null from pragma_table_info({literal(name, dialect)})"  # noqa: S608 - a literal
        if dialect == "sqlite"
        else "select column_name, data_type, cast(numeric_scale as char(10)) from information_schema.columns"  # noqa: S608 - as above
        f" where lower(table_name) = {literal(name.lower(), dialect)}"
    )
    try:
        for batch in connection.read(asked):
            for column, kind, scale in zip(*(part.to_pylist() for part in batch.columns), strict=True):
                declared[str(column).lower()] = (str(kind).lower(), None if scale is None else str(scale).strip())
    except QueryError:
        declared = {}
    types: list[str | None] = []
    for place, column in enumerate(table.columns):
        values = [row[place] for row in table.kept if row[place] is not None]
        meant = agreed(value for value in values if value is not None)
        kind, scale = declared.get(column.lower(), ("", None))
        types.append(_type(kind, scale, meant, arrived=table.kinds[place] if table.kinds else None))
    return types


def _type(kind: str, scale: str | None, meant: str, *, arrived: str | None) -> str | None:
    if re.search("char|text|clob|uuid|uniqueidentifier", kind):
        return None if meant == "varchar" else "text"
    if re.search("dec|numeric|money", kind) and meant.startswith(("bigint", "decimal", "varchar")):
        places = re.search(r"\(\s*\d+\s*,\s*(\d+)\s*\)", kind)
        digits = int(places[1]) if places else int(scale) if scale and scale.isdigit() else 4
        return f"decimal(18,{digits})" if meant != "varchar" else None
    if re.search("double|float|real", kind):
        return "double" if meant != "varchar" else None
    if kind or arrived == "bigint":
        return None
    return "text" if meant == "bigint" else None


class _Disguise:
    """Replaces what is about a person, the same value always by the same."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[str, str] = {}
        self._mentions: re.Pattern[str] | None = None

    @staticmethod
    def kinds(table: _Table) -> list[str | None]:
        """What the columns hold about a person, by their names, and by the fields that they feed."""
        patterns = _OF_PEOPLE if table.people else _ANYWHERE
        return [
            next((kind for kind, pattern in patterns.items() if pattern.search(column)), table.fed.get(column.lower()))
            for column in table.columns
        ]

    def learn(self, values: Iterable[str | None], kind: str | None) -> None:
        """Know whole names and streets again where they are mentioned."""
        if kind in {"person", "first", "last", "street"}:
            for value in values:
                core = (value or "").strip()
                if _WHOLE.fullmatch(core):
                    self._known.setdefault(core.lower(), self._made(core, kind))

    def __call__(self, value: str, kind: str | None) -> str:
        """``value``, replaced where its column or its shape says that it is about a person; padding stays."""
        core = value.strip()
        if not core:
            return value
        if _EMAIL.search(core):
            kind = "email"
        elif kind is None and _PHONE.fullmatch(core):
            kind = "phone"
        if kind is None:
            return self._told(value)
        made = self._made(core, kind)
        return made.ljust(len(value)) if value.endswith(" ") else made

    def _told(self, text: str) -> str:
        """A text with the names in it that were replaced elsewhere replaced too."""
        if not self._known:
            return text
        if self._mentions is None:
            longest = sorted(self._known, key=lambda known: (-len(known), known))
            self._mentions = re.compile(rf"(?i)(?<!\w)({'|'.join(map(re.escape, longest))})(?!\w)")
        return self._mentions.sub(lambda found: self._known.get(found[0].lower(), "—"), text)

    def _made(self, core: str, kind: str) -> str:
        drawn = hmac.new(self._key, f"{kind}:{core.lower()}".encode(), hashlib.sha256).digest()
        first, last = _FIRST[drawn[0] % len(_FIRST)], _LAST[drawn[1] % len(_LAST)]
        number = int.from_bytes(drawn[2:5], "big")
        match kind:
            case "email":
                # One that is malformed stays so: a rule is to catch it.
                address = f"{first}.{last}{number % 10_000}".lower()
                return f"{address}@example.com" if _EMAIL.fullmatch(core) else f"{address} at example"
            case "phone" | "zip" | "number":
                digits = iter(f"{int.from_bytes(drawn, 'big'):078d}")
                return re.sub(r"\d", lambda _: next(digits, "0"), core) if re.search(r"\d", core) else "none"
            case "born":
                born = f"{1950 + number % 50}-{drawn[5] % 12 + 1:02}-{drawn[6] % 28 + 1:02}"
                return born + core[10:] if re.match(r"\d{4}-\d\d-\d\d", core) else self._made(core, "number")
            case "first":
                return first
            case "last":
                return last
            case "street":
                return f"{number % 200 + 1} {_LAST[drawn[6] % len(_LAST)]} Street"
            case "city":
                return _CITIES[drawn[0] % len(_CITIES)]
            case _:
                return f"{first} {last}"


def _write(folder: Path, table: _Table, types: Sequence[str | None], disguise: _Disguise) -> Captured:
    kinds = disguise.kinds(table)
    replaced: dict[str, None] = {}
    lines = []
    for row in sorted(table.kept, key=lambda row: [(value is not None, value or "") for value in row]):
        cells = []
        for column, kind, value in zip(table.columns, kinds, row, strict=True):
            shown = value if value is None else disguise(value, kind)
            if shown != value:
                replaced[column] = None
            cells.append(_cell(shown))
        lines.append(",".join(cells))
    header = ",".join(
        _heading(column if kind is None else f"{column}:{kind}")
        for column, kind in zip(table.columns, types, strict=True)
    )
    path = folder / f"{table.name.rpartition('.')[2].lower()}.csv"
    path.write_bytes("\n".join([header, *lines, ""]).encode("utf-8"))
    return Captured(path=path, rows=len(lines), seen=table.seen, replaced=tuple(replaced))


def _heading(text: str) -> str:
    return f'"{text}"' if "," in text else _cell(text)


def _cell(value: str | None) -> str:
    """A value as the fixtures' rules read it back: NULL is nothing at all, blank text a pair of quotes."""
    if value is None:
        return ""
    if not value or value != value.strip() or re.search('[",\r\n]', value):
        return '"' + value.replace('"', '""') + '"'
    return value
