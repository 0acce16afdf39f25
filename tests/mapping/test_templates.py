"""The starter templates: each renders, checks, parses and runs over its fixtures, and says what it does not know."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlglot
import tomli
from sqlglot import exp

from engine.config.loader import load
from engine.errors import RenderError
from engine.mapping.check import check_view
from engine.mapping.parse import SQLGLOT_DIALECTS
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES
from engine.model.settings import SourceSettings
from engine.sync import pipeline as sync
from engine.testing.fixture_run import fixture_session, run_on_fixtures
from engine.testing.fixtures import read_fixture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.servers import MariaDb, Postgres

    from engine.model.settings import Project
    from engine.sandbox.server import Sandbox
    from engine.testing.fixture_run import FixtureResult

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "templates" / "sql"
SHOPS = {"dolibarr", "magento_1", "opencart", "prestashop", "woocommerce"}
"""Templates of web shops, which test_shop_templates.py tests: they have variants, and no flag of Stock2Shop's own."""

TEMPLATES = sorted({path.parent.name for path in LIBRARY.glob("*/template.toml")} - SHOPS)
FACTS: dict[str, dict[str, Any]] = {
    name: tomli.loads((LIBRARY / name / "template.toml").read_text("utf-8")) for name in TEMPLATES
}
DIALECTS = [(name, dialect) for name in TEMPLATES for dialect in FACTS[name]["dialects"]]

PROJECT = """\
[source]
dialect = "{dialect}"
{reach}

[stock2shop]
source_id = 57
username = "u"
password = "p"

[products]

[customers]

[vars]
"""

MORE: dict[str, dict[str, Any]] = {
    "sage_evolution": {"price_lists": {"2": "Trade"}, "warehouses": {"JHB": "Johannesburg", "CPT": "Cape Town"}},
    "sap_business_one": {"price_lists": {"2": "Trade", "3": "Promotion"}, "warehouses": ["01", "02"]},
    "syspro": {"price_lists": {"B": "Trade"}, "warehouses": ["JH", "CT"], "customer_flag": "Name"},
    "sage_300": {"price_lists": {"TRADE": "Trade"}, "warehouses": {"1": "Main, upstairs"}},
    "sage_pastel": {"price_lists": {"02": "Trade"}, "warehouses": {"001": "Main", "002": "O'Hare"}},
    "iq_retail": {"price_lists": {"2": "Trade"}},
    "omni": {"price_lists": {"2": "Trade"}},
}
"""What a project may say beside the defaults: more price lists, some warehouses."""


def written(folder: Path, template: str, dialect: str, values: Mapping[str, Any], *, more: str = "") -> Project:
    """A project that does no more than extend the template's views; ``more`` is added to that of products."""
    root = folder / "projects" / "acme"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(LIBRARY / template / "fixtures", root / "fixtures")
    (root / "views").mkdir()
    for entity in ENTITIES:
        extends = f'{{% extends "{template}/{entity}.sql" %}}\n'
        (root / "views" / f"{entity}.sql").write_text(extends + (more if entity == "products" else ""), "utf-8")
    lines = [f"{name} = {_toml(value)}\n" for name, value in values.items()]
    reach = 'database = "erp.duckdb"' if dialect == "duckdb" else 'connection = "DSN=none"'
    (root / "project.toml").write_text(PROJECT.format(dialect=dialect, reach=reach) + "".join(lines), "utf-8")
    return load("acme", workspace=folder, environ={})


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def rehearsed(project: Project, entity: str) -> FixtureResult:
    """The view's rows on the fixtures, through the steps of a run."""
    with fixture_session([project]) as session:
        return run_on_fixtures(session, project, entity)


def product(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a product's document a reader looks at: product code, title, SKU, price, quantity, tiers, warehouses."""
    if document["source"]["product_active"] == "false":
        return ("removed",)
    item = document["product"]
    variant = item["variants"]
    return (
        document["source"]["source_product_code"],
        item["title"],
        variant["sku"],
        variant.get("price"),
        variant["qty"],
        {tier["tier"]: tier["price"] for tier in variant.get("price_tiers", [])},
        {place["description"]: place["qty"] for place in variant.get("qty_availability", [])},
    )


def customer(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a customer's document a reader looks at: first and last name, and e-mail address."""
    if document["source"]["customer_active"] == "false":
        return ("removed",)
    person = document["customer"]
    return person["first_name"], person["last_name"], person["email"]


@pytest.mark.parametrize("values", ["defaults", "more"])
@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize(("template", "dialect"), DIALECTS)
def test_a_template_checks_clean_in_its_dialects(
    tmp_path: Path, template: str, dialect: str, entity: str, values: str
) -> None:
    """Extending it is all that a view needs: every column is a field, none is missing, and nothing fails to parse."""
    project = written(tmp_path, template, dialect, MORE[template] if values == "more" else {})
    query = render_view(project, entity)
    _, faults = check_view(query, dialect=dialect, entity=ENTITIES[entity], linked=False)
    assert faults == ()


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_vars_of_a_template_are_its_defaults(tmp_path: Path, template: str, entity: str) -> None:
    """What `[vars]` of template.toml says changes nothing until somebody changes it."""
    dialect = FACTS[template]["dialect"]
    plain = render_view(written(tmp_path, template, dialect, {}), entity).sql
    assert render_view(written(tmp_path, template, dialect, FACTS[template]["vars"]), entity).sql == plain


PRODUCTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "sage_evolution": {
        "101": ("HAM-500", "Claw hammer, 500 g", "HAM-500", Decimal("189.5"), 20, {}, {}),
        "102": ("DRL-18V", 'Cordless drill "Brío" 18 V', "DRL-18V", 2499, 0, {}, {}),
        "103": ("BLT-M8X40", "Bolt M8 Ø 8, 40 mm (100)", "BLT-M8X40", 95, 1250, {}, {}),
        "105": ("removed",),
        "107": ("TAPE-19", "Insulation tape 19 mm", "TAPE-19", Decimal("12.75"), 0, {}, {}),
        "108": ("SRV-CUT", "Cutting to size", "SRV-CUT", 55, 2, {}, {}),
    },
    "sap_business_one": {
        "A00001": ("A00001", "Desk lamp, brass", "A00001", 749, 15, {}, {}),
        "A00002": ("A00002", "Office chair “Söder”", "A00002", Decimal("2999.99"), 0, {}, {}),
        "A00004": ("removed",),
        "A00006": ("A00006", "Paper A4 80 g (5 reams)", "A00006", 325, 685, {}, {}),
    },
    "syspro": {
        "B100": ("B100", "Bicycle, touring, 54 cm", "B100", 7499, 5, {}, {}),
        "B110": ("B110", "Bicycle, racing, 56 cm", "B110", 11250, 0, {}, {}),
        "B300": ("removed",),
        "B400": ("B400", "Inner tube 28 in", "B400", Decimal("79.5"), 286, {}, {}),
    },
    "sage_300": {
        "A1-103/0": ("A1-103/0", "Fluorescent desk lamp", "A1-103/0", 449, 45, {}, {}),
        "A1-105/0": ("A1-105/0", "Mini flashlight “Lúz”", "A1-105/0", Decimal("99.95"), 6, {}, {}),
        "A1-310/0": ("removed",),
    },
    "sage_pastel": {
        "ACC-001": ("ACC-001", "Dog lead 1.2 m", "ACC-001", Decimal("129.95"), 16, {}, {"001": 16}),
        "ACC-002": ("ACC-002", "Dog bowl, steel", "ACC-002", 89, 8, {}, {"001": 8}),
        "FOO-010": ("FOO-010", "Bird seed 5 kg", "FOO-010", 210, 42, {}, {"001": 42}),
        "FOO-011": ("removed",),
    },
    "iq_retail": {
        "COF-BEA-1K": ("COF-BEA-1K", "Coffee beans, 1 kg", "COF-BEA-1K", 289, 0, {}, {}),
        "TEA-BLK-100": ("TEA-BLK-100", "Black tea 100 bags", "TEA-BLK-100", Decimal("64.99"), 110, {}, {}),
        "TEA-GRN-100": ("TEA-GRN-100", "Green tea “Été” 100 bags", "TEA-GRN-100", Decimal("74.99"), 45, {}, {}),
    },
    "omni": {
        "PIP-15-3M": ("PIP-15-3M", "Copper pipe 15 mm, 3 m", "PIP-15-3M", Decimal("210.75"), 0, {}, {}),
        "TAP-OLD": ("removed",),
        "VLV-15": ("VLV-15", "Ball valve 15 mm", "VLV-15", Decimal("85.5"), 64, {}, {}),
        "VLV-22": ("VLV-22", "Ball valve 22 mm", "VLV-22", 119, 12, {}, {}),
    },
}

WITH_MORE: dict[str, dict[str, tuple[Any, ...]]] = {
    "sage_evolution": {
        "101": (20, {"Trade": 171}, {"Johannesburg": 10, "Cape Town": 10}),
        "102": (0, {"Trade": 2250}, {"Johannesburg": 0, "Cape Town": 0}),
        "103": (1250, {}, {"Johannesburg": 1000, "Cape Town": 250}),
        "107": (0, {}, {"Johannesburg": 0, "Cape Town": 0}),
        "108": (2, {}, {"Johannesburg": 0, "Cape Town": 0}),
    },
    "sap_business_one": {
        "A00001": (15, {"Trade": 680}, {"01": 10, "02": 5}),
        "A00002": (0, {"Trade": Decimal("2750.5")}, {"01": 0, "02": 0}),
        "A00006": (185, {}, {"01": 125, "02": 60}),
    },
    "syspro": {
        "B100": (5, {"Trade": 6800}, {"JH": 3, "CT": 2}),
        "B110": (0, {}, {"JH": 0, "CT": 0}),
        "B400": (286, {"Trade": Decimal("65.25")}, {"JH": 286, "CT": 0}),
    },
    "sage_300": {
        "A1-103/0": (35, {"Trade": 399}, {"Main, upstairs": 35}),
        "A1-105/0": (6, {}, {"Main, upstairs": 6}),
    },
    "sage_pastel": {
        "ACC-001": (21, {"Trade": 115}, {"Main": 16, "O'Hare": 5}),
        "ACC-002": (8, {}, {"Main": 8, "O'Hare": 0}),
        "FOO-010": (42, {"Trade": 189}, {"Main": 42, "O'Hare": 0}),
    },
    "iq_retail": {
        "COF-BEA-1K": (0, {}, {}),
        "TEA-BLK-100": (110, {"Trade": Decimal("58.5")}, {}),
        "TEA-GRN-100": (45, {"Trade": Decimal("67.5")}, {}),
    },
    "omni": {
        "PIP-15-3M": (0, {"Trade": 190}, {}),
        "VLV-15": (64, {"Trade": 77}, {}),
        "VLV-22": (12, {}, {}),
    },
}
"""Quantity, price tiers and warehouses where the project names more price lists and some warehouses."""

CUSTOMERS: dict[str, dict[str, tuple[Any, ...]]] = {
    "sage_evolution": {
        "HARB01": ("Ada", "Example", "ada@harbour-hardware.example.com"),
        "NORT01": ("Ben", "van der Sample", "orders@northside.example.com"),
        "ZENI01": ("", "", "accounts@zenith.example.com"),
    },
    "sap_business_one": {
        "C20000": ("Mara", "Example", "mara@example.com"),
        "C30000": ("Riverside", "Stationers", "buyer@riverside.example.com"),
        "C50000": ("removed",),
    },
    "syspro": {
        "000000000000100": ("Pedal", "Example", "pedal@example.com"),
        "000000000000200": ("Crank", "and Sprocket Sample", "orders@crank.example.com"),
        "000000000000300": ("Velo", "", "velo@example.com"),
    },
    "sage_300": {
        "1100": ("Ivy", "Example", "ivy@example.com"),
        "1200": ("Omar", "de la Sample", "omar@brightlight.example.com"),
    },
    "sage_pastel": {
        "PAW001": ("Paw", "Example", "paw@example.com"),
        "TAI001": ("Tail", "and Whisker Sample", "tail@example.com"),
    },
    "iq_retail": {
        "CAFE01": ("Nia", "Example", "nia@example.com"),
        "GONE01": ("removed",),
        "HOTL01": ("Grand", "Hotel Sample", "kitchen@grandhotel.example.com"),
    },
    "omni": {
        "PIPE01": ("Pipe", "and Joint Sample", "orders@pipe.example.com"),
        "PLUM01": ("Pia", "Example", "pia@example.com"),
    },
}


@pytest.mark.parametrize(("template", "dialect"), [*DIALECTS, *((name, "duckdb") for name in TEMPLATES)])
def test_products_come_out_of_the_fixtures(tmp_path: Path, template: str, dialect: str) -> None:
    """In the template's own dialect and in DuckDB's: what is Active, what is removed, and nothing quarantined."""
    found = rehearsed(written(tmp_path, template, dialect, {}), "products")
    assert {key: product(document) for key, document in found.documents} == PRODUCTS[template]
    assert found.quarantine == ()


@pytest.mark.parametrize(("template", "dialect"), [*DIALECTS, *((name, "duckdb") for name in TEMPLATES)])
def test_price_lists_and_warehouses_come_out_of_the_fixtures(tmp_path: Path, template: str, dialect: str) -> None:
    """One price a list, one quantity a warehouse, and their sum."""
    found = rehearsed(written(tmp_path, template, dialect, MORE[template]), "products")
    told = {key: product(document)[4:] for key, document in found.documents}
    assert {key: values for key, values in told.items() if values} == WITH_MORE[template]


@pytest.mark.parametrize(("template", "dialect"), [*DIALECTS, *((name, "duckdb") for name in TEMPLATES)])
def test_customers_come_out_of_the_fixtures(tmp_path: Path, template: str, dialect: str) -> None:
    """With their names split, and without those that are left alone."""
    found = rehearsed(written(tmp_path, template, dialect, {}), "customers")
    assert {key: customer(document) for key, document in found.documents} == CUSTOMERS[template]
    assert found.quarantine == ()


def loaded(folder: Path, left: str, right: str) -> Iterator[str]:
    """The statements that make a server's tables of a project's fixtures; ``left`` and ``right`` enclose names.

    In backticks, other letters than ASCII's are written as bytes: MariaDB Connector/ODBC 3.1.15 damages its memory with
    a statement that holds any.
    """

    def literal(value: str | None) -> str:
        if value is None:
            return "null"
        if left == "`" and not value.isascii():
            return f"convert(x'{value.encode().hex()}' using utf8mb4)"
        return "'" + value.replace("'", "''") + "'"

    for path in sorted((folder / "fixtures").glob("*.csv")):
        fixture = read_fixture(path)
        types = [kind.replace("varchar", "varchar(200)").replace("text", "varchar(200)") for kind in fixture.inferred]
        columns = [f"{left}{name}{right} {kind}" for name, kind in zip(fixture.columns, types, strict=True)]
        yield f"create table {left}{path.stem}{right} ({', '.join(columns)})"
        for row in fixture.rows:
            yield f"insert into {left}{path.stem}{right} values ({', '.join(map(literal, row))})"


def sent(project: Project, source: SourceSettings, sandbox: Sandbox, state: Path) -> dict[str, Any]:
    """Run the project's products on a live database; what Stock2Shop then holds, by variant."""
    account = replace(project.stock2shop, source_id=57, url=sandbox.url, username="sandbox", password="sandbox", pace=0)
    run = sync.run(replace(project, source=source, stock2shop=account, state=state), "products")
    assert run.outcome == "done"
    return {
        key: (
            item["title"],
            item["sku"],
            Decimal(str(item["price"])),
            item["qty"],
            {tier["tier"]: Decimal(str(tier["price"])) for tier in item["price_tiers"]},
            {place["description"]: place["qty"] for place in item.get("qty_availability", [])},
        )
        for key, item in sandbox.products(57).items()
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_runs_on_a_server(template: str, tmp_path: Path, mariadb: MariaDb, sandbox: Sandbox) -> None:
    """What came out of the fixtures offline comes out of MariaDB over ODBC, all the way to Stock2Shop."""
    project = written(tmp_path, template, "mysql", MORE[template])
    database = mariadb.fresh_database()
    mariadb.execute(database, f"alter database {database} character set utf8mb4", *loaded(project.root, "`", "`"))
    source = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    found = sent(project, source, sandbox, tmp_path / "state.duckdb")
    assert {key: item[:3] for key, item in found.items()} == {
        key: item[1:4] for key, item in PRODUCTS[template].items() if item != ("removed",)
    }
    assert {key: item[3:] for key, item in found.items()} == WITH_MORE[template]


BLOCKS = """\
{% block flag %}
'Yes' as product_active,
{% endblock %}
{% block options %}
'XL' as {{ "variants.option1_value" | ident }},
'Size' as option1_name,
{% endblock %}
{% block more %}
{{ super() }}
{{ sql.concat(["Brand ", sql.cast_text("1")]) }} as vendor,
{% endblock %}
{% block where %}
where 1 = 1
{% endblock %}
"""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_replaces_single_blocks(tmp_path: Path, template: str) -> None:
    """The parent's macros are there in its blocks, and so is what the block was."""
    project = written(tmp_path, template, "duckdb", {}, more=BLOCKS)
    found = rehearsed(project, "products")
    # Every row of the item table is Active now; one variant a product, as before.
    assert len(found.documents) == found.counts.source
    documents = [document["product"] for _, document in found.documents]
    assert {item["vendor"] for item in documents} == {"Brand 1"}
    assert {item["variants"]["option1"] for item in documents} == {"XL"}


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_has_the_same_blocks(template: str) -> None:
    """Who knows one knows them all; only systems without stock by warehouse lack that block."""
    text = (LIBRARY / template / "products.sql").read_text("utf-8")
    found = re.findall(r"\{% block (\w+) %\}", text)
    expected = ["columns", "product", "variant", "title", "flag", "price", "prices", "qty", "warehouses", "options"]
    expected += ["more", "tracked", "sku", "from", "where"]
    if template in {"iq_retail", "omni"}:
        expected.remove("warehouses")
    assert found == expected


@pytest.mark.parametrize(
    ("template", "values", "said"),
    [
        ("sage_pastel", {"warehouses": []}, "names no store"),
        ("sage_evolution", {"price_list": "Retail"}, "vars.price_list must be a whole number"),
        ("sap_business_one", {"price_lists": {"Trade": "Trade"}}, "Trade is not a whole number"),
    ],
)
def test_a_var_that_makes_no_sense_is_an_error(
    tmp_path: Path, template: str, values: dict[str, Any], said: str
) -> None:
    """It names what is wrong, with file and line, and never becomes SQL."""
    project = written(tmp_path, template, FACTS[template]["dialect"], values)
    with pytest.raises(RenderError, match=said) as raised:
        render_view(project, "products")
    assert raised.value.diagnostics[0].line


@pytest.mark.parametrize(
    ("template", "name", "value", "kind"),
    [
        *((template, "warehouses", "JHB", "a list") for template in TEMPLATES if template not in {"iq_retail", "omni"}),
        *((template, "price_lists", ["Trade"], "a table") for template in TEMPLATES),
        *((template, "flag", ["Web"], "a text") for template in TEMPLATES),
        ("sage_evolution", "price_column", True, "a text"),
        ("sage_evolution", "warehouses", ["JHB", ""], "a list"),
        ("sage_pastel", "movements", "QtyIn", "a list"),
        ("sap_business_one", "price_list", "Base price", "a whole number"),
    ],
)
def test_a_var_of_the_wrong_kind_is_an_error_at_its_line(
    tmp_path: Path, template: str, name: str, value: Any, kind: str
) -> None:
    """The text "JHB" is not the warehouses J, H and B."""
    project = written(tmp_path, template, FACTS[template]["dialect"], {"sqlserver_version": 2019, name: value})
    with pytest.raises(RenderError) as raised:
        render_view(project, "products")
    (problem,) = raised.value.diagnostics
    assert f"vars.{name} must be {kind}" in problem.message
    assert problem.path == project.root / "project.toml"
    lines = (project.root / "project.toml").read_text("utf-8").splitlines()
    assert problem.line is not None
    assert lines[problem.line - 1].startswith(f"{name} = ")


def test_a_movement_with_a_minus_is_taken_off(tmp_path: Path) -> None:
    """Pastel keeps what was sold without a sign."""
    found = rehearsed(written(tmp_path, "sage_pastel", "duckdb", {"movements": ["-StockMovements"]}), "products")
    assert {key: product(document)[4] for key, document in found.documents if key[:3] == "ACC"} == {
        "ACC-001": 24,
        "ACC-002": 8,
    }


@pytest.mark.parametrize(
    ("values", "price"), [({}, Decimal(449)), ({"currency": "USD"}, Decimal("524.95")), ({"price_list": "TRADE"}, 399)]
)
def test_a_price_of_sage_300_is_of_one_currency_and_of_the_stocking_unit(
    tmp_path: Path, values: dict[str, Any], price: Decimal
) -> None:
    """Not of a case of twelve, not on sale, and not of another currency."""
    found = rehearsed(written(tmp_path, "sage_300", "tsql", values), "products")
    assert product(dict(found.documents)["A1-103/0"])[3] == price


@pytest.mark.parametrize("template", ["sage_pastel", "omni"])
def test_customers_that_stock2shop_does_not_support_are_said_to_be(template: str) -> None:
    """Where an engineer reads it first: among the questions, and in the view."""
    assert any("does not support customers" in question for question in FACTS[template]["questions"])
    assert re.search(r"does\s+not support customers", (LIBRARY / template / "customers.sql").read_text("utf-8"))


HOSTILE = "x'); drop table StkItem; --] \" ` é"


@pytest.mark.parametrize(("template", "dialect"), DIALECTS)
def test_vars_never_become_syntax(tmp_path: Path, template: str, dialect: str) -> None:
    """Whatever stands in a var, the view is one SELECT that checks clean."""
    lists = "1" if template in {"sage_evolution", "sap_business_one"} else HOSTILE
    values = {"flag": HOSTILE, "price_lists": {lists: HOSTILE}, "warehouses": {HOSTILE: HOSTILE}}
    query = render_view(written(tmp_path, template, dialect, values), "products")
    columns, faults = check_view(query, dialect=dialect, entity=ENTITIES["products"], linked=False)
    assert faults == ()
    assert f"price_{HOSTILE}" in (columns or ())


DOCUMENTED = {
    "StkItem": "Code StockLink Description_1 Qty_On_Hand QtyOnSO",
    "_etblPriceListPrices": "iStockID iPriceListNameID iWarehouseID fExclPrice fInclPrice",
    "Client": "Account Contact_Person EMail On_Hold",
    "OITM": "ItemCode ItemName U_S2SActive frozenFor",
    "ITM1": "Price PriceList",
    "OPLN": "ListName",
    "OITW": "OnHand IsCommited WhsCode",
    "OCRD": "CardCode CardName E_Mail U_S2SActive",
    "InvMaster": "StockCode Description UserField1",
    "InvPrice": "SellingPrice PriceCode",
    "InvWarehouse": "QtyOnHand QtyAllocated Warehouse",
    "ArCustomer": "Customer Name Email",
    "ICITEM": "ITEMNO DESC",
    "ICPRICP": "UNITPRICE",
    "ICILOC": "QTYONHAND QTYCOMMIT LOCATION",
    "ARCUS": "IDCUST NAMECTAC EMAIL1",
    "Inventory": "ItemCode Description",
    "MultiStoreTrn": "SellInc01 OpeningQty StoreCode",
    "DeliveryAddresses": "CustomerCode Email",
    "STOCK": "CODE DESCRIPT WebItem SELLPRICE1 ONHAND SALESORDER",
    "DEBTORS": "ACCOUNT NAME EMAIL STATUS",
    "STOCK_ITEMS": "STOCKCODE DESCRIPTION EXTRADTLS8 SELLINGPRICE1 OAVAILABLE",
}
"""The columns that Stock2Shop's public pages name; of Omni's, its table is not among them."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_only_what_stock2shop_documents_is_called_documented(template: str) -> None:
    """Everything else is to confirm on site, or a placeholder that no database has."""
    known = {f"{table}.{column}" for table, columns in DOCUMENTED.items() for column in columns.split()}
    assert set(FACTS[template]["facts"]["documented"]) <= known


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_column_that_a_template_reads_is_among_its_facts(tmp_path: Path, template: str) -> None:
    """None is read without saying how sure it is, and each has its fixture."""
    facts = {name.lower() for grade in FACTS[template]["facts"].values() for name in grade}
    found = set()
    for values in ({}, MORE[template], {"price_column": "fInclPrice"}):
        for entity in ENTITIES:
            dialect = FACTS[template]["dialect"]
            query = render_view(written(tmp_path, template, dialect, values), entity)
            tree = sqlglot.parse_one(query.sql, dialect=dialect if dialect in SQLGLOT_DIALECTS else None)
            tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
            found |= {f"{tables[column.table]}.{column.name}".lower() for column in tree.find_all(exp.Column)}
    # Syspro's customers are read with a column for a flag above, which is no fact about it.
    assert found <= facts
    assert facts - found <= {
        "oitm.frozenfor",
        "opln.listname",
        "opln.listnum",
        "opln.isgrossprc",
        "invprice.pricebasis",
    }
    assert found <= columns(template)


def columns(template: str) -> set[str]:
    """The columns of the fixtures, as table.column in lower case."""
    found = set()
    for path in (LIBRARY / template / "fixtures").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            found |= {f"{path.stem}.{name.partition(':')[0]}".lower() for name in next(csv.reader(file))}
    return found


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_placeholder_is_marked_where_it_is_set(template: str) -> None:
    """Whoever fills in [vars] sees what is still to confirm."""
    text = (LIBRARY / template / "template.toml").read_text("utf-8")
    lines = text.partition("[vars]\n")[2].splitlines()
    names = {name.partition(".")[2] for name in FACTS[template]["facts"].get("placeholder", {})}
    said = {name for name in names for line in lines if f'"{name}"' in line and "TO CONFIRM" in line}
    assert said == names


@pytest.mark.parametrize("folder", [*(LIBRARY / name for name in TEMPLATES), *sorted(REPOSITORY.glob("projects/*/"))])
def test_fixtures_hold_no_real_address(folder: Path) -> None:
    """Every e-mail address is one of example.com, which nobody owns."""
    for path in folder.glob("fixtures/*.csv"):
        for address in re.findall(r"[^\s,\"]+@[^\s,\"]+", path.read_text("utf-8")):
            assert address.endswith(("@example.com", ".example.com")), f"{path}: {address}"


PAGE = (REPOSITORY / "docs" / "templates.md").read_text("utf-8")


def test_the_page_lists_every_macro() -> None:
    """None is undocumented, and none is documented that is gone."""
    text = (LIBRARY / "macros" / "dialect.sql").read_text("utf-8")
    inner = {"unknown", "floor", "string_agg_known", "tier_name", "quoted_tier", "given", "comma", "or_blank"}
    made = set(re.findall(r"macro (\w+)\(", text)) - inner
    assert set(re.findall(r"`sql\.(\w+)\(", PAGE)) == made


def test_the_page_lists_every_template() -> None:
    """With its folder, its dialects, and how to begin."""
    for name in TEMPLATES:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert FACTS[name]["title"] in row
        assert all(f"`{dialect}`" in row for dialect in FACTS[name]["dialects"])


EXAMPLES = sorted(path.parent.name for path in REPOSITORY.glob("projects/*/project.toml"))


def example(name: str) -> Project:
    """An example project, with the dummy variables of its .env.example."""
    lines = (REPOSITORY / "projects" / name / ".env.example").read_text("utf-8").splitlines()
    environ = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return load(name, workspace=REPOSITORY, environ=environ)


def test_there_are_examples_of_both_kinds() -> None:
    """One extends a template, one is written from scratch."""
    views = {name: (REPOSITORY / "projects" / name / "views" / "products.sql").read_text("utf-8") for name in EXAMPLES}
    assert {"extends" in text for text in views.values()} == {True, False}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_checks_clean_and_runs_over_its_fixtures(name: str) -> None:
    """With dummy variables; nothing is quarantined, something is sent."""
    project = example(name)
    for entity in project.entities:
        query = render_view(project, entity)
        _, faults = check_view(query, dialect=project.source.dialect, entity=ENTITIES[entity], linked=False)
        assert faults == ()
        found = rehearsed(project, entity)
        assert found.quarantine == ()
        assert found.failed == ()
        assert found.documents


def test_the_example_from_scratch_runs_on_a_server(tmp_path: Path, postgres: Postgres, sandbox: Sandbox) -> None:
    """What its fixtures give on PostgreSQL: variants, tiers by the database's own names, warehouses."""
    project = example("karoo_outdoor")
    database = postgres.fresh_database()
    postgres.execute(database, *loaded(project.root, "", ""))
    source = SourceSettings(dialect="postgres", connection=postgres.connection(database))
    assert sent(project, source, sandbox, tmp_path / "state.duckdb") == {
        "BOOT-42": ("Hiking boot “Berg”", "BOOT-42", 1899, 0, {}, {"Main": 0, "Coast": 0}),
        "MUG": ("Enamel mug", "MUG", Decimal("89.95"), 120, {}, {"Main": 120, "Coast": 0}),
        "TEE-M-BLU": ("Trail tee", "TEE-M-BLU", 349, 6, {}, {"Main": 0, "Coast": 6}),
        "TEE-M-RED": ("Trail tee", "TEE-M-RED", 349, 0, {"Trade": 280}, {"Main": 0, "Coast": 0}),
        "TEE-S-RED": (
            "Trail tee",
            "TEE-S-RED",
            349,
            14,
            {"Trade": 280, "Clubs, Cape": Decimal("315.5")},
            {"Main": 10, "Coast": 4},
        ),
    }


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_keeps_its_secrets_outside(name: str) -> None:
    """Every secret is a variable, and .env.example has a dummy for each and for nothing else."""
    root = REPOSITORY / "projects" / name
    text = (root / "project.toml").read_text("utf-8")
    for key in ("username", "password"):
        assert re.search(rf'^{key} = "\$\{{\w+\}}"$', text, re.MULTILINE)
    assert not re.search(r"(?i)(pwd|uid)=(?!\$\{)", text)
    named = set(re.findall(r"\$\{(\w+)\}", text))
    given = set(re.findall(r"^(\w+)=.+$", (root / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert given == named


STORE: dict[str, Any] = {
    "customer_columns": {"address1.address1": "Street", "address1.city": "Town", "address1.zip": "Postcode"},
    "customer_price_list": "List",
    "customer_warehouse": "Store",
}
"""What a project may say of its customers beside their names."""


@pytest.mark.parametrize("names", ["table", "list", "none"])
@pytest.mark.parametrize("template", ["sage_evolution", "sap_business_one", "syspro", "sage_300", "iq_retail"])
def test_addresses_price_tiers_and_warehouses_of_customers_are_mapped(
    tmp_path: Path, template: str, names: str
) -> None:
    """By the site's own columns, which nobody documents; a code that project.toml has no name for is a blank."""
    warehouses: dict[str, Any] = {"table": {"01": "Main"}, "list": ["01"], "none": []}
    values = {"price_lists": {"2": "Trade"}, "warehouses": warehouses[names], **STORE}
    project = written(tmp_path, template, FACTS[template]["dialect"], values)
    tables = {"sap_business_one": "OCRD", "syspro": "ArCustomer", "sage_300": "ARCUS", "iq_retail": "DEBTORS"}
    path = project.root / "fixtures" / f"{tables.get(template, 'Client')}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    more = [["1 Road", "Karoo", "0001", "2", "01"], ["", "", "", "9", "77"]]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*header, "Street", "Town", "Postcode:text", "List", "Store:text"])
        writer.writerows([*row, *more[min(number, 1)]] for number, row in enumerate(rows))
    found = rehearsed(project, "customers")
    assert found.quarantine == ()
    people = [
        found_one["customer"] for _, found_one in found.documents if found_one["source"]["customer_active"] == "true"
    ]
    first, second = people[:2]
    assert first["addresses"] == [{"address1": "1 Road", "city": "Karoo", "zip": "0001"}]
    assert first["user"] == {"price_tier": "Trade", "qty_availability": "Main" if names == "table" else "01"}
    assert second["addresses"] == []
    assert second["user"] == {"price_tier": "", "qty_availability": "77" if names == "none" else ""}
