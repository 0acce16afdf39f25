"""Land extracted batches and type them by the contract.

Rows stream from the reader to DuckDB. A row whose raw fingerprint is already known is counted and dropped on the
way; only rows that are new or differ are made canonical and written. So a run on an unchanged source writes nothing,
its cost is that of fetching, and a row that is known takes one bit of memory.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.database.odbc import BYTES, FEWEST
from engine.mapping.render import render_sql
from engine.state.store import hashing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from engine.model.fields import Entity, Field
    from engine.model.settings import EntitySettings
    from engine.state.store import Blocks, State

SQL = Path(__file__).parent / "sql"

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

ROWS = 4096
"""How many rows are fingerprinted, and land, at a time, unless they are wide."""

BLOCK = 262_144
"""About how many known fingerprints are in memory at a time: 2 MB."""

PORTION = 65_536
"""How many rows land by one statement: what DuckDB knows of a table's parts is in memory until the statement ends."""

SLICE = 10_000
"""How many changes are in hand at a time, unless they are wide."""

SLICE_BYTES = 16_000_000
"""About how large they may be together: with 40 MB, rows of 3 KB did not fit into the memory that there is at first."""


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
    def fingerprint(self) -> str:
        """What stands for all of a canonical row's fields, in SQL: 64 bits."""
        return render_sql("fingerprint.sql", columns=[field.name for field in self.fields])

    @property
    def shared_fingerprint(self) -> str:
        """What stands for those of :attr:`shared`."""
        return render_sql("fingerprint.sql", columns=[field.name for field in self.shared])

    @property
    def options(self) -> tuple[str, ...]:
        """The option value columns that the view maps."""
        names = (f"variants.option{n}_value" for n in (1, 2, 3))
        return tuple(name for name in names if self.has(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What arrived.

    ``fast`` tells whether known rows were dropped by their raw fingerprint; ``width`` is about how many bytes a row
    takes that landed.
    """

    layout: Layout
    rows: int
    fast: bool
    width: int

    @property
    def in_hand(self) -> int:
        """How many of its changes there are whole at a time, on their way to Stock2Shop or into published."""
        return min(SLICE, max(SLICE_BYTES // max(self.width, 1), 1))


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
    made = [(SQL / name).read_text("utf-8") for name in ("land.sql", "fingerprint.sql")]
    definition = _digest(version, made, [(f.name, f.type) for f in fields])
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
    """Make the entity's tables with their columns, and the macros of the canonical forms, where they are not there."""
    state.once((SQL / "canonical.sql").read_text("utf-8"))
    state.once(render_sql("tables.sql", **layout.tables))
    for table in (layout.published, layout.acknowledged):
        present = state.columns(table)
        for field in layout.fields:
            if field.name not in present:
                # Only these: a live run was slower by a tenth where each column was added `if not exists`.
                state.run(render_sql("add_column.sql", table=table, column=field.name, type=TYPES[field.type]))


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
        fingerprint=layout.fingerprint,
        shared_fingerprint=layout.shared_fingerprint,
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
    with state.blocks() as blocks:
        known = _Known(state, blocks)
        state.let_go()
        state.run(render_sql("landed.sql", fields=layout.fields, types=TYPES))
        reader = _Reader(batches, ("_packed",) if layout.packed else layout.columns, known, progress)
        for portion in reader.portions():
            with state.given("incoming", portion):
                try:
                    state.run(sql)
                except BaseException:
                    # DuckDB wraps what the reader raised in an error of its own, and may lose it.
                    if reader.raised is not None:
                        raise reader.raised from None
                    raise
        state.run("create or replace table run.absent (raw ubigint)")
        for absent in known.absent():
            with state.given("absent", absent):
                state.rerun("insert into run.absent from absent")
    gone = known.untrusted or state.value("select count(*) from run.absent")
    state.rerun(render_sql("unseen.sql", any=bool(gone)))
    return Staged(layout=layout, rows=reader.rows, fast=trusted, width=reader.bytes // max(reader.landed, 1))


def slices(state: State, staged: Staged) -> Iterator[dict[str, int]]:
    """Where the slices of ``run.outgoing`` are: the positions above ``after`` and up to ``upto``, of each."""
    total = int(state.value("select count(*) from run.outgoing"))
    for after in range(0, total, staged.in_hand):
        yield {"after": after, "upto": after + staged.in_hand}


def fill_slice(state: State, layout: Layout, *, after: int, upto: int) -> None:
    """Fill ``run.slice`` with the whole rows of the delta at the positions above ``after`` and up to ``upto``."""
    state.rerun(
        render_sql(
            "slice.sql", **layout.tables, entity=layout.entity.name, fields=layout.fields, after=after, upto=upto
        )
    )


class _Known:
    """The raw fingerprints of rows that are settled as they stand, and which of them arrived.

    They lie sorted in ``blocks``, which are read through for each few thousand rows that arrive, with a bit for each in
    memory: a hash join in DuckDB takes 56 bytes of memory for each.
    """

    def __init__(self, state: State, blocks: Blocks) -> None:
        import numpy as np

        total, self.untrusted = state.row("select count(raw), count(*) - count(raw) from run.known")
        parts = -(-total // BLOCK)
        # A fingerprint is as likely to be any number as any other.
        bounds = [(part << 64) // max(parts, 1) for part in range(parts + 1)]
        for first, end in pairwise(bounds):
            block = state.numbers("select raw from run.known where raw between $1 and $2", [first, end - 1])
            block.sort()
            blocks.append(block)
        self._blocks = blocks
        self._bounds = np.array(bounds[1:-1], dtype=np.uint64)
        self._seen = [np.zeros(-(-size // 8), dtype=np.uint8) for size in blocks.sizes]

    def missing(self, raws: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of ``raws`` are not known; the others are marked as seen."""
        import numpy as np

        if not self._seen:
            return np.ones(len(raws), dtype=bool)
        arrived = np.sort(raws)  # so that each search begins in the cache where the last one ended
        found = np.zeros(len(raws), dtype=bool)
        parts = np.split(np.arange(len(raws)), arrived.searchsorted(self._bounds))
        for block, seen, part in zip(self._blocks, self._seen, parts, strict=True):
            places = block.searchsorted(arrived[part])
            places[places == len(block)] = 0
            found[part] = block[places] == arrived[part] if len(block) else False
            here = np.zeros(len(block), dtype=bool)
            here[places[found[part]]] = True
            np.bitwise_or(seen, np.packbits(here), out=seen)
        return np.isin(raws, arrived[~found]) if not found.all() else np.zeros(len(raws), dtype=bool)

    def absent(self) -> Iterator[pa.Table]:
        """The known fingerprints that did not arrive, in the column ``raw``, a part at a time."""
        import numpy as np
        import pyarrow as pa

        for block, seen in zip(self._blocks, self._seen, strict=True):
            arrived = np.unpackbits(seen, count=len(block)).astype(bool)
            if not arrived.all():
                yield pa.table({"raw": pa.array(block[~arrived], pa.uint64())})


class _Reader:
    """Hands DuckDB the rows that are not known, as text: one form for every driver, cast in one place."""

    def __init__(
        self,
        batches: Iterable[pa.RecordBatch],
        columns: Sequence[str],
        known: _Known,
        progress: Callable[[int], None],
    ) -> None:
        self._batches = batches
        self._columns = columns
        self._known = known
        self._progress = progress
        self.rows = self.landed = self.bytes = 0
        self.raised: BaseException | None = None

    def portions(self) -> Iterator[pa.RecordBatchReader]:
        """The rows, each with its raw fingerprint in the column ``_raw``; each portion is read before the next one.

        There is none where all rows are known, as they are most of the time: DuckDB would take 20 MB to get ready.
        """
        import pyarrow as pa

        texts = pa.schema([(column, pa.string()) for column in self._columns])
        schema = texts.append(pa.field("_raw", pa.uint64()))
        differing = self._differing(texts, schema)
        for first in differing:
            yield pa.RecordBatchReader.from_batches(schema, _portion(first, differing))

    def _differing(self, texts: pa.Schema, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        try:
            with hashing(render_sql("fingerprint.sql", columns=self._columns)) as fingerprint:
                yield from map(pa.concat_batches, _gathered(self._unknown(fingerprint, texts, schema)))
        except BaseException as error:
            self.raised = error
            raise

    def _unknown(
        self,
        fingerprint: Callable[[Sequence[pa.RecordBatch]], npt.NDArray[np.uint64]],
        texts: pa.Schema,
        schema: pa.Schema,
    ) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batches in _gathered(self._texts(texts)):
            raws = fingerprint(batches)
            missing = self._known.missing(raws)
            start = 0
            for batch in batches if missing.any() else ():
                rows = slice(start, start := start + batch.num_rows)
                whole = pa.RecordBatch.from_arrays([*batch.columns, pa.array(raws[rows])], schema=schema)
                landing = whole if missing.all() else whole.filter(pa.array(missing[rows]))
                self.landed += landing.num_rows
                self.bytes += landing.nbytes
                yield landing

    def _texts(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches as text, in parts that are small enough to be held several at a time."""
        import pyarrow as pa

        for batch in self._batches:
            self.rows += batch.num_rows
            self._progress(self.rows)
            texts = [column if column.type == pa.string() else column.cast(pa.string()) for column in batch.columns]
            whole = pa.RecordBatch.from_arrays(texts, schema=schema)
            step = max(FEWEST, BYTES * whole.num_rows // max(whole.nbytes, 1))
            for start in range(0, whole.num_rows, step):
                yield whole.slice(start, step)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches together, so many that what is done once for all of them costs nothing for each row."""
    together: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        together.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= ROWS or size >= BYTES:
            yield together
            together, rows, size = [], 0, 0
    if together:
        yield together


def _portion(first: pa.RecordBatch, more: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """``first`` and as many ``more`` as make :data:`PORTION` rows."""
    rows = first.num_rows
    yield first
    while rows < PORTION and (batch := next(more, None)) is not None:
        rows += batch.num_rows
        yield batch


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
