"""What databases write differently, the macros write the same: each is run where a server or an engine can be had."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from engine.database.open import open_source
from engine.errors import RenderError
from engine.mapping.parse import SQLGLOT_DIALECTS
from engine.mapping.render import render_view
from engine.model.fields import ACTIVE_WORDS
from engine.model.settings import EntitySettings, Project, SourceSettings, Stock2ShopSettings
from engine.stock2shop.sent_values import prices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from support.servers import MariaDb, Postgres

IMPORT = '{% import "macros/dialect.sql" as sql %}\n'

WORDS = [
    # code, padded, word, listed, ranked
    (1, "  Ada van der Example ", "O'Brien & Söhne <b>", 3),
    (1, "x", "漢 😀", 1),
    (1, None, None, 2),
    (2, "", 'a,"b":c', 1),
    (3, " ", None, 1),
]

NUMBERS = [
    ("12.50", "12.5", 12),
    (" -3 ", "-3", -3),
    ("0", "0", 0),
    ("7", "7", 7),
    ("1.23456", "1.2346", 1),
    ("-1.5", "-1.5", -2),
    ("999999999999.9999", "999999999999.9999", 999_999_999_999),
    ("1000000000000", None, None),
    ("1e5", None, None),
    ("1,234", None, None),
    ("R12", None, None),
    ("12 3", None, None),
    ("1.2.3", None, None),
    ("12.", None, None),
    ("-", None, None),
    ("--1", None, None),
    ("1-", None, None),
    ("-.5", None, None),
    ("٣", None, None),
    ("", None, None),
    (" ", None, None),
    (None, None, None),
]
"""A text, the number that it says, and that rounded down."""

AMOUNTS = [
    # code, list, name, amount
    ("A", 1, "Retail", "100.0000"),
    ("A", 2, 'Trade, "special": 2', "80.5000"),
    ("A", 3, "Größe", None),
    ("B", 1, "Retail", "0.0000"),
    ("C", 3, "Größe", "1234567.8900"),
]

STOCK = [
    # code, warehouse, on_hand, on_orders
    ("A", "01", "5.0000", "2.0000"),
    ("A", "O'X", "7.0000", None),
    ("A", "99", "100.0000", "0.0000"),
    ("B", "01", None, "3.0000"),
    ("C", "99", "1.0000", "1.0000"),
]

ITEMS = ["A", "B", "C", "D"]


def project(folder: Path, source: SourceSettings, **values: Any) -> Project:
    """A project whose view is ``folder/views/products.sql``."""
    return Project(
        name="acme",
        root=folder,
        workspace=folder.parent,
        description="",
        source=source,
        stock2shop=Stock2ShopSettings(source_id=57, username="u", password="p"),
        entities={
            "products": EntitySettings(name="products", view=folder / "views" / "products.sql", active=ACTIVE_WORDS)
        },
        vars=values,
        state=folder / "state.duckdb",
    )


def rendered(folder: Path, template: str, source: SourceSettings, **values: Any) -> str:
    """The SQL that a template comes to."""
    (folder / "views").mkdir(parents=True, exist_ok=True)
    (folder / "views" / "products.sql").write_text(IMPORT + template, "utf-8")
    return render_view(project(folder, source, **values), "products").sql


def filled(text: str, *, ascii_only: bool = False) -> tuple[str, ...]:
    """The statements that make the tables, in plain SQL with ``text`` for a text's type.

    ``ascii_only`` writes other letters as bytes: MariaDB Connector/ODBC 3.1.15 damages its memory with a statement
    that holds any.
    """

    def literal(value: object) -> str:
        if value is None:
            return "null"
        if isinstance(value, int):
            return str(value)
        said = str(value)
        if ascii_only and not said.isascii():
            return f"convert(x'{said.encode().hex()}' using utf8mb4)"
        return "'" + said.replace("'", "''") + "'"

    tables: dict[str, tuple[str, Sequence[Sequence[object]]]] = {
        "words": (f"code integer, padded {text}, word {text}, ranked integer", WORDS),
        "numbers": (f"id integer, said {text}", [(number, row[0]) for number, row in enumerate(NUMBERS)]),
        "amounts": (f"code {text}, list_id integer, name {text}, amount decimal(18,4)", AMOUNTS),
        "stocks": (f"code {text}, warehouse {text}, on_hand decimal(18,4), on_orders decimal(18,4)", STOCK),
        "items": (f"code {text}", [(code,) for code in ITEMS]),
    }
    made = []
    for name, (columns, rows) in tables.items():
        made.append(f"create table {name} ({columns})")
        values = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
        made.append(f"insert into {name} values {values}")
    return tuple(made)


@pytest.fixture(scope="session")
def sources(
    postgres: Postgres, mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, SourceSettings]:
    """The same tables in every database that can be had here."""
    folder = tmp_path_factory.mktemp("macros")
    with closing(sqlite3.connect(folder / "erp.sqlite")) as file:
        for statement in filled("varchar(100)"):
            file.execute(statement)
        file.commit()
    with duckdb.connect(str(folder / "erp.duckdb")) as embedded:
        for statement in filled("varchar"):
            embedded.execute(statement)
    first, second = postgres.fresh_database(), mariadb.fresh_database()
    postgres.execute(first, *filled("varchar(100)"))
    mariadb.execute(second, *filled("varchar(100) character set utf8mb4", ascii_only=True))
    return {
        "sqlite": SourceSettings(dialect="sqlite", database=folder / "erp.sqlite"),
        "duckdb": SourceSettings(dialect="duckdb", database=folder / "erp.duckdb"),
        "postgres": SourceSettings(dialect="postgres", connection=postgres.connection(first)),
        "mysql": SourceSettings(dialect="mysql", connection=mariadb.connection(second)),
    }


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mysql"])
def read(request: pytest.FixtureRequest, sources: dict[str, SourceSettings], tmp_path: Path) -> Callable[..., Any]:
    """Render a template for one of the databases, and read it there as a run would."""
    source = sources[request.param]

    def go(template: str, **values: Any) -> list[tuple[str | None, ...]]:
        sql = rendered(tmp_path / "acme", template, source, **values)
        with open_source(source) as connection:
            return [row for batch in connection.read(sql) for row in zip(*batch.to_pydict().values(), strict=True)]

    return go


def number(text: str | None) -> Decimal | None:
    """A number as the engine's canonical form takes it, whatever trailing zeros a driver gives it."""
    return None if text is None else Decimal(text)


def test_trim_takes_blanks_from_both_sides(read: Callable[..., Any]) -> None:
    """NULL stays NULL, and blanks within stay."""
    found = read('select {{ sql.trim(col("padded")) }} as padded from words order by code, ranked')
    # A blank text and NULL are one to the engine.
    assert [row[0] or None for row in found] == ["x", None, "Ada van der Example", None, None]


def test_concat_counts_null_as_blank(read: Callable[..., Any]) -> None:
    """Values among the parts are literals; quotes, Unicode and entities come through."""
    parts = """[col("word"), "|", sql.cast_text(col("code")), "'"]"""
    template = f"select {{{{ sql.concat({parts}) }}}} as t from words order by code, ranked"
    assert [row[0] for row in read(template)] == ["漢 😀|1'", "|1'", "O'Brien & Söhne <b>|1'", 'a,"b":c|2\'', "|3'"]


def test_concat_of_one_part_is_that_part(read: Callable[..., Any]) -> None:
    """SQL Server's CONCAT wants two; the macro sees to it."""
    assert read('select {{ sql.concat([col("word")]) }} as t from words where code = 2') == [('a,"b":c',)]


def test_a_whole_name_is_split_at_its_first_blank(read: Callable[..., Any]) -> None:
    """A name of one word has no other words, and NULL has none at all."""
    template = (
        'select {{ sql.first_word(col("padded")) }} as a, {{ sql.other_words(col("padded")) }} as b'
        " from words order by code, ranked"
    )
    found = [tuple(value or None for value in row) for row in read(template)]
    assert found == [("x", None), (None, None), ("Ada", "van der Example"), (None, None), (None, None)]


@pytest.mark.parametrize(
    "text", ["a@example.com", "a@example.com; b@example.com", "a@example.com,b@example.com", " a@example.com / b"]
)
def test_the_first_of_several_addresses_is_taken(read: Callable[..., Any], text: str) -> None:
    """Whatever stands between them."""
    found = read(
        f"{{% set mail %}}'{text}'{{% endset %}}select {{{{ sql.first_email(mail) }}}} as t from words where code = 2"
    )
    assert set(found) == {("a@example.com",)}


def test_try_number_reads_numbers_and_nothing_else(read: Callable[..., Any]) -> None:
    """A comma decimal, an exponent or a currency is NULL, not a guess; the query never fails."""
    found = read('select {{ sql.try_number(col("said")) }} as n from numbers order by id')
    assert [number(row[0]) for row in found] == [number(expected) for _, expected, _ in NUMBERS]


def test_try_number_rounds_to_its_places(read: Callable[..., Any]) -> None:
    """Two places, as most price lists have."""
    found = read("select {{ sql.try_number(col(\"said\"), 2) }} as n from numbers where said = '1.23456'")
    assert number(found[0][0]) == Decimal("1.23")


def test_half_of_a_number_that_is_cast_is_not_cut_off(read: Callable[..., Any]) -> None:
    """Also where a division of whole numbers is one without a remainder."""
    found = read('select {{ sql.cast_number(col("code")) }} / 2 as n from words order by code, ranked')
    assert [number(row[0]) for row in found] == [number(half) for half in ("0.5", "0.5", "0.5", "1", "1.5")]


def test_try_int_rounds_down(read: Callable[..., Any]) -> None:
    """As quantities are rounded when they are staged."""
    found = read('select {{ sql.try_int(col("said")) }} as n from numbers order by id')
    assert [number(row[0]) for row in found] == [expected for _, _, expected in NUMBERS]


def test_list_agg_joins_the_texts_of_a_group(read: Callable[..., Any]) -> None:
    """NULLs are left out, and a group of nothing else is NULL."""
    template = (
        'select {{ sql.list_agg(col("word"), col("ranked"), " / ") }} as t, count(*) as n from words'
        " group by code order by code"
    )
    found = [set(row[0].split(" / ")) if row[0] else None for row in read(template)]
    # SQLite takes a group's texts as they come: `list_of` is the one with an order everywhere.
    assert found == [{"漢 😀", "O'Brien & Söhne <b>"}, {'a,"b":c'}, None]


LIST = """\
{% set rows %}words where words.code = items.n{% endset %}
select {{ sql.list_of(col("words.word"), rows, col("words.ranked"), separator) }} as t
from (select 1 as n union all select 2 union all select 3 union all select 4) items
order by items.n
"""


def test_list_of_joins_rows_in_order(read: Callable[..., Any]) -> None:
    """Without NULLs; NULL where there are no rows; the separator is a value as any other."""
    assert [row[0] for row in read('{% set separator = " & \'" %}' + LIST)] == [
        "漢 😀 & 'O'Brien & Söhne <b>",
        'a,"b":c',
        None,
        None,
    ]


def test_a_long_list_is_not_cut(read: Callable[..., Any]) -> None:
    """MySQL cuts at 1,024 bytes and MariaDB at a megabyte, unless the session says otherwise."""
    many = " union all ".join(f"select {n} as n" for n in range(200))
    template = (
        f"{{% set rows %}}(select a.n, '{'x' * 60}' as w from ({many}) a cross join ({many}) b) lengthy{{% endset %}}"
        'select {{ sql.list_of(col("lengthy.w"), rows, col("lengthy.n")) }} as t'
    )
    ((text,),) = read(template)
    assert text is not None
    assert len(text) == 200 * 200 * 61 - 1


@pytest.mark.parametrize("rows", [0, 2])
def test_top_and_limit_together_take_some_rows(read: Callable[..., Any], rows: int) -> None:
    """One of the two writes it, in every dialect."""
    template = "select {{ sql.top(vars.rows) }} code from items order by code {{ sql.limit(vars.rows) }}"
    assert [row[0] for row in read(template, rows=rows)] == ITEMS[:rows]


def test_today_is_a_date_and_now_a_time(read: Callable[..., Any]) -> None:
    """The database's own: now is today."""
    ((now, today),) = read("select {{ sql.now() }} as n, {{ sql.today() }} as t")
    assert now is not None
    assert today is not None
    assert now[:10] == today[:10]
    assert len(now) > len("2024-01-13")


TIERS = """\
{% set rows %}amounts where amounts.code = items.code{% endset %}
select
    items.code,
    {{ sql.list_of(sql.tier(col("amounts.name"), col("amounts.amount")), rows, col("amounts.list_id")) }} as tiers
from items order by items.code
"""


def test_price_lists_in_rows_become_price_tiers(read: Callable[..., Any]) -> None:
    """A name with a comma, a colon or quotes is quoted by the database; a price that is NULL leaves its tier out."""
    assert [(code, prices(tiers)[1]) for code, tiers in read(TIERS)] == [
        ("A", {"Retail": Decimal(100), 'Trade, "special": 2': Decimal("80.5")}),
        ("B", {"Retail": Decimal(0)}),
        ("C", {"Größe": Decimal("1234567.89")}),
        ("D", {}),
    ]


PAIRS = """\
{% set default %}(select max(amount) from amounts where amounts.code = items.code and list_id = 1){% endset %}
{% set second %}(select max(amount) from amounts where amounts.code = items.code and list_id = 2){% endset %}
{% set third %}(select max(amount) from amounts where amounts.code = items.code and list_id = 3){% endset %}
select {{ sql.price_tiers([('Trade, "x": 2', second), ("It's", third)], default) }} as tiers from items order by code
"""


def test_price_columns_become_price_tiers(read: Callable[..., Any]) -> None:
    """The default price comes first, as a bare number; what is NULL is left out."""
    assert [prices((tiers or "").rstrip(",")) for (tiers,) in read(PAIRS)] == [
        (Decimal(100), {'Trade, "x": 2': Decimal("80.5")}),
        (Decimal(0), {}),
        (None, {"It's": Decimal("1234567.89")}),
        (None, {}),
    ]


QUANTITIES = """\
{% set quantity = sql.available(col("stocks.on_hand"), col("stocks.on_orders")) %}
select
    {{ sql.warehouse_columns(quantity, col("stocks.warehouse"), vars.warehouses) }}
    {{ sql.warehouse_qty(quantity, col("stocks.warehouse"), ["01", "O'X"]) }} as qty,
    items.code
from items left join stocks on stocks.code = items.code
group by items.code order by items.code
"""


def test_quantities_are_summed_by_warehouse(read: Callable[..., Any]) -> None:
    """One column a warehouse and one for several; NULL counts as nothing, and no stock as 0."""
    found = read(QUANTITIES, warehouses=["01", "O'X"])
    assert [(*map(number, row[:3]), row[3]) for row in found] == [
        (3, 7, 10, "A"),
        (-3, 0, -3, "B"),
        (0, 0, 0, "C"),
        (0, 0, 0, "D"),
    ]


def test_a_warehouse_column_may_have_another_name(sources: dict[str, SourceSettings], tmp_path: Path) -> None:
    """A table of codes and names says what Stock2Shop calls each."""
    sql = rendered(tmp_path / "acme", QUANTITIES, sources["duckdb"], warehouses={"01": "Johannesburg"})
    with duckdb.connect(str(sources["duckdb"].database), read_only=True) as connection:
        assert connection.execute(sql).description[0][0] == "qty_Johannesburg"


EVERYTHING = {
    "trim": 'sql.trim(col("t.a"))',
    "concat": 'sql.concat([col("t.a"), "-", col("t.b")])',
    "first_word": 'sql.first_word(col("t.a"))',
    "other_words": 'sql.other_words(col("t.a"))',
    "first_email": 'sql.first_email(col("t.a"))',
    "coalesce": 'sql.coalesce(col("t.a"), "")',
    "choose": "sql.choose(condition, 1, none)",
    "cast_text": 'sql.cast_text(col("t.a"))',
    "cast_number": 'sql.cast_number(col("t.a"))',
    "cast_int": 'sql.cast_int(col("t.a"))',
    "try_number": 'sql.try_number(col("t.a"))',
    "try_int": 'sql.try_int(col("t.a"))',
    "number_text": 'sql.number_text(col("t.a"))',
    "list_agg": 'sql.list_agg(col("t.a"), col("t.b"))',
    "list_of": 'sql.list_of(col("u.a"), rows, col("u.b"))',
    "now": "sql.now()",
    "today": "sql.today()",
    "price_tiers": 'sql.price_tiers([("Trade", col("t.a"))], col("t.b"))',
    "tier": 'sql.tier(col("t.a"), col("t.b"))',
    "available": 'sql.available(col("t.a"), col("t.b"))',
    "warehouse_qty": 'sql.warehouse_qty(col("t.a"), col("t.b"), ["x", "y"])',
}

NONE_OF_IT = {
    "access": {"list_agg", "list_of"},
    "pervasive": {"list_agg", "list_of", "try_number", "try_int"},
}
"""What a database has no means for."""

DIALECTS = ["tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle", "access", "pervasive", "hana", "firebird"]

SQL = """\
{% set condition %}t.a = 1{% endset %}
{% set rows %}u where u.a = t.a{% endset %}
"""


def written(folder: Path, dialect: str, expression: str, **values: Any) -> str:
    """A SELECT of one macro's SQL."""
    source = SourceSettings(dialect=dialect, connection="DSN=none")
    return rendered(folder / "acme", f"{SQL}select {{{{ {expression} }}}} as x from t", source, **values)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_macro_parses_in_every_dialect(tmp_path: Path, dialect: str, name: str) -> None:
    """In the dialect's own parser where sqlglot has one, else as standard SQL; what a database lacks is an error."""
    if name in NONE_OF_IT.get(dialect, ()):
        with pytest.raises(RenderError, match=f"does not know the dialect {dialect}"):
            written(tmp_path, dialect, EVERYTHING[name])
        return
    reader = dialect if dialect in SQLGLOT_DIALECTS else {"access": "tsql"}.get(dialect)
    tree = sqlglot.parse_one(written(tmp_path, dialect, EVERYTHING[name]), dialect=reader, into=exp.Select)
    assert tree.named_selects == ["x"]


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("tsql", "select top 5 a from t order by a "),
        ("access", "select top 5 a from t order by a "),
        ("pervasive", "select top 5 a from t order by a "),
        ("oracle", "select  a from t order by a fetch first 5 rows only"),
        ("firebird", "select  a from t order by a rows 5"),
        ("hana", "select  a from t order by a limit 5"),
    ],
)
def test_the_number_of_rows_stands_where_the_dialect_wants_it(tmp_path: Path, dialect: str, expected: str) -> None:
    """Before the columns, or at the end."""
    source = SourceSettings(dialect=dialect, connection="DSN=none")
    template = "select {{ sql.top(5) }} a from t order by a {{ sql.limit(5) }}"
    assert rendered(tmp_path / "acme", template, source) == expected


@pytest.mark.parametrize("value", ["Trade", "1.5x", ""])
def test_a_number_of_rows_is_a_whole_number(tmp_path: Path, value: str) -> None:
    """What is none is an error, not 0."""
    with pytest.raises(RenderError, match="is not a whole number"):
        written(tmp_path, "duckdb", "sql.whole(vars.rows)", rows=value)


def test_sql_server_before_2017_joins_rows_through_xml(tmp_path: Path) -> None:
    """With TYPE and .value(), so that & and < are not turned into entities; the separator goes by its length."""
    template = f"{SQL}select {{{{ sql.list_of(col('u.a'), rows, col('u.b'), ' / ') }}}} as x from t"
    source = SourceSettings(dialect="tsql", connection="DSN=none")
    sql = rendered(tmp_path / "acme", template, source, sqlserver_version=2016)
    assert sql.endswith(
        "select stuff((select ' / ' + cast([u].[a] as nvarchar(max)) from u where u.a = t.a order by [u].[b]"
        " for xml path(''), type).value('.', 'nvarchar(max)'), 1, 3, '') as x from t"
    )


def test_sql_server_since_2017_has_string_agg(tmp_path: Path) -> None:
    """It is what is taken where the project says nothing."""
    assert "string_agg(cast([u].[a] as nvarchar(max)), ',') within group (order by [u].[b])" in written(
        tmp_path, "tsql", EVERYTHING["list_of"]
    )


def test_list_agg_says_what_to_use_before_2017(tmp_path: Path) -> None:
    """FOR XML PATH is no aggregate; a subquery is."""
    with pytest.raises(RenderError, match="Use list_of"):
        written(tmp_path, "tsql", EVERYTHING["list_agg"], sqlserver_version="2014")


def test_a_blank_tier_is_refused(tmp_path: Path) -> None:
    """Stock2Shop has no price list without a name."""
    with pytest.raises(RenderError, match="blank name"):
        written(tmp_path, "duckdb", 'sql.price_tiers([(" ", col("t.a"))])')
