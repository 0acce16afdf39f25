"""Warn of output columns that do not go well together: names that are twins, products in the place of variants."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.characters import fold
from engine.mapping.locate import diagnostic_at
from engine.mapping.parse import start_offset

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.errors import Diagnostic
    from engine.model.fields import Entity, Field
    from engine.model.query import Query

LIST_NAMES = {"tier": "price tiers", "warehouse": "warehouses", "meta": "attributes"}
"""What the members of a document's lists are, by the role of their fields."""


def find_column_hazards(
    query: Query, parts: Sequence[Any], fields: Sequence[Field | None], *, entity: Entity, linked: bool
) -> Iterator[Diagnostic]:
    """Yield warnings about the output columns ``parts`` of a parsed view, which mean ``fields``."""
    found = [(part, field) for part, field in zip(parts, fields, strict=True) if field is not None]
    for at, message, hint in (*_twins(found), *_product_as_variant(found, entity, linked)):
        yield replace(diagnostic_at(query, start_offset(at), message, hint), severity="warning")


def _twins(found: Sequence[tuple[Any, Field]]) -> Iterator[tuple[Any, str, str]]:
    seen: dict[tuple[str, str], str] = {}
    for part, field in found:
        if field.role not in LIST_NAMES:
            continue
        other = seen.setdefault((field.role, fold(field.placeholder_value)), field.placeholder_value)
        if other != field.placeholder_value:
            yield (
                part,
                (
                    f"The {LIST_NAMES[field.role]} {other!r} and {field.placeholder_value!r} differ only by case,"
                    " blanks or the way their letters are written."
                ),
                "Stock2Shop may take both for one: give them one name, or names that differ.",
            )


def _product_as_variant(
    found: Sequence[tuple[Any, Field]],
    entity: Entity,
    linked: bool,  # noqa: FBT001 - a setting of the project
) -> Iterator[tuple[Any, str, str]]:
    by_name = {field.name: part for part, field in found}
    key, group = by_name.get(entity.key), by_name.get(entity.group or "")
    if linked and key is not None and group is not None and key.unalias() == group.unalias():
        yield (
            key,
            (
                f"{entity.key} is the same as {entity.group}: of a product with variants in the primary source this"
                " would make a variant that nobody sells."
            ),
            "If the primary source has such products, join their variants, so that each row has a variant's own code.",
        )
