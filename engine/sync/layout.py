"""layout."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
"""How many changes are in hand at a time, unless they are wide."""

MAX_WINDOW_BYTES = 16_000_000
"""About how large they may be together: with 40 MB, rows of 3 KB did not fit into the memory that there is at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingLayout:
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

    layout: StagingLayout
    rows: int
    fast: bool
    width: int

    @property
    def in_hand(self) -> int:
        """How many of its changes there are whole at a time, on their way to Stock2Shop or into published."""
        return min(MAX_WINDOW_ROWS, max(MAX_WINDOW_BYTES // max(self.width, 1), 1))


def build_layout(
    entity: Entity, columns: Sequence[str], *, settings: EntitySettings, version: str, packed: bool = False
) -> StagingLayout:
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
    return StagingLayout(
        entity=entity,
        columns=tuple(field.name for field in resolved),
        fields=tuple(fields),
        definition=definition,
        mapping=mapping,
        packed=packed,
    )


def _known(entity: Entity, column: str) -> Field:
    field = entity.resolve(column)
    if field is None:
        raise KeyError(column)
    return field


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, default=list).encode()).hexdigest()[:16]
