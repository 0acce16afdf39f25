"""What a project says, as frozen values: its source, its account, its entities, its orders. The loader makes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.errors import Diagnostic

DEFAULT_PORTS = {"http": 80, "https": 443}

TOLERANCE = Decimal("0.05")
"""By how much the totals of an order may differ."""

CLOSED_BOOKS = (
    *("period is closed", "period closed", "closed period", "period is locked", "books are closed"),
    *("month end", "month-end", "year end", "year-end"),
)
"""Parts of error messages that say that a time is closed to postings, which passes by itself."""

Flag = Literal["Active", "Delete", "Ignore"]

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """How to reach a client's database.

    Exactly one of ``connection`` (an ODBC connection string) and ``database`` (a DuckDB or SQLite file) is set.
    Timeouts are seconds. ``attributes`` are ODBC connection attributes by number; ``session`` are statements
    that run once after connecting. ``reader`` is the library that reads views: ``pyodbc``, or ``mssql-python``.
    """

    dialect: str
    connection: str | None = field(default=None, repr=False)
    database: Path | None = None
    encoding: str | None = None
    decoding: str | None = None
    wide_decoding: str | None = None
    attributes: Mapping[int, int] = field(default_factory=dict)
    session: tuple[str, ...] = ()
    reader: str = "pyodbc"
    connect_timeout: int = 15
    query_timeout: int = 600
    batch_rows: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock2ShopSettings:
    """How to reach Stock2Shop. ``pace`` is requests a second; times are seconds.

    ``source_id`` is 0 where its variable has no value, in commands that do without.
    """

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

    @property
    def address(self) -> str:
        """Where Stock2Shop is: ``https://app.stock2shop.com/v1``, however ``url`` is written."""
        try:
            url = urlsplit(self.url)
            port = "" if url.port in {None, DEFAULT_PORTS.get(url.scheme)} else f":{url.port}"
        except ValueError:  # no address at all, which is said where it is used
            return self.url
        return f"{url.scheme}://{(url.hostname or '').lower()}{port}{url.path.rstrip('/')}"

    @property
    def account(self) -> str:
        """Whose rows these are: ``https://app.stock2shop.com/v1, source 57``."""
        return f"{self.address}, source {self.source_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A guard's limit: a number of rows, or a share of the published rows with a floor under it.

    The floor lets a small catalogue change; it counts up to ``floor_share`` of what is published, but at least one row.
    So ``Limit(share=0.1, floor=10, floor_share=0.5)`` allows 100 of 1,000 rows, 10 of 40 and 2 of 5.
    """

    rows: int | None = None
    share: float | None = None
    floor: int = 0
    floor_share: float = 1.0

    def allows(self, published: int) -> int:
        """How many rows may change when ``published`` rows are known to Stock2Shop."""
        if self.rows is not None:
            return self.rows
        if self.share is None:
            return published
        # A share such as 0.29 is a little less as a float: of 100 rows it would be 28.
        return max(int(round(published * self.share, 6)), min(self.floor, max(1, int(published * self.floor_share))))


DEFAULT_MAX_DELETES = Limit(share=0.1, floor=10, floor_share=0.5)
DEFAULT_MAX_CHANGES = Limit(share=0.5, floor=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """How old the newest value of ``column`` may be, in hours; a time without a zone is one of ``timezone``."""

    column: str
    hours: float
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What a project declares of an entity's sound, Active rows, and how grave it is where that does not hold."""

    min_rows: int | None = None
    not_null: tuple[str, ...] = ()
    accepted_values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fresh: Fresh | None = None
    severity: Severity = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """What is sent where the source gives no price.

    ``default_tier`` is the price tier that stands in for a blank default price. ``blank`` is the default price and
    ``blank_tier`` the price of a tier's column that are sent for a blank; None sends none.
    """

    default_tier: str | None = None
    blank: Decimal | None = None
    blank_tier: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitySettings:
    """What a project says of one entity.

    ``active`` maps a word in lower case, trimmed ('' is blank), to its flag. ``option_names`` stand in for
    option names that the view does not give. ``linked`` means that the source only enriches some fields. ``path``
    is where Stock2Shop queues the entity, ``search_path`` where it reads it back, if it does. Without
    ``max_deletes_per_day`` a day has the limit of a run.
    """

    name: str
    view: Path
    missing: Literal["delete", "keep"] = "delete"
    max_deletes: Limit = DEFAULT_MAX_DELETES
    max_deletes_per_day: Limit | None = None
    max_changes: Limit = DEFAULT_MAX_CHANGES
    min_rows: int = 1
    active: Mapping[str, Flag] = field(default_factory=dict)
    linked: bool = False
    option_names: tuple[str, str, str] = ("Option 1", "Option 2", "Option 3")
    prices: PriceSettings = PriceSettings()
    path: str = "/products/queue"
    search_path: str | None = "/products/elastic_search"
    expect: Expect = Expect()

    @property
    def deletes_per_day(self) -> Limit:
        """The most removals within 24 hours."""
        return self.max_deletes_per_day or self.max_deletes

    def delivery_key(self, sync_token: str) -> str:
        """What a document depends on besides its row: a row that was acknowledged under another key is sent again."""
        prices = self.prices
        blanks = (("price", prices.blank), ("tier", prices.blank_tier))
        blank = "".join(f";{name}={value}" for name, value in blanks if value is not None)
        return f"{sync_token}{blank}" + ("" if prices.default_tier is None else f" {prices.default_tier}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """How ``s2s orders serve`` listens. A token, or a user name and a password, let Stock2Shop in."""

    host: str = "127.0.0.1"
    port: int = 8058
    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_body: int = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSettings:
    """Where ``s2s orders pull`` asks for orders and answers them. Nothing of it is public."""

    instructions: str = "add_order"
    status: str | None = None
    limit: int = 100
    offset: str = "offset"
    document: tuple[str, ...] = ("data", "system_order")
    answer_path: str = "/orders/sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """How a project raises orders. ``source`` is the read-write login; ``channels`` what differs by channel id.

    ``commit_grace`` is seconds: for so long an order whose commit was not confirmed is not looked up.
    """

    source: SourceSettings
    default_customer: str | None = None
    create_customer: bool = False
    shipping_item: str | None = None
    warehouse: str | None = None
    sales_rep: str | None = None
    document_type: str | None = None
    channels: Mapping[int, Mapping[str, str | None]] = field(default_factory=dict)
    known_channels_only: bool = False
    tax_codes: Mapping[str, str] = field(default_factory=dict)
    prices: Literal["excluding", "including"] = "excluding"
    stock: Literal["allow", "refuse", "backorder"] = "allow"
    repeated_skus: Literal["allow", "merge", "refuse"] = "allow"
    foreign_lines: Literal["refuse", "skip"] = "refuse"
    transient_errors: tuple[str, ...] = CLOSED_BOOKS
    timezone: str = "UTC"
    tolerance: Decimal = TOLERANCE
    commit_grace: int = 60
    keep_days: int = 30
    receiver: ReceiverSettings = ReceiverSettings()
    pull: PullSettings = PullSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One client: where its folder is and all that ``project.toml`` says, variables filled in.

    ``tests`` are severities of data tests by name, where project.toml says them.
    """

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
    tests: Mapping[str, Severity] = field(default_factory=dict)
    orders: OrderSettings | None = None
    warnings: tuple[Diagnostic, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    variable_values: tuple[str, ...] = field(default=(), repr=False)
