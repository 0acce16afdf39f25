"""Introspection of ten databases as clients have them, rebuilt small: what is proposed, and what is passed over.

The names of tables and columns are those of the systems; which tables are left out, and every row, is made up.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomli
from support.command import run_command

from engine.errors import UsageError
from engine.model.settings import SourceSettings
from engine.scaffold.introspect import Choices, Option, introspect

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

    from engine.scaffold.introspect import Proposal

FILES = Path(__file__).parent / "schemas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What is right of a database: its tables, and what feeds code, title, price and quantity.

    Of each, the text that has to stand in the expression; blank where there is none to propose.
    """

    products: str
    code: str
    title: str
    price: str
    quantity: str
    customers: str = ""


SCHEMAS = {
    "opencart": Right(
        products="oc_product",
        code="oc_product.model",
        title="oc_product_description.name",
        price="oc_product.price",
        quantity="oc_product.quantity",
        customers="oc_customer",
    ),
    "prestashop": Right(
        products="ps_product",
        code="ps_product.reference",
        title="ps_product_lang.",
        price="ps_product.price",
        quantity="ps_stock_available.id_product_attribute = 0",
        customers="ps_customer",
    ),
    "magento": Right(
        products="catalog_product_entity",
        code="catalog_product_entity.sku",
        title="catalog_product_entity_varchar.attribute_id = 71",
        price="catalog_product_entity_decimal.attribute_id = 75",
        quantity="cataloginventory_stock_item.qty",
        customers="customer_entity",
    ),
    "woocommerce": Right(
        products="wp_posts",
        code="wp_postmeta.meta_key = '_sku'",
        title="wp_posts.post_title",
        price="wp_postmeta.meta_key = '_price'",
        quantity="wp_postmeta.meta_key = '_stock'",
        customers="wp_wc_customer_lookup",
    ),
    "dolibarr": Right(
        products="llx_product",
        code="llx_product.ref",
        title="llx_product.label",
        price="llx_product.price",
        quantity="llx_product.stock",
        customers="llx_societe",
    ),
    "northwind": Right(
        products="Products",
        code="Products.ProductID",
        title="Products.ProductName",
        price="Products.UnitPrice",
        quantity="Products.UnitsInStock",
        customers="Customers",
    ),
    "chinook": Right(
        products="Track",
        code="Track.TrackId",
        title="Track.Name",
        price="Track.UnitPrice",
        quantity="",
        customers="Customer",
    ),
    "adventureworks": Right(
        products="Product",
        code="Product.ProductNumber",
        title="Product.Name",
        price="Product.ListPrice",
        quantity="sum(ProductInventory.Quantity)",
    ),
    "odoo": Right(
        products="product_product",
        code="product_product.default_code",
        title="product_template.name",
        price="product_template.list_price",
        quantity="sum(stock_quant.quantity)",
        customers="res_partner",
    ),
    "erpnext": Right(
        products="tabItem",
        code="tabItem.item_code",
        title="tabItem.item_name",
        price="price_list_rate",
        quantity="sum(tabBin.actual_qty)",
        customers="tabCustomer",
    ),
}


def database(folder: Path, name: str, *more: str) -> Path:
    """A SQLite file with one of the schemas, and more statements."""
    path = folder / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((FILES / f"{name}.sql").read_text("utf-8"))
        for statement in more:
            connection.execute(statement)
    return path


def proposed(path: Path, choices: Choices | None = None) -> dict[str, Proposal]:
    """The proposals by entity."""
    settings = SourceSettings(dialect="sqlite", database=path)
    return {each.entity: each for each in introspect(settings, choices)}


def expressions(proposal: Proposal) -> dict[str, str]:
    """What feeds each field, without quotes."""
    return {each.field: each.expression.replace('"', "") for each in proposal.candidates}


@pytest.mark.parametrize("name", SCHEMAS)
def test_products_are_found_in_each_of_ten_schemas(tmp_path: Path, name: str) -> None:
    """Table, code, title, price and quantity: never a log, a cart, what was sold, or a view that filters."""
    right = SCHEMAS[name]
    path = database(tmp_path, name)
    found = proposed(path)
    assert found["products"].table == right.products
    assert ("customers" in found) == bool(right.customers)
    assert not right.customers or found["customers"].table == right.customers
    by_field = expressions(found["products"])
    assert right.code in by_field["source_variant_code"]
    assert right.title in by_field["title"]
    assert right.price in by_field["csv_price_tiers"]
    assert right.quantity in by_field["variants.qty"] if right.quantity else "variants.qty" not in by_field
    with closing(sqlite3.connect(path)) as connection:
        (rows,) = connection.execute(f"select count(*) from ({found['products'].sql})").fetchone()
    assert rows == found["products"].rows


def test_a_table_of_products_without_a_row_is_passed_over(tmp_path: Path) -> None:
    """The one that has them wins, whatever the empty one is called."""
    item = "create table item (item_code text primary key, description text, price numeric, qty_on_hand int)"
    assert proposed(database(tmp_path, "northwind", item))["products"].table == "Products"


@pytest.mark.parametrize(
    ("table", "code", "title", "price", "quantity"),
    [
        ("voorraad_item", "item_kode", "beskrywing", "verkoopprys", "voorraad"),
        ("Artikelen", "artikelnummer", "omschrijving", "verkoopprijs", "voorraad"),
        ("Artikelstamm", "Artikelnummer", "Bezeichnung", "Verkaufspreis", "Lagerbestand"),
        ("articles", "ref_article", "désignation", "prix_vente", "qte_stock"),
        ("articulos", "codigo_articulo", "descripción", "precio_venta", "existencias"),
        ("produtos", "codigo_produto", "descrição", "preço_venda", "estoque"),
    ],
)
def test_names_are_known_in_other_languages(
    tmp_path: Path, table: str, code: str, title: str, price: str, quantity: str
) -> None:
    """With and without accents; a client beside them is none of the products."""
    path = tmp_path / "erp.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f'create table "{table}" ("{code}" text, "{title}" text, "{price}" numeric, "{quantity}" int)'
        )
        connection.execute(f"insert into \"{table}\" values ('A', 'x', 1, 2), ('B', 'y', 1, 2)")
    found = proposed(path)["products"]
    by_field = expressions(found)
    assert found.table == table
    wanted = (code, title, price, quantity)
    fields = ("source_variant_code", "title", "csv_price_tiers", "variants.qty")
    assert [by_field[field] for field in fields] == [f"{table}.{each}" for each in wanted]


def test_a_text_that_is_called_like_an_amount_is_none(tmp_path: Path) -> None:
    """In German, lager is the stock as well as the warehouse that it is in."""
    path = tmp_path / "erp.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            """
            create table artikel (artnr text primary key, bezeichnung text, preis text, listenpreis numeric(12, 2));
            create table lagerbestand (artnr text references artikel (artnr), lager text, bestand int);
            insert into artikel values ('A', 'x', 'VK', 1), ('B', 'y', 'VK', 2);
            insert into lagerbestand values ('A', 'HL', 1), ('B', 'NL', 2);
            """
        )
    by_field = expressions(proposed(path)["products"])
    assert by_field["csv_price_tiers"] == "artikel.listenpreis"
    assert "sum(lagerbestand.bestand)" in by_field["variants.qty"]


def test_related_tables_are_named_where_they_may_hold_more(tmp_path: Path) -> None:
    """Options, price lists, warehouses, categories and languages, each as a TODO."""
    dolibarr = proposed(database(tmp_path, "dolibarr"))["products"].sql
    assert "-- TODO: llx_product_price may hold more price lists (price_NAME)." in dolibarr
    assert "-- TODO: llx_product_stock may hold warehouses (qty_NAME)." in dolibarr
    assert "-- TODO: llx_categorie_product may hold categories" in dolibarr
    shop = proposed(database(tmp_path, "prestashop"))["products"].sql
    assert "-- TODO: ps_product_attribute may hold options (variants.option1_value)." in shop
    assert "-- TODO: which language: id_lang is one of 1, 2?" in shop


def test_somebody_chooses_table_and_columns_by_option(tmp_path: Path) -> None:
    """A column, one of another table, or SQL as it is."""
    choices = Choices(
        tables={"products": "oc_order_product"},
        columns={"title": "name", "variants.qty": "oc_product.quantity", "vendor": "upper('x')"},
    )
    found = proposed(database(tmp_path, "opencart"), choices)["products"]
    assert found.table == "oc_order_product"
    by_field = expressions(found)
    assert by_field["title"] == "oc_order_product.name"
    assert by_field["vendor"] == "upper('x')"
    with pytest.raises(UsageError, match="no table 'nowhere'"):
        proposed(tmp_path / "opencart.db", Choices(tables={"products": "nowhere"}))


def test_somebody_chooses_by_number(tmp_path: Path) -> None:
    """Of tables with their rows and reasons, and of expressions with what stands in them."""
    asked: list[tuple[str, Sequence[Option]]] = []

    def choose(question: str, options: Sequence[Option]) -> int:
        asked.append((question, options))
        return 1 if "variants.qty" in question else 0

    settings = SourceSettings(dialect="sqlite", database=database(tmp_path, "dolibarr"))
    found = {each.entity: each for each in introspect(settings, None, choose)}
    question, options = next(each for each in asked if "variants.qty" in each[0])
    assert question == "What is variants.qty?"
    assert options[0] == Option(label="llx_product.stock", detail="6 · 2")
    assert "sum(llx_product_stock.reel)" in expressions(found["products"])["variants.qty"]


def s2s(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a scheduler would, without a terminal."""
    return run_command(*words, folder=workspace, variables={"ACME_S2S_USER": "me", "ACME_S2S_PASSWORD": "secret"})


def test_from_a_shops_database_to_a_green_plan(tmp_path: Path) -> None:
    """What is proposed is what is planned, and check says which TODOs nobody has decided."""
    database(tmp_path, "opencart")
    words = ("--database", "opencart.db", "--source-id", "57", "--introspect", "--yes")
    looked = s2s(tmp_path, "init", "acme", *words, "--column", "vendor=upper('kloof')")
    assert looked.returncode == 0, looked.stderr
    assert "products: oc_product, 3 rows\n  because its name says products; " in looked.stdout
    assert "ann@example.com" not in looked.stdout
    checked = s2s(tmp_path, "check", "acme")
    assert checked.returncode == 0, checked.stdout
    assert "TODOs of this view are not decided" in checked.stdout
    assert "acme: ready" in checked.stdout
    planned = s2s(tmp_path, "plan", "acme", "--offline")
    assert planned.returncode == 0, planned.stderr
    assert "+ CAP-1" in planned.stdout


def test_a_database_of_customers_alone_becomes_a_project_of_customers(tmp_path: Path) -> None:
    """And says how to name the table of products where somebody knows it."""
    with closing(sqlite3.connect(tmp_path / "crm.db")) as connection, connection:
        connection.execute("create table klante (kliente_kode text, naam text, epos text)")
        connection.execute("insert into klante values ('K1', 'Ann', 'ann@example.com')")
    words = ("--database", "crm.db", "--source-id", "57", "--introspect")
    looked = s2s(tmp_path, "init", "acme", *words)
    assert looked.returncode == 0, looked.stderr
    assert "No table looks like products." in looked.stdout
    root = tmp_path / "projects" / "acme"
    assert [path.name for path in (root / "views").iterdir()] == ["customers.sql"]
    assert "products" not in tomli.loads((root / "project.toml").read_text("utf-8"))
    assert s2s(tmp_path, "check", "acme").returncode == 0


@pytest.mark.parametrize("words", [("--table", "supplier=x"), ("--column", "titel=x"), ("--column", "title")])
def test_an_option_that_names_nothing_is_refused_before_anything_is_written(
    tmp_path: Path, words: tuple[str, str]
) -> None:
    """With what to write instead."""
    refused = s2s(tmp_path, "init", "acme", "--database", "x.db", *words)
    assert (refused.returncode, "Write --" in refused.stderr) == (2, True)
    assert not (tmp_path / "projects").exists()
