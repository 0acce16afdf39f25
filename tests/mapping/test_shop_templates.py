"""The starter templates of web shops: variants from attribute tables, language joins, dates of zeros, tax."""

from __future__ import annotations

import csv
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlglot
import tomli
from sqlglot import exp
from support.command import run_command

from engine.config.loader import load
from engine.mapping.check import check_view
from engine.mapping.render import render_view
from engine.model.fields import ENTITIES
from engine.testing.fixture_run import fixture_session, run_on_fixtures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.settings import Project

REPOSITORY = Path(__file__).parents[2]
LIBRARY = REPOSITORY / "templates" / "sql"
SHOPS = ("dolibarr", "magento_1", "opencart", "prestashop", "woocommerce")
FACTS: dict[str, dict[str, Any]] = {
    name: tomli.loads((LIBRARY / name / "template.toml").read_text("utf-8")) for name in SHOPS
}
DIALECTS = [(name, dialect) for name in SHOPS for dialect in FACTS[name]["dialects"]]

PROJECT = """\
[source]
dialect = "{dialect}"
connection = "DSN=none"
[stock2shop]
source_id = 57
username = "u"
password = "p"
[products]
[customers]
[vars]
"""

MORE: dict[str, dict[str, Any]] = {
    "dolibarr": {"options": {"SIZE": "Size"}, "price_lists": {"2": "Trade"}, "warehouses": {"SHOP": "Shop"}},
    "magento_1": {"options": {"size": "Size"}, "price_lists": {"2": "Trade"}, "tax_percent": 10, "store": 2},
    "opencart": {"option_id": 11, "price_lists": {"2": "Trade"}, "tax_percent": 10, "language": 1},
    "prestashop": {"options": {"1": "Size"}, "price_lists": {"4": "Trade"}, "tax_percent": 10},
    "woocommerce": {"options": {"pa_size": "Size"}, "price_lists": {"_wholesale_price": "Trade"}, "tax_percent": 10},
}
"""What a shop's project says beside the defaults."""


def written(folder: Path, shop: str, values: Mapping[str, Any], dialect: str = "mysql") -> Project:
    """A project that does no more than extend the template's views."""
    root = folder / "projects" / "acme"
    shutil.copytree(LIBRARY / shop / "fixtures", root / "fixtures")
    (root / "views").mkdir()
    for entity in ENTITIES:
        (root / "views" / f"{entity}.sql").write_text(f'{{% extends "{shop}/{entity}.sql" %}}\n', "utf-8")
    lines = [f"{name} = {_toml(value)}\n" for name, value in values.items()]
    (root / "project.toml").write_text(PROJECT.format(dialect=dialect) + "".join(lines), "utf-8")
    return load("acme", workspace=folder, environ={})


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {json.dumps(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def product(document: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of a document a reader looks at: product, title, price, quantity, options, tiers, warehouses."""
    if document["source"]["product_active"] == "false":
        return ("removed",)
    item = document["product"]
    variant = item["variants"]
    return (
        document["source"]["source_product_code"],
        item["title"],
        variant.get("price"),
        variant["qty"],
        variant.get("option1") or "",
        {tier["tier"]: tier["price"] for tier in variant.get("price_tiers", [])},
        {place["description"]: place["qty"] for place in variant.get("qty_availability", [])},
    )


RIGHT: dict[str, dict[str, tuple[Any, ...]]] = {
    "dolibarr": {
        "CHAISE": ("CHAISE", "Chaise d'été", 40, 4, "", {"Trade": Decimal("36.5")}, {"Shop": 4}),
        "TEE_S": ("TEE", "Tee", 20, 7, "S", {}, {"Shop": 7}),
        "TEE_M": ("TEE", "Tee", 22, 0, "M", {}, {"Shop": 0}),
        "VIEUX": ("removed",),
    },
    "magento_1": {
        "LAMP": ("LAMP", "Lampe", Decimal("823.9"), 15, "", {"Trade": 748}, {}),
        "TEE-S": ("TEE", "Tee “Karoo”", Decimal("218.9"), 4, "Small", {}, {}),
        "TEE-M": ("TEE", "Tee “Karoo”", Decimal("229.9"), 0, "Medium", {}, {}),
        "OLD": ("removed",),
    },
    "opencart": {
        "MUG-1": ("MUG-1", "Mug, enamel", Decimal("98.45"), 25, "", {"Trade": Decimal("82.5")}, {}),
        "TEE-1-46": ("TEE-1", "Tee “Karoo”", Decimal("218.9"), 3, "Small", {}, {}),
        "TEE-1-47": ("TEE-1", "Tee “Karoo”", Decimal("240.9"), 5, "Large", {}, {}),
        "CAP-1": ("removed",),
        "NEXT-1": ("removed",),
    },
    "prestashop": {
        "MUG": ("MUG", "Mug, enamel", Decimal("98.45"), 30, "", {"Trade": Decimal("82.5")}, {}),
        "TEE-S": ("TEE", "Tee", Decimal("218.9"), 4, "S", {}, {}),
        "TEE-2": ("TEE", "Tee", Decimal("229.9"), 5, "M", {}, {}),
        "OLD": ("removed",),
    },
    "woocommerce": {
        "POT-5": ("POT-5", "Cast-iron pot 5 l", Decimal("988.9"), 12, "", {"Trade": 770}, {}),
        "APRON-S": ("11", 'Apron "Öko"', 275, 3, "Small", {}, {}),
        "APRON-L": ("11", 'Apron "Öko"', 286, 0, "Large", {}, {}),
        "LID-OLD": ("removed",),
        "LADLE": ("removed",),
    },
}
"""What comes out of a template's fixtures with the values of :data:`MORE`."""

PEOPLE: dict[str, dict[str, str]] = {
    "dolibarr": {"CU01": "Ada Example", "CU02": "removed"},
    "magento_1": {"1": "Ada Example", "2": "removed"},
    "opencart": {"1": "Ada Example", "2": "removed"},
    "prestashop": {"1": "Ada Example", "2": "removed"},
    "woocommerce": {"1": "Ada Example", "2": "Ben Sample"},
}


@pytest.mark.parametrize("shop", SHOPS)
def test_products_and_customers_come_out_of_the_fixtures(tmp_path: Path, shop: str) -> None:
    """Variants with their options, prices with tax, price lists, and the language that is asked for."""
    project = written(tmp_path, shop, MORE[shop])
    with fixture_session([project]) as session:
        products = run_on_fixtures(session, project, "products")
        customers = run_on_fixtures(session, project, "customers")
    assert {key: product(document) for key, document in products.documents} == RIGHT[shop]
    assert products.quarantine == customers.quarantine == ()
    people = {
        key: f"{document['customer']['first_name']} {document['customer']['last_name']}"
        if document["source"]["customer_active"] == "true"
        else "removed"
        for key, document in customers.documents
    }
    assert people == PEOPLE[shop]


@pytest.mark.parametrize(("shop", "dialect"), DIALECTS)
def test_a_template_checks_clean_and_its_vars_are_its_defaults(tmp_path: Path, shop: str, dialect: str) -> None:
    """Extending it is all that a view needs, and [vars] of template.toml says what counts without it."""
    plain = written(tmp_path / "plain", shop, {}, dialect)
    more = written(tmp_path / "more", shop, {**MORE[shop], "prefix": "x'; drop_"}, dialect)
    vars_ = written(tmp_path / "vars", shop, FACTS[shop]["vars"], dialect)
    for entity in ENTITIES:
        query = render_view(plain, entity)
        assert render_view(vars_, entity).sql == query.sql
        for each in (query, render_view(more, entity)):
            assert check_view(each, dialect=dialect, entity=ENTITIES[entity], linked=False)[1] == ()


@pytest.mark.parametrize("shop", SHOPS)
def test_every_column_that_a_template_reads_is_among_its_facts_and_fixtures(tmp_path: Path, shop: str) -> None:
    """None is read without saying what it is."""
    facts = {name.lower() for grade in FACTS[shop]["facts"].values() for name in grade}
    project = written(tmp_path, shop, MORE[shop])
    found = set()
    for entity in ENTITIES:
        tree = sqlglot.parse_one(render_view(project, entity).sql, dialect="mysql")
        tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
        columns = [column for column in tree.find_all(exp.Column) if column.table in tables]
        found |= {f"{tables[column.table]}.{column.name}".lower() for column in columns}
    assert found == facts
    known = set()
    for path in (LIBRARY / shop / "fixtures").glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            known |= {f"{path.stem}.{name.partition(':')[0]}".lower() for name in next(csv.reader(file))}
    assert found <= known


def test_the_page_lists_every_shop() -> None:
    """With its folder and its dialects."""
    page = (REPOSITORY / "docs" / "templates.md").read_text("utf-8")
    for name in SHOPS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert FACTS[name]["title"] in row
        assert all(f"`{dialect}`" in row for dialect in FACTS[name]["dialects"])


def test_from_a_shops_template_to_green_tests(tmp_path: Path) -> None:
    """As the page has it: init, then its tests on fixtures, and a check, without a database."""

    def s2s(*words: str) -> str:
        ran = run_command(*words, folder=tmp_path, variables={"ACME_S2S_USER": "me", "ACME_S2S_PASSWORD": "secret"})
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    s2s("init", "acme", "--template", "prestashop", "--source-id", "57")
    assert "acme" in s2s("test", "acme")
    assert "acme: ready" in s2s("check", "acme")
    assert "- [ ] Which shop and which language" in (tmp_path / "projects" / "acme" / "README.md").read_text("utf-8")
