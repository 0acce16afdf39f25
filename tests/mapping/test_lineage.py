"""From a view's SQL alone: which source columns feed which field, and which tables it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ViewError
from engine.mapping.lineage import Trace, joined_columns, mapping_markdown, mapping_rows, tables_read, trace_columns
from engine.model.fields import PRODUCTS
from engine.model.query import Query


def query(sql: str) -> Query:
    """A rendered view."""
    return Query(sql=sql, path=Path("views/products.sql"))


def traced(sql: str, dialect: str = "postgres", **schema: tuple[str, ...]) -> dict[str, Trace]:
    """What a view's columns come from, by field."""
    return {
        each.field.name: each for each in trace_columns(query(sql), dialect=dialect, entity=PRODUCTS, schema=schema)
    }


def sources(sql: str, dialect: str = "postgres", **schema: tuple[str, ...]) -> list[str]:
    """The sources of the view's title."""
    return [f"{table}.{column}" for table, column in traced(sql, dialect, **schema)["title"].sources]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select name as title from item", ["item.name"]),
        ("select i.name as title from erp.item as i", ["erp.item.name"]),
        ("select upper(i.name) || i.brand as title from item i", ["item.name", "item.brand"]),
        ("select case when i.a = 1 then i.b else i.c end as title from item i", ["item.a", "item.b", "item.c"]),
        ("select 'x' as title from item", []),
        ("select n as title from (select name as n from item) as d", ["item.name"]),
        ("with d as (select name as n from item) select n as title from d", ["item.name"]),
        ("with a as (select name as n from item), b as (select n as m from a) select m as title from b", ["item.name"]),
        ("with d(n) as (select name from item) select n as title from d", ["item.name"]),
        ("select name as title from item union all select label from kit", ["item.name", "kit.label"]),
        ("select (select p.name from part p where p.id = i.part) as title from item i", ["part.name"]),
        ("select max(p.name) as title from item i join part p on p.id = i.part group by i.id", ["part.name"]),
        ("select row_number() over (order by i.rank) as title from item i", ["item.rank"]),
        (
            "select d.n as title from (select name as n from item union select label from kit) d",
            ["item.name", "kit.label"],
        ),
        (
            "with r as (select name, 1 as n from item union all select name, n + 1 from r) select name as title from r",
            ["item.name"],
        ),
        ("select name as title from item i, price p", ["?.name"]),
    ],
)
def test_a_column_is_traced_to_the_tables_that_feed_it(sql: str, expected: list[str]) -> None:
    """Through subqueries, WITH, UNION, functions and aggregates; not to what only filters or joins."""
    assert sources(sql) == expected


def test_the_columns_of_fixtures_tell_unnamed_columns_apart() -> None:
    """Where the view does not say of which table a column is."""
    sql = "select name as title from item i, price p"
    assert sources(sql, item=("name",), price=("amount",)) == ["item.name"]
    assert traced(sql)["title"].unresolved == ("name",)


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("tsql", "select [i].[Name 1] as [title] from [dbo].[Stk Item] as [i]", ["dbo.Stk Item.Name 1"]),
        (
            "tsql",
            "select a.n as title from item i cross apply (select p.name as n from part p where p.id = i.id) a",
            ["part.name"],
        ),
        ("mysql", "select `i`.`name` as `title` from `item` `i`", ["item.name"]),
        ("hana", 'select "ItemName" as "title" from OITM', ["OITM.ItemName"]),
    ],
)
def test_each_dialects_quotes_are_read(dialect: str, sql: str, expected: list[str]) -> None:
    """And an alias with a dot is no table's column."""
    assert sources(sql, dialect) == expected


def test_a_trace_tells_the_kind_and_the_expression() -> None:
    """For a reader who wants to know more than the columns."""
    found = traced(
        'select\n    i.name as title,\n    i.qty - i.held as "variants.qty",\n'
        '    true as "variants.inventory_management"\nfrom item i'
    )
    assert [each.kind for each in found.values()] == ["column", "expression", "constant"]
    assert found["variants.qty"].expression == "i.qty - i.held"


def test_the_tables_that_are_read_have_the_columns_of_filters_too() -> None:
    """All that a fixture must have."""
    sql = "select i.name as title from item i join price p on p.code = i.code where p.list = 2 order by i.rank, title"
    found = {read.table: set(read.columns) for read in tables_read(query(sql), dialect="postgres")}
    assert found == {"item": {"name", "code", "rank"}, "price": {"code", "list"}}


def test_the_mapping_is_the_guides_table() -> None:
    """One row a field, in the view's order; a bar in an expression does not break it."""
    sql = 'select code as source_product_code, a || b as title, amount as "price_Trade" from item'
    assert mapping_markdown(mapping_rows(query(sql), dialect="postgres", entity=PRODUCTS, linked=False)) == (
        "| Custom Database | Stock2Shop | Required | Description |\n| --- | --- | --- | --- |\n"
        "| `item.code` | source_product_code | yes | Groups variants into a product; equals the item code for a simple"
        " product. |\n"
        "| `item.a`, `item.b`: `a \\|\\| b` | title | yes | The title of the product. |\n"
        "| `item.amount` | price_Trade |  | The price in the price tier Trade. |\n"
    )


def test_a_view_that_cannot_be_parsed_says_so() -> None:
    """Instead of an empty table."""
    with pytest.raises(ViewError, match="cannot be traced"):
        traced("select from where")


@pytest.mark.parametrize(
    ("dialect", "part", "expression"),
    [
        ("tsql", "count(*) -- of all, by\n     as title", "count(*)"),
        ("tsql", "top 10 case when a in (1, 2)\n  then 'x,  y' end [title]", "case when a in (1, 2) then 'x,  y' end"),
        ("tsql", "title = a + 'x'", "a + 'x'"),
        ("tsql", "b as vendor, (\n    select max(p.b) from p\n  ) as title", "(select max(p.b) from p)"),
        ("pervasive", "left(a, locate(a, ' ')) as \"title\"", "left(a, locate(a, ' '))"),
        ("postgres", "distinct not a is null as title", "not a is null"),
    ],
)
def test_an_expression_stands_as_it_is_written(dialect: str, part: str, expression: str) -> None:
    """Without comments, on one line, and whatever a parser would call its functions."""
    assert traced(f"select {part} from t", dialect)["title"].expression == expression


@pytest.mark.parametrize(
    "sql",
    [
        """with raw as (select code, upper(name) as descr, brand from raw_item), a as (select * from raw)
        select a.descr as title, a.brand as vendor from a""",
        """select a.descr as title, a.brand as vendor
        from (select x.* from (select upper(name) as descr, brand from raw_item) as x, other as y) as a""",
        """with a as (select *, upper(name) as descr from raw_item)
        select descr as title, brand as vendor from a""",
        """with a(descr, brand) as (select upper(name), brand from raw_item), b as (select * from a)
        select descr as title, brand as vendor from b""",
        """with recursive a as (select name as descr, brand from raw_item union all select * from a)
        select a.descr as title, a.brand as vendor from a""",
    ],
)
def test_a_star_is_traced_to_the_columns_behind_it(sql: str) -> None:
    """Through common table expressions, subqueries, renamed columns and recursion."""
    found = traced(sql)
    assert found["title"].sources == (("raw_item", "name"),)
    assert found["vendor"].sources == (("raw_item", "brand"),)


def test_a_star_over_two_tables_is_traced_where_one_of_them_is_known_to_have_the_column() -> None:
    """Without their columns the table cannot be told."""
    sql = "with a as (select * from item, price) select a.descr as title from a"
    assert traced(sql)["title"].unresolved == ("descr",)
    known = traced(sql, item=("code", "descr"), price=("code", "amount"))
    assert known["title"].sources == (("item", "descr"),)


def test_the_columns_of_using_and_of_natural_joins_are_read_from_both_tables() -> None:
    """A natural join needs the tables' columns to tell which those are."""
    using = tables_read(query("select descr as title from item join price using (code)"), dialect="postgres")
    assert {read.table: set(read.columns) for read in using} == {"item": {"code"}, "price": {"code"}}
    natural = tables_read(
        query("select amount as title from item natural join price"),
        dialect="postgres",
        schema={"item": ["code", "descr"], "price": ["code", "amount"]},
    )
    assert {read.table: set(read.columns) for read in natural} == {"item": {"code"}, "price": {"code", "amount"}}


def test_columns_that_join_tables_are_known() -> None:
    """By an equality, a subquery of IN, or USING; not by a comparison with a value."""
    sql = (
        "select i.a as title from item as i join price as p on upper(p.b) = i.c join t using (d)"
        " where i.e in (select f from u) and i.g = 'x'"
    )
    schema = {"item": ["a", "c", "d", "e", "g"], "price": ["b"], "t": ["d"], "u": ["f"]}
    assert joined_columns(query(sql), dialect="postgres", schema=schema) == {
        frozenset({("price", "b"), ("item", "c")}),
        frozenset({("item", "d"), ("t", "d")}),
        frozenset({("item", "e"), ("u", "f")}),
    }
