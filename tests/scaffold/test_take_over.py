"""`s2s init --from` takes the statement over that an agent runs today: its mapping stays, its paging goes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomli
from support.command import run_command

from engine.errors import UsageError
from engine.mapping.agent_sql import read_agent_sql
from engine.scaffold.take_over import take_over

if TYPE_CHECKING:
    import subprocess

STATEMENT = (Path(__file__).parent / "statements" / "agent.sql").read_text("utf-8")


def s2s(workspace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a scheduler would, without a terminal."""
    return run_command(*words, folder=workspace, variables={})


def test_a_statement_of_sql_server_becomes_a_view(tmp_path: Path) -> None:
    """Paging off, names as Stock2Shop has them, blank constants left out, and the unknown as a TODO with its line."""
    (tmp_path / "agent.sql").write_bytes(STATEMENT.encode("utf-16"))  # as Management Studio saves it
    made = s2s(tmp_path, "init", "acme", "--from", "agent.sql", "--dialect", "tsql", "--source-id", "57")
    assert made.returncode == 0, made.stderr
    root = tmp_path / "projects" / "acme"
    sql = (root / "views" / "products.sql").read_text("utf-8")
    assert [
        word for word in ("row_no", "ROW_NUMBER", "upper)s", "body_html", "option1", "as [tags]") if word in sql
    ] == []
    assert "    stk.Code as [variants.sku],\n" in sql
    assert "    t.fExclPrice as [price_trade]\n" in sql
    assert "\nfrom StkItem stk WITH (NOLOCK)\nJOIN PriceList pl ON" in sql
    assert "-- TODO line 27: `stk.cExtra as web_note` is left out" in sql
    assert "-- TODO line 34: `stk.dModified > %(since)s` is left out" in sql
    assert "stk.Price BETWEEN 0 AND 100\n" in sql
    table = tomli.loads((root / "project.toml").read_text("utf-8"))["products"]
    assert table["active"] == {"Delete": ["false"]}
    for said in ("Paging is gone", "'false' in product_active removes the row", "NOLOCK", "2 lines of agent.sql"):
        assert said in made.stdout
        assert said in (root / "README.md").read_text("utf-8")
    checked = s2s(tmp_path, "check", "acme")
    assert checked.returncode == 0, checked.stdout
    assert "acme: ready" in checked.stdout


SQLITE = """
select * from (
    select row_number() over (order by item.code) as n, item.code as source_product_code,
        item.code as source_variant_code, item.name as title, item.code as 'variants.sku', item.stock as qty,
        item.price as [variants.price], '' as option1,
        case item.web when 'active\\publish' then 'true' when 'delete\\unpublish' then 'false' end as product_active
    from item
) as page where page.n > %(lower)s and page.n <= %(upper)s
"""


def test_from_the_agents_statement_to_a_green_plan(tmp_path: Path) -> None:
    """As the page on replacing the agent has it; what the agent removed is removed here, too."""
    with closing(sqlite3.connect(tmp_path / "erp.db")) as database, database:
        database.execute("create table item (code text, name text, stock int, price numeric, web text)")
        rows = [("A1", "Hammer", 3, 10.5, "active\\publish"), ("A2", "Saw", 1, 4, "delete\\unpublish")]
        database.executemany("insert into item values (?, ?, ?, ?, ?)", [*rows, ("A3", "Axe", 1, 4, None)])
    (tmp_path / "agent.sql").write_text(SQLITE, "utf-8")
    words = ("--database", "erp.db", "--source-id", "57")
    assert s2s(tmp_path, "init", "acme", "--from", "agent.sql", *words).returncode == 0
    dotenv = tmp_path / "projects" / "acme" / ".env"
    dotenv.write_text("ACME_S2S_USER=me\nACME_S2S_PASSWORD=secret\n", "utf-8")
    checked = s2s(tmp_path, "check", "acme")
    assert (checked.returncode, checked.stdout) == (0, "acme: ready\n")
    planned = s2s(tmp_path, "plan", "acme", "--offline")
    assert planned.returncode == 0, planned.stderr
    assert "+ A1" in planned.stdout
    assert "A3" not in planned.stdout


def test_a_statement_of_customers_is_added_to_the_project(tmp_path: Path) -> None:
    """An agent has one statement for each; the second leaves what the first wrote alone."""
    (tmp_path / "agent.sql").write_text(STATEMENT, "utf-8")
    (tmp_path / "people.sql").write_text(
        "select acc as customer_code, mail as email, nm as first_name, '' as last_name,"
        " iif(hold = 1, 'false', 'true') as active from Client",
        "utf-8",
    )
    assert s2s(tmp_path, "init", "acme", "--from", "agent.sql").returncode == 0
    assert s2s(tmp_path, "init", "acme", "--from", "people.sql").returncode == 0
    root = tmp_path / "projects" / "acme"
    assert "    acc as [source_customer_code],\n" in (root / "views" / "customers.sql").read_text("utf-8")
    tables = tomli.loads((root / "project.toml").read_text("utf-8"))
    assert tables["customers"] == {"active": {"Delete": ["false"]}}
    again = s2s(tmp_path, "init", "acme", "--from", "people.sql")
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_customers_alone_make_a_project_of_customers_alone(tmp_path: Path) -> None:
    """No example view of products is left behind that would stop every check."""
    (tmp_path / "people.sql").write_text(
        "select acc as source_customer_code, mail as email, 'true' as customer_active from Client", "utf-8"
    )
    assert s2s(tmp_path, "init", "acme", "--from", "people.sql", "--source-id", "57").returncode == 0
    assert s2s(tmp_path, "check", "acme").returncode == 0
    assert [path.name for path in (tmp_path / "projects" / "acme" / "views").iterdir()] == ["customers.sql"]


@pytest.mark.parametrize(
    "sql",
    [
        """
        with paged as (select row_number() over (order by code) as n, code as source_variant_code, t.name title
            from item t)
        select * from paged where n between {lower} and {upper}
        """,
        """
        select code as source_variant_code, t.name as title from item t
        order by code offset @lower rows fetch next 1000 rows only
        """,
        """
        select top 1000 * from (
            select source_variant_code = code, [title] = t.name, row_number() over (order by code) as 'n' from item t
        ) x where x.n > ? order by x.n
        """,
        """
        select p.source_variant_code, p.title from (
            select row_number() over (order by code) n, q.* from (
                select top 100 percent code as source_variant_code, t.name as title from item t order by code
            ) q
        ) p where p.n > :lower and p.n <= :upper;
        GO
        """,
    ],
)
def test_every_way_to_page_is_taken_off(sql: str) -> None:
    """A CTE, OFFSET, TOP, and derived tables in each other: what is left is the SELECT that maps."""
    found = read_agent_sql(sql, dialect="tsql")
    assert [(each.name, each.expression) for each in found.columns] == [
        ("source_variant_code", "code"),
        ("title", "t.name"),
    ]
    assert (found.head, found.lead, found.tail) == ("", "", "from item t")


def test_a_filter_outside_of_the_paging_stays() -> None:
    """It is about the names that the SELECT inside gives, so that one becomes a derived table."""
    sql = (
        "select x.code as source_variant_code, x.label as title from (select row_number() over (order by i.c) as n,"
        " i.c as code, i.d as label, '' as tags from item i where i.e = 1) x where n > %s and n <= %s and x.label <> ''"
    )
    taken = take_over(sql, file="agent.sql", dialect="tsql")
    assert "    x.[code] as [source_variant_code],\n    x.[label] as [title]\n" in taken.sql
    assert taken.sql.endswith("    from item i\n    where i.e = 1\n) x\nwhere x.label <> ''\n")


@pytest.mark.parametrize(
    ("flag", "delete", "todo"),
    [
        ("case when web = 1 then 'true' else 'false' end", ("false",), ""),
        ("iif(web = 1, 1, 0)", ("0",), ""),
        ("'true'", (), ""),
        ("web", ("false",), "which words does the column hold?"),
        ("case web when 1 then 'Live' else 'active' end", (), "what do these words mean: 'Live'?"),
    ],
)
def test_words_of_the_flag_mean_what_they_meant_there(flag: str, delete: tuple[str, ...], todo: str) -> None:
    """What removed a product there is Delete here; a word that nobody knows is a question."""
    taken = take_over(
        f"select c as source_variant_code, {flag} as product_active from item", file="agent.sql", dialect="tsql"
    )
    assert taken.delete_words == delete
    assert todo in taken.sql
    assert ("TODO line 1" in taken.sql) == bool(todo)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select code as source_variant_code from", "cannot be read as tsql"),
        ("exec products @lower = 1", "holds no SELECT"),
        ("select 1 as source_variant_code from a; select 2 as b from c", "several statements"),
        ("select code as number from item", "No column of agent.sql is called source_variant_code"),
    ],
)
def test_what_cannot_be_taken_over_is_said(sql: str, message: str) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match=message):
        take_over(sql, file="agent.sql", dialect="tsql")


def test_braces_in_the_statement_are_no_template() -> None:
    """A text with two braces in it stays a text."""
    taken = take_over("select '{{ x' + c as source_variant_code from item", file="a.sql", dialect="tsql")
    assert "'{% raw %}{{% endraw %}{ x' + c as" in taken.sql
