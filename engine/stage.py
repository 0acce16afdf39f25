"""Land extracted batches and type them by the contract.

Rows stream from the reader straight through DuckDB. A row whose raw fingerprint is already known is counted and
dropped there and then; only rows that are new or differ are made canonical and written. So a run on an unchanged
source writes nothing, and its cost is that of fetching.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.render import render_sql
from engine.source import BYTES, FEWEST
from engine.state import SQL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pyarrow as pa

    from engine.contract import Entity, Field
    from engine.model import EntitySettings
    from engine.state import State

TYPES = {
    "code": "varchar",
    "text": "varchar",
    "html": "varchar",
    "prices": "varchar",
    "integer": "bigint",
    "number": "decimal(38, 10)",
    "boolean": "boolean",
    "tags": "varchar",
    "url": "varchar",
    "email": "varchar",
}
"""The DuckDB type of each type of the contract in its canonical form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a mapping's columns come to.

    ``columns`` are the view's, by their canonical names and in its order. ``fields`` are what is compared and sent,
    in the contract's order, without the key, the group and the flag; an option's name is among them wherever the
    option is, mapped or not. ``definition`` names how fingerprints of the canonical row are made, ``mapping`` how
    raw rows become canonical: each changes when anything that it stands for changes. ``packed`` tells that a row
    arrives as one text.
    """

    entity: Entity
    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    definition: str
    mapping: str
    packed: bool = False

    @property
    def published(self) -> str:
        """The table of what Stock2Shop acknowledged."""
        return f"published_{self.entity.name}"

    @property
    def acknowledged(self) -> str:
        """The journal of what it acknowledged since published was last folded."""
        return f"acknowledged_{self.entity.name}"

    @property
    def settled(self) -> str:
        """The table of rows that need nothing more."""
        return f"settled_{self.entity.name}"

    @property
    def tables(self) -> dict[str, str]:
        """The three tables' names, as the engine's SQL calls them."""
        return {"published": self.published, "acknowledged": self.acknowledged, "settled": self.settled}

    def has(self, name: str) -> bool:
        """Whether the canonical field ``name`` is compared and sent."""
        return any(field.name == name for field in self.fields)

    @property
    def shared(self) -> tuple[Field, ...]:
        """The fields that all variants of a product have in common; none where rows are not grouped."""
        if self.entity.group is None:
            return ()
        return tuple(field for field in self.fields if field.level == "product")

    @property
    def options(self) -> tuple[str, ...]:
        """The option value columns that the view maps."""
        names = (f"variants.option{n}_value" for n in (1, 2, 3))
        return tuple(name for name in names if self.has(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What landed. ``fast`` tells whether known rows were dropped by their raw fingerprint."""

    layout: Layout
    rows: int
    fast: bool


def lay_out(
    entity: Entity, columns: Sequence[str], *, settings: EntitySettings, version: str, packed: bool = False
) -> Layout:
    """Settle what the view's ``columns`` (any spelling that the contract knows) come to, ``packed`` or not.

    ``version`` is DuckDB's own: its hash function is no promise from one version to the next.
    """
    resolved = [_known(entity, column) for column in columns]
    special = {entity.key, entity.group, entity.flag}
    mapped = {field.name: field for field in resolved if field.name not in special and field.sent}
    for n in (1, 2, 3):
        name = f"option{n}_name"
        if f"variants.option{n}_value" in mapped:
            mapped.setdefault(name, _known(entity, name))
        else:
            mapped.pop(name, None)
    order = {field.name: position for position, field in enumerate(entity.fields)}
    fields = sorted(mapped.values(), key=lambda field: (order.get(field.name, len(order)), field.name))
    definition = _digest(version, (SQL / "land.sql").read_text("utf-8"), [(f.name, f.type) for f in fields])
    mapping = _digest(
        definition,
        (SQL / "canonical.sql").read_text("utf-8"),
        [field.name for field in resolved],
        sorted(settings.active.items()),
        settings.option_names,
        settings.linked,
        packed,
    )
    return Layout(
        entity=entity,
        columns=tuple(field.name for field in resolved),
        fields=tuple(fields),
        definition=definition,
        mapping=mapping,
        packed=packed,
    )


def prepare(state: State, layout: Layout) -> None:
    """Make the entity's tables, and the macros of the canonical forms, where they are not there yet."""
    state.once((SQL / "canonical.sql").read_text("utf-8"))
    state.run(render_sql("tables.sql", **layout.tables))
    for table in (layout.published, layout.acknowledged):
        present = state.columns(table, database=state.database)
        for field in layout.fields:
            if field.name not in present:
                state.run(
                    render_sql("add_column.sql", table=table, column=field.name, type=TYPES[field.type]),
                )


def land(
    state: State,
    batches: Iterable[pa.RecordBatch],
    *,
    layout: Layout,
    settings: EntitySettings,
    stamp: str,
    full: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Staged:
    """Stream ``batches``, whose columns stand in the layout's order, into ``run.landed``.

    ``full`` makes every row canonical again; so are those that were acknowledged under another ``stamp``. Whatever the
    reader raises comes through as it was raised.
    """
    trusted = not full and state.meta(f"mapping:{layout.entity.name}") == layout.mapping
    state.run(
        render_sql(
            "known.sql",
            **layout.tables,
            trusted=trusted,
            stamp=stamp,
        )
    )
    sql = render_sql(
        "land.sql",
        columns=layout.columns,
        packed=layout.packed,
        fields=layout.fields,
        required=_blank_checked(layout, settings),
        key=layout.entity.key,
        group=layout.entity.group,
        flag=layout.entity.flag,
        active=dict(settings.active),
        options=layout.options,
        option_names=[
            (f"option{option[15]}_name", option, settings.option_names[int(option[15]) - 1])
            for option in layout.options
        ],
        types=TYPES,
    )
    reader = _Reader(batches, ("_packed",) if layout.packed else layout.columns, progress)
    with state.incoming(reader.arrow()):
        try:
            state.run(sql)
        except BaseException:
            # DuckDB wraps what the reader raised in an error of its own, and may lose it.
            if reader.raised is not None:
                raise reader.raised from None
            raise
    return Staged(layout=layout, rows=reader.rows, fast=trusted)


class _Reader:
    """Hands batches to DuckDB as text: one form for every driver, cast in one place."""

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        columns: Sequence[str],
        progress: Callable[[int], None],
    ) -> None:
        self._batches = batches
        self._columns = columns
        self._progress = progress
        self.rows = 0
        self.raised: BaseException | None = None

    def arrow(self) -> pa.RecordBatchReader:
        import pyarrow as pa

        schema = pa.schema([(column, pa.string()) for column in self._columns])
        return pa.RecordBatchReader.from_batches(schema, self._texts(schema))

    def _texts(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                self._progress(self.rows)
                texts = [column if column.type == pa.string() else column.cast(pa.string()) for column in batch.columns]
                whole = pa.RecordBatch.from_arrays(texts, schema=schema)
                step = max(FEWEST, BYTES * whole.num_rows // max(whole.nbytes, 1))
                for start in range(0, whole.num_rows, step):
                    yield whole.slice(start, step)
        except BaseException as error:
            self.raised = error
            raise


def _blank_checked(layout: Layout, settings: EntitySettings) -> tuple[Field, ...]:
    if settings.linked:
        return ()
    names = {field.name for field in layout.entity.required(linked=False)}
    return tuple(field for field in layout.fields if field.name in names)


def _known(entity: Entity, column: str) -> Field:
    field = entity.resolve(column)
    if field is None:
        raise KeyError(column)
    return field


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=list).encode()).hexdigest()[:16]
