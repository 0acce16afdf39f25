"""The fields that a blank does not clear at Stock2Shop, and SQL that tells whether a row is sent with a value for them.

A product's blank boolean and a blank default price are left out of a document, and what a document leaves out stays as
it was. So a row in which such a value turns blank cannot be said: it is held until it has a value again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.mapping.engine_sql import render_sql
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from engine.model.settings import EntitySettings
    from engine.sync.layout import StagingLayout

PUBLISHED_TIER = (
    "case when contains(sent._sync_token, ' ') then substr(sent._sync_token, strpos(sent._sync_token, ' ') + 1) end"
)
"""The tier that stood in for the default price when a row was published: the delivery key names it."""


PUBLISHED_BLANK = "contains(sent._sync_token, ';price=')"
"""Whether a price was sent for a blank one when a row was published."""


class Unclearable(NamedTuple):
    """A column, and the conditions that a row of each table has a value for it, as SQL.

    The tables are ``staged`` (a row that landed), ``sent`` (a published row) and ``window_rows`` (one to be sent).
    """

    column: str
    staged: str
    sent: str
    window_row: str


def find_unclearable(layout: StagingLayout, settings: EntitySettings) -> tuple[Unclearable, ...]:
    """The mapped fields that a blank does not clear. Customers have none: each of their blanks is sent."""
    if layout.entity.group is None:
        return ()
    found = [
        Unclearable(field.name, *(f"{table}.{ident(field.name, 'duckdb')} is not null" for table in _TABLES))
        for field in layout.fields
        if field.role == "variant" and field.type == "boolean"
    ]
    by_role = {role: [field for field in layout.fields if field.role == role] for role in ("prices", "price", "tier")}
    tier = settings.prices.default_tier
    own = [field for field in by_role["tier"] if field.placeholder_value == tier]
    columns = [*by_role["price"], *by_role["prices"], *own]
    if not columns:
        return tuple(found)
    now = "null" if tier is None else str(literal(tier, "duckdb"))
    conditions = (
        render_sql(
            "has_default_price.sql",
            table=table,
            tier=PUBLISHED_TIER if table == "sent" else now,
            blank=PUBLISHED_BLANK if table == "sent" else str(settings.prices.blank is not None).lower(),
            prices=by_role["prices"],
            price=by_role["price"],
            tiers=by_role["tier"],
        )
        for table in _TABLES
    )
    return (*found, Unclearable(columns[0].name, *conditions))


_TABLES = ("staged", "sent", "window_rows")
