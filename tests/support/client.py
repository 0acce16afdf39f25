"""A client for the tests: a workspace folder, an ERP in a DuckDB file, and a real Stock2Shop sandbox beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from engine.config.loader import load
from engine.errors import UnavailableError
from engine.stock2shop import transport
from engine.sync import pipeline as sync
from engine.sync.context import RunOptions

if TYPE_CHECKING:
    from engine.model.plan import Outcome, Plan
    from engine.model.settings import Project
    from engine.sandbox.server import Sandbox

COLUMNS = {
    "product": "varchar",
    "code": "varchar",
    "title": "varchar",
    "active": "varchar",
    "price": "varchar",
    "qty": "varchar",
    "sku": "varchar",
    "size": "varchar",
    "colour": "varchar",
    "trade": "varchar",
    "tags": "varchar",
    "barcode": "varchar",
    "vendor": "varchar",
    "html": "varchar",
}

VIEW = """\
select
    product as source_product_code,
    code as source_variant_code,
    title,
    active as product_active,
    price as csv_price_tiers,
    qty as "variants.qty",
    sku as "variants.sku",
    true as "variants.inventory_management",
    size as "variants.option1_value",
    colour as "variants.option2_value",
    trade as "price_Trade",
    tags,
    barcode as "variants.barcode",
    vendor,
    html as body_html
from item
"""

PROJECT = """\
[project]
description = "A client of the tests"

[source]
dialect = "duckdb"
database = "erp.duckdb"

[stock2shop]
url = "${TEST_URL}"
source_id = 57
username = "${TEST_USER}"
password = "${TEST_PASSWORD}"
retries = 1
"""


@dataclass(kw_only=True)
class Client:
    """What a test does to a client: change its database, plan, run, look."""

    workspace: Path
    sandbox: Sandbox
    settings: str = ""
    name: str = "acme"
    more: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.workspace / "projects" / self.name

    def write(self, *, settings: str = "", remote: str = "pace = 0", more: str = "", view: str = VIEW) -> None:
        """Write the view, and project.toml with ``remote`` under [stock2shop] and ``settings`` under [products]."""
        (self.root / "views").mkdir(parents=True, exist_ok=True)
        (self.root / "project.toml").write_text(f"{PROJECT}{remote}\n\n[products]\n{settings}\n{more}", "utf-8")
        (self.root / "views" / "products.sql").write_text(view, "utf-8")

    @property
    def project(self) -> Project:
        """The project as it is loaded now."""
        return load(self.name, workspace=self.workspace, environ=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What the project's variables come from."""
        return {
            "TEST_URL": self.sandbox.url,
            "TEST_USER": "sandbox",
            "TEST_PASSWORD": "sandbox",
            **self.environ,
        }

    def sql(self, *statements: str) -> None:
        """Run statements in the client's database."""
        with duckdb.connect(str(self.root / "erp.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)

    def item(self, code: str | None, **columns: object) -> None:
        """Add one item; what is not given is a sound simple product."""
        row: dict[str, object] = {
            "product": code,
            "code": code,
            "title": f"Item {code}",
            "active": "Yes",
            "price": "100.00",
            "qty": "5",
            "sku": code,
            **columns,
        }
        names = ", ".join(row)
        with duckdb.connect(str(self.root / "erp.duckdb")) as connection:
            connection.execute(f"insert into item ({names}) values ({', '.join('?' * len(row))})", list(row.values()))

    def items(self, count: int) -> None:
        """Add ``count`` sound simple products, I000 and on."""
        self.sql(
            "insert into item (product, code, title, active, price, qty, sku)"
            f" select c, c, 'Item ' || c, 'Yes', '100.00', '5', c"
            f" from (select printf('I%03d', n) as c from range({count}) as numbers(n))"
        )

    def shirt(self, product: str, *sizes: str, **columns: object) -> None:
        """Add one variable product with a variant a size."""
        for size in sizes:
            self.item(f"{product}-{size}", product=product, title=f"Shirt {product}", size=size, **columns)

    def plan(self, **options: Any) -> Plan:
        """Plan products."""
        return sync.plan(self.project, "products", options=RunOptions(**options))

    def run(self, **options: Any) -> Outcome:
        """Run products."""
        return sync.run(self.project, "products", options=RunOptions(**options))

    def run_unanswered(self, **options: Any) -> None:
        """Run products; Stock2Shop takes a batch and drops the connection before it answers."""
        self.sandbox.faults.drop_after(2)
        with pytest.raises(UnavailableError):
            self.run(**options)
        self.sandbox.faults.clear()

    def held(self) -> dict[str, dict[str, Any]]:
        """What the sandbox holds, by variant code."""
        return self.sandbox.products(57)

    def posted(self) -> int:
        """How many product items the sandbox was sent."""
        return sum(request.items for request in self.sandbox.requests if request.path.endswith("/products/queue"))


@pytest.fixture
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is tried again be tried soon: how long it waits is another test's matter."""
    monkeypatch.setattr(transport, "BACKOFF_SECONDS", 0.05)


@pytest.fixture
def client(tmp_path: Path, sandbox: Sandbox, short_backoff: None) -> Client:
    """A client with an empty item table and a sandbox that holds nothing."""
    made = Client(workspace=tmp_path, sandbox=sandbox)
    made.write()
    (made.root / "erp.duckdb").write_bytes(_empty_database())
    return made


@cache
def _empty_database() -> bytes:
    """The file with the empty item table; opening a database of DuckDB costs more than most tests' own work."""
    columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    with TemporaryDirectory() as folder:
        path = Path(folder, "erp.duckdb")
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table item ({columns})")
        return path.read_bytes()
