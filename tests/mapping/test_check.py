"""A view only reads, and its columns are Stock2Shop's: found without a database, on the view's own line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.mapping import itself

from engine.config.loader import load
from engine.config.values import DIALECTS
from engine.errors import ViewError
from engine.mapping.check import check_columns, check_view, resolve_column, resolve_columns
from engine.mapping.views import render_checked_view
from engine.model.fields import PRODUCTS
from engine.model.query import Query
from engine.quoting import blanked, ident

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.errors import Diagnostic

    Checked = tuple[tuple[str, ...] | None, tuple[Diagnostic, ...]]
    Check = Callable[..., Checked]

REQUIRED = ("source_product_code", "source_variant_code", "title", "product_active", "variants.sku")


def select(*more: str, dialect: str = "postgres", after: str = "") -> str:
    """A view with the required columns, one a line from the second, then ``more``."""
    lines = [f"x as {ident(name, dialect)}" for name in REQUIRED]
    return "select\n" + ",\n".join([*lines, *more]) + "\nfrom item" + after


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check SQL as if it were the whole template."""

    def go(sql: str, *, dialect: str = "postgres", linked: bool = False) -> Checked:
        return check_view(itself(sql, tmp_path / "products.sql"), dialect=dialect, entity=PRODUCTS, linked=linked)

    return go


@pytest.mark.parametrize("dialect", sorted(set(DIALECTS.values())))
def test_a_sound_view_is_sound_in_every_dialect(check: Check, dialect: str) -> None:
    """With aliases quoted as the dialect quotes them."""
    columns, faults = check(select(dialect=dialect), dialect=dialect)
    assert (columns, faults) == (REQUIRED, ())


@pytest.mark.parametrize(
    ("dialect", "view"),
    [
        ("tsql", ";with a as (select 1 as x) " + select(dialect="tsql")),
        ("tsql", select("price = b", dialect="tsql").replace("price", "vendor")),
        ("tsql", select("b as 'vendor'", dialect="tsql", after=" with (forceseek) option (recompile, merge join)")),
        (
            "tsql",
            select("replace(b, 'delete', '') as vendor", "[set] as tags", "t.[use] as collection", dialect="tsql"),
        ),
        ("tsql", select(dialect="tsql", after=" -- then delete it\nwhere a = 'drop table x; --'")),
        ("mysql", select('b as "vendor"', "insert(b, 1, 2, 'x') as tags", dialect="mysql", after=" # update\n")),
        ("postgres", "(" + select() + ")\nunion all\n(" + select() + ")"),
        ("postgres", select(after=";\n-- the end\n;")),
        ("sqlite", select(dialect="sqlite", after=" where note = 'it''s; delete'")),
        ("oracle", select(after=" where rownum < 5 and a = b (+)")),
    ],
)
def test_what_looks_like_a_statement_inside_a_select_is_none(check: Check, dialect: str, view: str) -> None:
    """Texts, comments, quoted names, functions and hints are no statements."""
    assert check(view, dialect=dialect)[1] == ()


@pytest.mark.parametrize(
    ("dialect", "view"),
    [
        *((dialect, "delete from item") for dialect in ("tsql", "mysql", "postgres", "sqlite", "duckdb", "oracle")),
        ("postgres", "update item set a = 1"),
        ("postgres", "insert into item select * from b"),
        ("postgres", "with gone as (delete from item returning *) " + select()),
        ("postgres", "with new as (insert into item values (1) returning *) " + select()),
        ("postgres", select(after=" for update")),
        ("postgres", select("nextval('s') as vendor")),
        ("postgres", "explain analyze delete from item"),
        ("postgres", "copy item to '/tmp/x'"),
        ("postgres", "values (1)"),
        ("tsql", "select a into b from c"),
        ("tsql", "exec sp_who"),
        ("tsql", select("next value for s as vendor", dialect="tsql")),
        ("tsql", select(dialect="tsql", after=" delete from item")),
        ("tsql", select(dialect="tsql", after=" shutdown")),
        ("tsql", select(dialect="tsql", after=" commit")),
        ("tsql", select(dialect="tsql", after=" where 1 = 1 exec xp_cmdshell 'dir'")),
        ("mysql", select(dialect="mysql", after=" into outfile '/tmp/x'")),
        ("mysql", select(dialect="mysql", after=" into @a, @b")),
        ("mysql", select(dialect="mysql", after=" /*! into outfile '/tmp/x' */")),
        ("mysql", "call refresh()"),
        ("sqlite", "pragma writable_schema = 1"),
        ("sqlite", "attach database 'x' as y"),
        ("duckdb", "create table a as select 1"),
        ("pervasive", "select first 5 x as title into t from item"),
        ("hana", "select top 5 x from item with hint (a); delete from item"),
        ("firebird", "execute block as begin delete from item; end"),
    ],
)
def test_a_view_that_does_more_than_read_is_refused(check: Check, dialect: str, view: str) -> None:
    """Property 5, also in a CTE, after a SELECT without a semicolon, and where the SQL does not parse."""
    columns, faults = check(view, dialect=dialect)
    assert columns is None
    assert [fault.severity for fault in faults] == ["error"]


@pytest.mark.parametrize("view", ["select 1 as title;\nselect 2 as title", ";\nselect 1 as title; select 2 as title"])
def test_a_view_is_one_statement(check: Check, view: str) -> None:
    """The second one is pointed at."""
    (fault,) = check(view, dialect="postgres")[1]
    assert ("more than one statement" in fault.message, fault.line) == (True, 2)


@pytest.mark.parametrize(
    ("more", "column", "hint"),
    [
        ("\u201ca\u201d as vendor", 0, 'There is a \u201c (U+201C, left double quotation mark): write " instead.'),
        ("\u2018a\u2019 as vendor", 0, "write ' instead."),
        ("a\u00a0as vendor", 1, "There is a special space (U+00A0, no-break space): write a plain one."),
        ("a as\u200b vendor", 4, "There is an invisible character (U+200B, zero width space): delete it."),
        ("a \u2013 b as vendor", 2, "write - instead."),
    ],
)
@pytest.mark.parametrize("dialect", ["tsql", "postgres"])
def test_a_character_that_only_looks_right_is_named(
    check: Check, dialect: str, more: str, column: int, hint: str
) -> None:
    """A view that went through a word processor or a chat; the database speaks of a missing column."""
    view = select(more, dialect=dialect)
    columns, (fault,) = check(view, dialect=dialect)
    before = view[: view.index(more) + column]
    assert (columns, fault.line) == (None, before.count("\n") + 1)
    assert fault.column == len(before) - before.rfind("\n")
    assert fault.hint.endswith(hint)


@pytest.mark.parametrize("text", ["'it\u2019s \u201cso\u201d\u00a0\u200b'", "N'\u2013'"])
def test_any_character_may_stand_in_a_text_a_name_or_a_comment(check: Check, text: str) -> None:
    """It is data there."""
    view = select(
        f"{text} as vendor", '"\u201cName\u201d" as tags', dialect="tsql", after=" -- \u201cx\u201d\n/* \u00a0 */"
    )
    assert check(view, dialect="tsql")[1] == ()


def test_duckdb_reads_any_space(check: Check) -> None:
    """So a view that runs there is not refused."""
    assert check(select("a\u00a0+ 1 as vendor", dialect="duckdb"), dialect="duckdb")[0] != ()


@pytest.mark.parametrize("view", ["", "  \n", "-- nothing yet\n;"])
def test_an_empty_view_is_an_error(check: Check, view: str) -> None:
    """It says what to write."""
    (fault,) = check(view)[1]
    assert (fault.message, fault.severity) == ("The view is empty.", "error")


@pytest.mark.parametrize(
    "view",
    ["select\n*\nfrom item", "select 1 as title,\nt.*\nfrom t", select() + "\nunion all select * from b", "from b"],
)
def test_a_star_at_the_top_is_refused(check: Check, view: str) -> None:
    """In any arm of a UNION."""
    (fault,) = check(view, dialect="duckdb")[1]
    assert fault.message == "The view selects `*`."


def test_a_star_further_in_is_allowed(check: Check) -> None:
    """A count, or a subquery whose columns are named at the top."""
    assert check(select("count(*) as tags", after=", (select * from b) as c"))[1] == ()


def test_each_column_fault_stands_on_its_line(check: Check) -> None:
    """Unknown, repeated and missing fields at once, whatever else has the same name."""
    view = "select\ntitel.vendor as title,\na as titel,\nb as tags, c as tags,\nd as qty\nfrom titel"
    _, faults = check(view, linked=True)
    assert [(fault.line, fault.message) for fault in faults] == [
        (3, "Stock2Shop has no field 'titel' for products."),
        (4, "The field 'tags' appears twice."),
        (5, "Stock2Shop has no field 'qty' for products."),
        (None, "The required field 'source_product_code' is not among the view's columns."),
        (None, "The required field 'source_variant_code' is not among the view's columns."),
    ]
    assert "Did you mean title?" in faults[0].hint


def test_a_linked_view_needs_only_its_codes(check: Check) -> None:
    """It enriches what another source owns; what Stock2Shop may refuse it for is a warning."""
    view = "select a as source_product_code, b as source_variant_code, c as vendor from item"
    warnings = check(view, linked=True)[1]
    assert [(fault.severity, fault.message.split("'")[2]) for fault in warnings] == [
        ("warning", "title"),
        ("warning", "variants.sku"),
    ]
    assert [fault.message.split("'")[1] for fault in check(view)[1]] == ["title", "product_active", "variants.sku"]


def test_two_names_of_one_field_are_one_field(check: Check) -> None:
    """An alias of the contract is the field itself."""
    (fault,) = check(select('a as "variants.option1"', 'b as "variants.option1_value"'))[1]
    assert "'variants.option1' is the same field" in fault.message


def test_a_column_without_a_name_is_pointed_at(check: Check) -> None:
    """By its number."""
    (fault,) = check(select("1 + 1"))[1]
    assert (fault.message, fault.line) == ("Column 6 of the view has no name.", 7)


@pytest.mark.parametrize(
    ("dialect", "quoted"),
    [
        ("postgres", '"variants.qty"'),
        ("tsql", "[variants.qty]"),
        ("mysql", "`variants.qty`"),
        ("hana", '"variants.qty"'),
    ],
)
def test_an_alias_with_a_dot_must_be_quoted(check: Check, dialect: str, quoted: str) -> None:
    """The hint shows how the dialect does it."""
    (fault,) = check(select("a as variants.qty", dialect=dialect), dialect=dialect)[1]
    assert (fault.severity, fault.line, fault.hint) == ("error", 7, f"Write: as {quoted}")


@pytest.mark.parametrize(
    ("dialect", "alias", "hint"),
    [
        ("postgres", "price_Trade", 'Write: as "price_Trade"'),
        ("oracle", "price_Trade", 'Write: as "price_Trade"'),
        ("oracle", "qty_jhb", 'Write: as "qty_jhb"'),
        ("hana", "meta_Brand", 'Write: as "meta_Brand"'),
    ],
)
def test_a_name_whose_case_the_database_would_fold_is_refused(
    check: Check, dialect: str, alias: str, hint: str
) -> None:
    """The price tier Trade is not the tier trade."""
    (fault,) = check(select(f"a as {alias}", dialect=dialect), dialect=dialect)[1]
    assert (fault.line, fault.hint) == (7, hint)


@pytest.mark.parametrize(
    ("dialect", "alias"),
    [("postgres", '"price_Trade"'), ("postgres", "price_trade"), ("oracle", "price_TRADE"), ("tsql", "price_Trade")],
)
def test_a_name_that_arrives_as_it_is_written_is_fine(check: Check, dialect: str, alias: str) -> None:
    """Quoted, or in the case that the database makes of it."""
    assert check(select(f"a as {alias}", dialect=dialect), dialect=dialect)[1] == ()


@pytest.mark.parametrize(
    ("dialect", "view"),
    [
        ("hana", select(after=" with hint (no_inline)")),
        ("firebird", "select first 10 a as title from item"),
        ("access", select(dialect="access", after=" where d > #2024-01-01#")),
        ("postgres", "select " + "(" * 3000 + "1" + ")" * 3000 + " as title"),
    ],
)
def test_what_does_not_parse_is_only_a_warning(check: Check, dialect: str, view: str) -> None:
    """ERPs have odd dialects; the database decides."""
    columns, faults = check(view, dialect=dialect)
    assert (columns, [fault.severity for fault in faults]) == (None, ["warning"])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("title", "title"),
        ("TITLE", "title"),
        ("VARIANTS.QTY", "variants.qty"),
        ("Variants.Weight", "variants.grams"),
        ("price_Trade", "price_Trade"),
        ("PRICE_Trade", "price_Trade"),
        ("VARIANTS.Trade_PRICE", "price_Trade"),
        ("IMAGE2", "image2"),
    ],
)
def test_a_columns_case_does_not_matter_but_a_dynamic_part_keeps_its_own(column: str, expected: str) -> None:
    """Databases fold the names that have no quotes."""
    field = resolve_column(column, PRODUCTS)
    assert field is not None
    assert field.name == expected


@pytest.mark.parametrize("column", ["", "price_", "image0", "imageX", "variants.nope", "titles"])
def test_a_name_that_is_no_field_resolves_to_none(column: str) -> None:
    """It is never guessed."""
    assert resolve_column(column, PRODUCTS) is None


def test_names_that_the_driver_described_obey_the_same_rules() -> None:
    """Folded to capitals, as Oracle gives them."""
    query = Query(sql="select * from item", path=Path("v.sql"))
    columns = ("SOURCE_PRODUCT_CODE", "SOURCE_VARIANT_CODE", "TITLE", "PRODUCT_ACTIVE", "variants.sku")
    assert check_columns(query, columns, entity=PRODUCTS, linked=False) == ()
    assert resolve_columns(columns, entity=PRODUCTS) == REQUIRED
    (fault,) = check_columns(query, (*columns, "title"), entity=PRODUCTS, linked=False)
    assert fault.message == "The field 'title' appears twice ('TITLE' is the same field)."


def test_a_column_that_means_no_field_has_no_name() -> None:
    """It must have been refused before."""
    with pytest.raises(KeyError):
        resolve_columns(("nope",), entity=PRODUCTS)


@pytest.mark.parametrize(
    ("dialect", "sql", "expected"),
    [
        ("tsql", "a [b'c] 'd' -- e", "a" + " " * 15),
        ("duckdb", "a [b] /* /* */ */ c", "a [b]             c"),
        ("oracle", "a q'[it's]' c", "a           c"),
        ("postgres", "a $x$ it's $x$ $1", "a              $1"),
        ("mysql", r"a 'it\'s' b", "a         b"),
        ("sqlite", "a 'it''s", "a       "),
    ],
)
def test_texts_names_and_comments_are_blanked_in_place(dialect: str, sql: str, expected: str) -> None:
    """Every other character keeps its position; what is never closed reaches to the end."""
    assert blanked(sql, dialect) == expected


def test_importing_the_module_does_not_import_the_parser() -> None:
    """A run whose view was checked before never pays for it."""
    code = (
        "import sys, engine.mapping.check, engine.config.loader, engine.mapping.render;"
        "print(sorted({'sqlglot', 'jinja2', 'pydantic', 'tomli'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("more", "place", "said"),
    [
        ("'it's' as vendor", (7, 6), "A text begins here with ' and does not end."),
        ('"b as vendor', (7, 1), 'A quoted name begins here with " and does not end.'),
        ("b as vendor, /* c", (7, 14), "A comment begins here with /* and does not end."),
        ('as "vendor"', (6, 20), "A column is missing: there is a comma, and then AS."),
        ("case when b = then 1 end as vendor", (7, 13), "Something is missing after =."),
        ("case when b = 1 and then 1 end as vendor", (7, 17), "Something is missing after AND."),
        ("case when b = 1 then 2 as vendor", (7, 1), "CASE has no END."),
        ("case when b = 1 end as vendor", (7, 1), "A WHEN of the CASE has no THEN."),
        ("b between 1 as vendor", (7, 3), "BETWEEN has no AND."),
        ("b as vendor b.c", (7, 13), "Something is missing before b.c."),
        ("b.c d.e as vendor", (7, 5), "Something is missing before d.e."),
        ("(b and ) as vendor", (7, 4), "Something is missing after AND."),
        ("(select c from d left join e where 1 = 1) as vendor", (7, 23), "The join has no condition."),
        ("(select c from d order e) as vendor", (7, 18), "BY is missing after ORDER."),
        ("b as vendor,", (7, 12), "A column is missing: there is a comma, and then FROM."),
        ("b as vendor,, c as tags", (7, 12), "A column is missing: there is a comma, and then ,."),
        ("coalesce(b, '' as vendor", (7, 9), "A bracket ( is not closed."),
        ("b) as vendor", (7, 2), "A bracket ) closes nothing."),
    ],
)
def test_what_no_database_accepts_is_an_error_at_its_place(
    check: Check, more: str, place: tuple[int, int], said: str
) -> None:
    """Whatever the dialect: nobody need wait for the database to say so."""
    for dialect in ("postgres", "firebird"):
        columns, (problem, *_) = check(select(more), dialect=dialect)
        assert problem.message.startswith(said)
        assert (columns, problem.severity, problem.hint != "") == (None, "error", True)
        assert (problem.line, problem.column) == place


@pytest.mark.parametrize("text", ["'\u2018a\u2019, as b) ('", "'a' /* , as \u00a0( */", "'{x}' -- as, ,"])
def test_what_stands_in_texts_and_comments_is_not_looked_at(check: Check, text: str) -> None:
    """They are the client's own words."""
    assert check(select(f"{text}\n as vendor"))[1] == ()


@pytest.mark.parametrize(
    ("view", "line", "word", "hint"),
    [
        ("set nocount on\n" + select(dialect="tsql"), 1, "SET", "session"),
        ("use evo\n" + select(dialect="tsql"), 1, "USE", "database.schema.table"),
        ("declare @x int;\n" + select(dialect="tsql"), 1, "DECLARE", "vars.name"),
        (select(dialect="tsql") + "\nGO\n", 8, "GO", "tools"),
        ("exec sp_who", 1, "EXEC", "procedure"),
    ],
)
def test_a_script_is_named_by_its_word(check: Check, view: str, line: int, word: str, hint: str) -> None:
    """With what to write instead in a view."""
    _, (problem, *_) = check(view, dialect="tsql")
    assert (problem.line, problem.severity) == (line, "error")
    assert problem.message == f"The view has {word}: it must be one SELECT, not a script."
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("dialect", "sql"),
    [
        ("postgres", "b c d as vendor from item where x = E'\\'; drop table item; --'"),
        ("postgres", "b c d as vendor from item -- ;"),
        ("postgres", "b c d as vendor from item where x = $$;$$"),
        ("mysql", "b c d as vendor from item where x = '\\'; select 1; -- '"),
        ("firebird", "b c d as vendor from item where x = [;]"),
        ("pervasive", "b c d as vendor from item /* ; */"),
    ],
)
def test_a_semicolon_in_a_view_that_does_not_parse_is_refused(check: Check, dialect: str, sql: str) -> None:
    """Unless it certainly stands in a text: only the database knows where its texts end."""
    columns, problems = check(f"select a as title, {sql}", dialect=dialect)
    assert (columns, [problem.severity for problem in problems]) == (None, ["error"])


@pytest.mark.parametrize("tail", [";", " where x = 'a;b'", " where x = 'it''s;'", ' where "a;b" = 1 ;\n;'])
def test_a_semicolon_that_certainly_ends_nothing_is_allowed(check: Check, tail: str) -> None:
    """At the end, and in plain quotes."""
    _, problems = check(f"select a as title, b c d as vendor from item{tail}", dialect="firebird")
    assert [problem.severity for problem in problems] == ["warning"]


def test_a_parser_that_reads_two_statements_as_one_does_not_decide(check: Check) -> None:
    """DuckDB and PostgreSQL take \u20ac$$ for a name, and so end the statement after it."""
    columns, problems = check(select("1 as \u20ac$$ ; delete from x; --$$"), dialect="postgres")
    assert (columns, [problem.severity for problem in problems]) == (None, ["error"])


@pytest.mark.parametrize(
    ("dialect", "before", "after", "said"),
    [
        ("postgres", "", "\nlimit 1000", "LIMIT"),
        ("tsql", "top (1000) ", "", "TOP"),
        ("oracle", "", "\nfetch first 10 rows only", "FETCH"),
        ("postgres", "", " where modified > now() - interval '1 day'", "time window"),
        ("tsql", "", " where modified >= dateadd(day, -7, getdate())", "time window"),
        ("mysql", "", " where date_sub(now(), interval 7 day) < modified", "time window"),
        ("sqlite", "", " where modified >= date('now', '-7 days')", "time window"),
        ("oracle", "", " where modified > sysdate - 1", "time window"),
    ],
)
def test_a_view_that_rows_leave_by_themselves_is_told(
    check: Check, dialect: str, before: str, after: str, said: str
) -> None:
    """They would be removed from Stock2Shop, though nothing happened to them."""
    view = select(dialect=dialect, after=after).replace("select\n", f"select {before}\n")
    columns, (problem,) = check(view, dialect=dialect)
    assert columns == REQUIRED
    assert (problem.severity, said in problem.message, "removed" in problem.message) == ("warning", True, True)
    assert problem.line is not None


@pytest.mark.parametrize(
    "after",
    [
        " where valid_to >= current_date",
        " left join price p on p.valid_from > now() - interval '1 year'",
        " where code = (select p.code from price p order by p.code limit 1)",
        " left join lateral (select p.code from price p order by p.code limit 1) as z on true",
    ],
)
def test_limits_and_times_that_decide_about_a_value_are_none_of_it(check: Check, after: str) -> None:
    """Only what decides which rows the view has is told."""
    assert check(select(after=after))[1] == ()


def test_a_text_that_looks_like_a_column_is_told(check: Check) -> None:
    """A macro that was given "item.name" in place of col("item.name") sends these words."""
    _, (problem,) = check(select("upper('item.name') as vendor", "'other.name' as tags"))
    assert (problem.severity, problem.line) == ("warning", 7)
    assert 'col("item.name")' in problem.hint


def test_a_parser_error_is_told_in_plain_words(check: Check) -> None:
    """Not in those of the parser's classes."""
    _, (problem,) = check(select("b c d as vendor"))
    assert problem.message == "The view does not parse as postgres: it is not understood at 'd'."


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
@pytest.mark.parametrize("column", ["b c d as vendor", "(b c) as vendor", "c as vendor as brand"])
def test_what_the_parser_of_a_file_refuses_is_an_error(tmp_path: Path, dialect: str, column: str) -> None:
    """It is the parser that a run would ask, so nobody has to wait for the run to know."""
    query = itself(select(column, dialect=dialect), tmp_path / "products.sql")
    _, (problem,) = check_view(query, dialect=dialect, entity=PRODUCTS, linked=False, is_file=True)
    assert (problem.severity, problem.line) == ("error", 7)
    assert "syntax error" in f"{problem.message} {problem.hint}"
    _, problems = check_view(query, dialect=dialect, entity=PRODUCTS, linked=False)
    assert {problem.severity for problem in problems} <= {"warning"}


def test_what_only_a_files_own_parser_reads_is_a_warning(tmp_path: Path) -> None:
    """The database decides, although the engine cannot read it."""
    sql = select("cast(b as unsigned big int) as vendor", dialect="sqlite")
    query = itself(sql, tmp_path / "products.sql")
    _, (problem,) = check_view(query, dialect="sqlite", entity=PRODUCTS, linked=False, is_file=True)
    assert problem.severity == "warning"


@pytest.mark.parametrize("name", ["qty_on_hand", "qty_on_sales_order"])
def test_a_part_of_the_quantity_is_no_warehouse(check: Check, name: str) -> None:
    """The agent's statement calls them so, and takes one from the other."""
    _, (problem,) = check(select(f"a as {name}"))
    assert (problem.severity, problem.line) == ("warning", 7)
    assert "sql.available" in problem.hint


@pytest.mark.parametrize(
    ("hint", "message"),
    [
        ("with (nolock)", "rows can be skipped or appear twice"),
        ("WITH (READUNCOMMITTED)", "rows can be skipped or appear twice"),
        ("with (tablockx, holdlock)", "the ERP waits"),
        ("with (index (1))", ""),
        ("-- with (nolock)", ""),
    ],
)
def test_a_hint_that_reads_dirty_or_locks_is_a_warning(check: Check, hint: str, message: str) -> None:
    """On SQL Server, where agents' statements are full of them."""
    columns, found = check(select(dialect="tsql", after=f" {hint}"), dialect="tsql")
    assert columns is not None
    assert [each.severity for each in found] == ["warning"] * bool(message)
    assert all(message in each.message for each in found)


MDBTOOLS = """
[source]
dialect = "access"
connection = "Driver={MDBTools};DBQ=stock.mdb"
[stock2shop]
source_id = 57
username = "me"
password = "secret"
"""


def test_what_mdbtools_cannot_run_is_said_by_check_at_its_place(tmp_path: Path) -> None:
    """Joins, aliases, expressions and sorting are errors, and a WHERE is a warning; what it can run is ready."""
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "project.toml").write_text(MDBTOOLS, "utf-8")
    view = root / "views" / "products.sql"
    view.write_text(
        "select item.code as source_variant_code, item.source_product_code, item.title,\n"
        "    iif(item.web, 'Yes', 'No') as product_active, item.variants__sku\n"
        "from item inner join price on price.code = item.code\n"
        "order by item.title\n",
        "utf-8",
    )
    project = load("acme", workspace=tmp_path, environ={})
    with pytest.raises(ViewError) as raised:
        render_checked_view(project, "products")
    found = {(each.line, each.message.partition(",")[0]) for each in raised.value.diagnostics}
    assert found == {
        (1, "The column code gets the alias source_variant_code"),
        (2, "The column product_active is an expression"),
        (3, "The view joins tables"),
        (4, "The view sorts"),
    }
    view.write_text(
        "select source_variant_code, source_product_code, title, product_active, variants__sku from web where n > 0",
        "utf-8",
    )
    (warning,) = render_checked_view(project, "products").warnings
    assert "ignores WHERE" in warning.message
