"""The frozen nouns that modules hand to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Flag = Literal["Active", "Delete", "Ignore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """How to reach a client's database.

    Exactly one of ``connection`` (an ODBC connection string) and ``database`` (a DuckDB or SQLite file) is set.
    Timeouts are seconds. ``attributes`` are ODBC connection attributes by number; ``session`` are statements
    that run once after connecting.
    """

    dialect: str
    connection: str | None = field(default=None, repr=False)
    database: Path | None = None
    encoding: str | None = None
    decoding: str | None = None
    wide_decoding: str | None = None
    attributes: Mapping[int, int] = field(default_factory=dict)
    session: tuple[str, ...] = ()
    connect_timeout: int = 15
    query_timeout: int = 600
    batch_rows: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock2ShopSettings:
    """How to reach Stock2Shop. ``pace`` is requests a second; times are seconds."""

    source_id: int
    username: str = field(repr=False)
    password: str = field(repr=False)
    url: str = "https://app.stock2shop.com/v1"
    pace: float = 1.0
    batch_variants: int = 500
    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    retries: int = 6
    deadline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A guard's limit: a number of rows, or a share of the published rows with a floor under it."""

    rows: int | None = None
    share: float | None = None
    floor: int = 10

    def allows(self, published: int) -> int:
        """How many rows may change when ``published`` rows are known to Stock2Shop."""
        if self.rows is not None:
            return self.rows
        if self.share is None:
            return published
        return max(self.floor, int(published * self.share))


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySettings:
    """What a project says of one entity.

    ``active`` maps a word in lower case, trimmed ('' is blank), to its flag. ``option_names`` stand in for
    option names that the view does not give. ``linked`` means that the source only enriches some fields.
    """

    name: str
    view: Path
    missing: Literal["delete", "keep"] = "delete"
    max_deletes: Limit = Limit(share=0.1)
    max_changes: Limit = Limit(share=0.5, floor=100)
    min_rows: int = 1
    active: Mapping[str, Flag] = field(default_factory=dict)
    linked: bool = False
    option_names: tuple[str, str, str] = ("Option 1", "Option 2", "Option 3")
    default_price_tier: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One client: where its folder is and all that ``project.toml`` says, variables filled in."""

    name: str
    root: Path
    workspace: Path
    description: str
    source: SourceSettings
    stock2shop: Stock2ShopSettings
    entities: Mapping[str, EntitySettings]
    vars: Mapping[str, object] = field(default_factory=dict)
    state: Path
    keep_days: int = 90
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A rendered template: the SQL, the values bound to its ``?`` in order, and the file it came from."""

    sql: str
    path: Path
    binds: tuple[object, ...] = ()
    sources: tuple[Path, ...] = ()
