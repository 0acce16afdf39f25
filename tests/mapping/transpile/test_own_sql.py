"""Where macros write DuckDB's own SQL, what is written by hand is not taken for DuckDB's."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.mapping import offline, write, write_project

from engine.errors import ViewError
from engine.mapping.render import render_view
from engine.mapping.transpile.own_sql import check_own_sql
from engine.model.query import Query

MACROS = """\
{% macro year(x) %}
{% if dialect == "duckdb" %}strftime({{ x }}, '%Y'){% else %}year_of({{ x }}){% endif %}
{% endmacro %}
{% macro rounded(x) %}
{% if dialect == "duckdb" %}round({{ x }} + 0, 2){% else %}rounded({{ x }}){% endif %}
{% endmacro %}
{% macro same(x) %}round({{ x }}, 2){% endmacro %}
"""


def check(folder: Path, dialect: str, sql: str) -> str:
    """Check a view in DuckDB's own SQL; what fails of it in ``dialect`` is ``year_of``."""
    view = (
        f"{{% import 'own.sql' as own %}}select i.code as title, {{{{ own.year(col('i.made')) }}}} as meta_year, {sql}"
    )
    write(write_project(folder, dialect=dialect, view=view) / "own.sql", MACROS)
    project = offline(folder)
    own, query = render_view(project, "products", dialect="duckdb"), render_view(project, "products")
    return check_own_sql(own, query, dialect=dialect).sql


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("tsql", "i.qty + 1 as meta_more from item i where i.qty > 0 and i.name is null"),
        ("tsql", "{{ own.rounded(col('i.price')) }} as meta_price from item i"),
        (
            "tsql",
            "{% if dialect == 'duckdb' %}round(i.qty, 2){% else %}d(i.qty){% endif %} as meta_qty from item i",
        ),
        (
            "postgres",
            "i.name as meta_name from item i join stock s on s.code = i.code where i.name = 'x'",
        ),
        ("mysql", "coalesce(i.qty, 0) as meta_qty, count(*) as meta_rows from item i group by i.code, i.made, i.qty"),
        ("sqlite", "max(i.name) as meta_name from item i where i.name < 'b' group by i.code, i.made"),
    ],
)
def test_what_macros_write_and_what_means_the_same_is_left_alone(tmp_path: Path, dialect: str, sql: str) -> None:
    """A macro of its own file, what only DuckDB gets, and plain SQL."""
    check(tmp_path, dialect, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "max(i.name) as meta_name from item i",
        "1 as meta_one from item i where i.name < 'b'",
        "row_number() over (order by i.name) as meta_row from item i",
        "1 as meta_one from item i order by i.name limit 3",
    ],
)
def test_the_order_of_texts_is_guarded_there_too(tmp_path: Path, sql: str) -> None:
    """DuckDB's own SQL raises where collations disagree, as the translated SQL does."""
    assert "databases differ in the order of texts" in check(tmp_path, "postgres", sql)


@pytest.mark.parametrize(
    ("dialect", "sql", "name"),
    [
        ("tsql", "1 as meta_one from item i where i.mark = 'x'", "="),
        ("tsql", "1 as meta_one from item i where {{ own.year('a') }} = {{ own.year('b') }}", "="),
        ("tsql", "1 as meta_one from item i where i.mark in ('x')", "IN"),
        ("tsql", "nullif(i.mark, 'x') as meta_mark from item i", "NULLIF"),
        ("tsql", "case i.mark when 'x' then 1 end as meta_mark from item i", "CASE"),
        ("tsql", "count(*) as meta_rows from item i group by i.code", "GROUP BY"),
        ("tsql", "round(i.weight / 3.0, 2) as meta_weight from item i", "ROUND"),
        ("tsql", "{{ own.same(col('i.weight')) }} as meta_weight from item i", "ROUND"),
        ("tsql", "isnull(i.price, 0.00) as meta_price from item i", "isnull"),
        ("postgres", "round(i.weight, 2) as meta_weight from item i", "ROUND"),
        ("postgres", "cast(i.weight as decimal(9, 2)) as meta_weight from item i", "CAST"),
        ("mysql", "concat(i.code, i.name) as meta_name from item i", "CONCAT"),
        ("mysql", "1 as meta_one from item i where i.mark = 1", "="),
        ("oracle", "'' as meta_blank from item i", "literal"),
        ("oracle", "greatest(i.qty, 1) as meta_qty from item i", "GREATEST"),
    ],
)
def test_what_would_have_been_rewritten_is_refused(tmp_path: Path, dialect: str, sql: str, name: str) -> None:
    """By its SQL name, and at its place in the view."""
    with pytest.raises(ViewError) as refused:
        check(tmp_path, dialect, sql)
    assert any(f"has {name}" in each.message or name in each.message for each in refused.value.diagnostics)


@pytest.mark.parametrize(
    ("dialect", "query", "own", "said"),
    [
        ("tsql", "qty / 2, try_convert(int, code)", "qty / 2, try_cast(code as int)", "division"),
        ("tsql", "a(b) / a(c), quotename(code)", "d(b) / d(c), code", "division"),
        ("tsql", "cast(price as int), quotename(code)", "cast(price as int), code", "cast"),
        ("tsql", "cast(name as varchar(3)), quotename(code)", "cast(name as varchar(3)), code", "cast"),
        ("tsql", "len(name), quotename(code)", "len(name), code", "length"),
        ("mysql", "concat(code, name), format(price, 2)", "concat(code, name), price", "concat"),
        ("mysql", "code || name, format(price, 2)", "code || name, price", "||"),
        ("oracle", "code || name, to_char(price, '9')", "code || name, price", "||"),
        ("postgres", "substr(code, 0), to_char(price, '9')", "substr(code, 0), price", "substring"),
    ],
)
def test_what_is_written_by_hand_is_not_taken_for_duckdbs(dialect: str, query: str, own: str, said: str) -> None:
    """Where the view is rehearsed in DuckDB's own SQL, only macros have that."""
    path = Path("views/products.sql")
    with pytest.raises(ViewError) as refused:
        check_own_sql(
            Query(sql=f"select {own} from item", path=path),
            Query(sql=f"select {query} from item", path=path),
            dialect=dialect,
        )
    assert any(said.lower() in fault.message.lower() for fault in refused.value.diagnostics)


@pytest.mark.parametrize(
    ("dialect", "kind", "part", "said"),
    [
        ("mysql", "text/ci-ai-pad-known", "name = 'a'", "="),
        ("sqlite", "text/ascii", "name in ('a', 'b')", "IN"),
        ("postgres", "text/padded", "name like 'a%'", "LIKE of a CHAR"),
        ("postgres", "integer", "name / 2", "/"),
        ("mysql", "date", "dayname(name)", "dayname"),
    ],
)
def test_what_the_columns_types_would_have_rewritten_is_refused(dialect: str, kind: str, part: str, said: str) -> None:
    """A collation that ignores case, a CHAR's blanks, a division of integers: DuckDB's own SQL knows none of it."""
    path = Path("views/products.sql")
    columns = {"item": {"name": kind}}
    with pytest.raises(ViewError) as refused:
        check_own_sql(
            Query(sql=f"select {part} as x, code as y from item", path=path),
            Query(sql=f"select {part} as x, unknown(code) as y from item", path=path),
            dialect=dialect,
            columns=columns,
        )
    assert any(said.lower() in fault.message.lower() for fault in refused.value.diagnostics)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("i.`name` = 'x'", "="),
        ("json_valid(i.`name`)", "json_valid"),
        ("i.qty / i.`cost`", "division"),
        ('coalesce(i.`a``b`, "code")', "double quotes"),
        ("[x for x in y, lambda from]", "cannot be parsed"),
    ],
)
def test_names_in_backticks_hide_nothing(part: str, said: str) -> None:
    """DuckDB reads them as MySQL does; what cannot be parsed cannot be known to mean the same."""
    path = Path("views/products.sql")
    with pytest.raises(ViewError) as refused:
        check_own_sql(
            Query(sql=f"select {part} as `variants.qty` from item as i", path=path),
            Query(sql=f"select {part} as `variants.qty` from item as i", path=path),
            dialect="mysql",
            columns={"item": {"name": "text/ci-ai-pad"}},
        )
    assert any(said in fault.message for fault in refused.value.diagnostics)
