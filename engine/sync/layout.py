"""What the columns of a view come to: which fields are compared and sent, and in which tables of the state.

In: the names of the view's columns and the project's settings. Out: a :class:`StagingLayout`, which every step after it
uses to write its SQL.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.characters import SQL_CLASSES, WIDE_LETTERS
from engine.database.connection import NULL_MARK, SEPARATOR
from engine.mapping.engine_sql import render_sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.model.fields import Entity, Field
    from engine.model.settings import EntitySettings

SQL = Path(__file__).parent / "sql"

STAGING_TYPES = {
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

MAX_WINDOW_ROWS = 10_000
"""How many changes are loaded as whole rows at a time, unless the rows are wide."""

MAX_WINDOW_BYTES = 16_000_000
"""About how large they may be together. With 40 MB, rows of 3 KB did not fit into the memory that a run begins with."""


MAX_DOCUMENT_ROWS = 2_500
"""Of how many changes the documents are made at a time, unless the rows are wide."""

MAX_DOCUMENT_BYTES = 4_000_000
"""About how large those rows may be together: the documents are held until they are sent."""


@cache
def canonical_macros() -> str:
    """The SQL of the macros that make values canonical."""
    return render_sql(
        "canonical.sql", classes=SQL_CLASSES, wide_letters=WIDE_LETTERS, separator=SEPARATOR, null_mark=NULL_MARK
    )


def table_names(entity: str) -> dict[str, str]:
    """The names of the tables of ``entity`` in the state, by what the engine's SQL calls them.

    ``published`` holds what Stock2Shop acknowledged, ``acknowledged`` is its journal, and ``settled`` holds the rows
    that need nothing more.
    """
    return {name: f"{name}_{entity}" for name in ("published", "acknowledged", "settled")}


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingLayout:
    """What a mapping's columns come to.

    ``columns`` are the view's columns, by their canonical names and in its order. ``fields`` are compared and sent, in
    the order of the catalogue of fields, without the key, the group and the flag; the name of an option is among them
    wherever the option is, mapped or not. ``definition`` is a digest of how fingerprints of canonical rows are made,
    ``mapping`` of how raw rows become canonical: each changes when anything that it covers changes. ``packed`` tells
    that a row arrives as one text. ``carried`` are columns of the published table that the view no longer maps and of
    which Stock2Shop keeps what it was sent.
    """

    entity: Entity
    columns: tuple[str, ...]
    fields: tuple[Field, ...]
    definition: str
    mapping: str
    packed: bool = False
    carried: tuple[str, ...] = ()

    @property
    def tables(self) -> dict[str, str]:
        """The names of the entity's tables in the state, by what the engine's SQL calls them."""
        return table_names(self.entity.name)

    @property
    def published(self) -> str:
        """The table of what Stock2Shop acknowledged."""
        return self.tables["published"]

    @property
    def acknowledged(self) -> str:
        """The journal of what it acknowledged since the journal was last folded into published."""
        return self.tables["acknowledged"]

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
        """The SQL expression of a canonical row's fingerprint: 64 bits for all of its fields."""
        return render_sql("fingerprint.sql", columns=[field.name for field in self.fields])

    @property
    def shared_fingerprint(self) -> str:
        """The SQL expression of the fingerprint of :attr:`shared`."""
        return render_sql("fingerprint.sql", columns=[field.name for field in self.shared])

    @property
    def options(self) -> tuple[str, ...]:
        """The option value columns that the view maps."""
        names = (f"variants.option{n}_value" for n in (1, 2, 3))
        return tuple(name for name in names if self.has(name))


@dataclass(frozen=True, slots=True)
class Window:
    """The positions in ``run.outgoing`` above ``after`` and up to ``upto``."""

    after: int
    upto: int

    @property
    def bounds(self) -> dict[str, int]:
        """Both, by the names of the parameters in the engine's SQL."""
        return {"after": self.after, "upto": self.upto}


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What arrived.

    ``rows`` is how many rows the source gave, ``landed`` how many of them are new or differ. ``incremental`` tells that
    known rows were dropped by their raw fingerprint as they arrived. ``width`` is about how many bytes a staged row
    takes. ``in_doubt`` tells that an earlier run sent something that was not answered. ``unchanged`` tells that every
    row is known, that none is missing and that nothing waits to be closed: then nothing was staged, and the working set
    has no tables.
    """

    layout: StagingLayout
    rows: int
    landed: int
    incremental: bool
    width: int
    in_doubt: bool
    unchanged: bool = False

    @property
    def bytes(self) -> int:
        """About how large the staged rows are together."""
        return self.landed * self.width

    @property
    def window_rows(self) -> int:
        """How many changes are loaded as whole rows at a time."""
        return min(MAX_WINDOW_ROWS, max(MAX_WINDOW_BYTES // max(self.width, 1), 1))


def window_end(ends: Sequence[int], sizes: Sequence[int], number: int) -> int:
    """Where the last batch ends that is loaded with the batch ``number``; batches have ``ends`` and ``sizes``."""
    return _last_end(ends, sizes, number, rows=MAX_WINDOW_ROWS, size=MAX_WINDOW_BYTES)


def documents_end(ends: Sequence[int], sizes: Sequence[int], number: int) -> int:
    """Where the last batch ends whose documents are made with those of the batch ``number``, as far as it is loaded."""
    return _last_end(ends, sizes, number, rows=MAX_DOCUMENT_ROWS, size=MAX_DOCUMENT_BYTES)


def _last_end(ends: Sequence[int], sizes: Sequence[int], number: int, *, rows: int, size: int) -> int:
    first, together = ends[number - 1] if number else 0, sizes[number]
    while number + 1 < len(ends) and ends[number + 1] - first <= rows and together + sizes[number + 1] <= size:
        number += 1
        together += sizes[number]
    return ends[number]


def build_layout(
    entity: Entity, columns: Sequence[str], *, settings: EntitySettings, version: str, packed: bool = False
) -> StagingLayout:
    """The layout of a view's ``columns``, in any spelling that the catalogue of fields knows, ``packed`` or not.

    ``version`` is DuckDB's own: it does not promise that its hash function stays the same in the next version.
    """
    resolved = [_resolve(entity, column) for column in columns]
    special = {entity.key, entity.group, entity.flag}
    mapped = {field.name: field for field in resolved if field.name not in special and field.sent}
    for n in (1, 2, 3):
        name = f"option{n}_name"
        if f"variants.option{n}_value" in mapped:
            mapped.setdefault(name, _resolve(entity, name))
        else:
            mapped.pop(name, None)
    order = {field.name: position for position, field in enumerate(entity.fields)}
    fields = sorted(mapped.values(), key=lambda field: (order.get(field.name, len(order)), field.name))
    scripts = [(SQL / name).read_text("utf-8") for name in ("land.sql", "fingerprint.sql")]
    definition = _digest(version, scripts, [(f.name, f.type) for f in fields])
    mapping = _digest(
        definition,
        canonical_macros(),
        [field.name for field in resolved],
        sorted(settings.active.items()),
        settings.option_names,
        settings.linked,
        packed,
    )
    return StagingLayout(
        entity=entity,
        columns=tuple(field.name for field in resolved),
        fields=tuple(fields),
        definition=definition,
        mapping=mapping,
        packed=packed,
    )


def _resolve(entity: Entity, column: str) -> Field:
    field = entity.resolve(column)
    if field is None:
        raise KeyError(column)
    return field


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=list).encode()).hexdigest()[:16]
