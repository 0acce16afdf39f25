"""What is wrong with the SQL is shown where somebody wrote it: file, line and column of the template."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command import run_command
from support.mapping import write
from support.output import read_result

from engine.errors import ConfigError, Diagnostic, QueryError
from engine.mapping.render import render_view
from engine.mapping.views import render_checked_view
from engine.model.fields import ACTIVE_WORDS
from engine.model.settings import EntitySettings, Project, SourceSettings, Stock2ShopSettings
from engine.sync.extract import extract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.servers import MariaDb, Postgres

REST = """\
    item.code as source_product_code,
    item.code as source_variant_code,
    item.descr as title,
    item.web as product_active,
    item.code as "variants.sku"
"""


def project(
    workspace: Path, values: Mapping[str, object] | None = None, source: SourceSettings | None = None
) -> Project:
    """A project with one view."""
    root = workspace / "projects" / "acme"
    return Project(
        name="acme",
        root=root,
        workspace=workspace,
        description="",
        source=source or SourceSettings(dialect="postgres"),
        stock2shop=Stock2ShopSettings(source_id=57, username="u", password="p"),
        entities={
            "products": EntitySettings(name="products", view=root / "views" / "products.sql", active=ACTIVE_WORDS)
        },
        vars=values or {},
        state=workspace / "state.duckdb",
    )


def faults(workspace: Path, **values: object) -> list[Diagnostic]:
    """What `s2s check` says of the view."""
    with pytest.raises(ConfigError) as refused:
        render_checked_view(project(workspace, values), "products")
    return list(refused.value.diagnostics)


def view(workspace: Path, text: str) -> None:
    """Write the view, to the letter."""
    path = workspace / "projects" / "acme" / "views" / "products.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def shared(workspace: Path, name: str, text: str) -> None:
    """Write a template that projects share."""
    write(workspace / "templates" / "sql" / name, text)


def assert_at(workspace: Path, place: str, **values: object) -> Diagnostic:
    """The one fault is the unknown field, and stands at ``place`` in the workspace."""
    (fault,) = faults(workspace, **values)
    assert "'titel'" in fault.message
    assert fault.relative_location(workspace) == place
    return fault


@pytest.mark.parametrize(
    ("lead", "place"),
    [
        ("select\n    item.x as titel,\n", "2:15"),
        ("select item.a as vendor, item.x as titel,\n", "1:36"),
        ("{# a comment\nof two lines #}\nselect\n  item.x as titel,\n", "4:13"),
        ("select\r\n    item.a as vendor,\r\n    item.x as titel,\r\n", "3:15"),
        ("\ufeffselect\n    item.x as titel,\n", "2:15"),
        ("select\n\titem.x as titel,\n", "2:12"),
        ("select\n    'été 漢😀' as vendor, item.x as titel,\n", "2:35"),
        ("select\n    {{ vars.long }} as vendor, item.x as titel,\n", "2:42"),
        ("{% set n = 1 -%}\n\n\nselect\n    {{ n }} as vendor, item.x as titel,\n", "5:34"),
        ("select\n{% if vars.long %}\n    item.x as titel,\n{% endif %}\n", "3:15"),
        ("select\n{% raw %}  item.x as titel,{% endraw %}\n", "2:22"),
        ('select\n    item.x as {{ "titel" | ident }},\n', "2:15"),
        ("{% set column %}\nitem.x as titel,\n{% endset %}\nselect {{ column }}\n", "2:11"),
        ("select\n{% for each in ['a'] %}\n    {{ each }} as meta_a, item.x as titel,\n{% endfor %}\n", "3:37"),
    ],
)
def test_a_fault_in_the_view_names_line_and_column(tmp_path: Path, lead: str, place: str) -> None:
    """Whatever stands before it on the way to the SQL."""
    view(tmp_path, f"{lead}{REST}from item\n")
    assert_at(tmp_path, f"projects/acme/views/products.sql:{place}", long="x" * 70)


def test_a_fault_in_a_loop_is_named_once_for_each_round(tmp_path: Path) -> None:
    """They stand at one place; what the values were is in the message."""
    view(
        tmp_path,
        f"select\n{{% for w in vars.w %}}\n  1 as {{{{ ('x_' ~ w) | ident }}}},\n{{% endfor %}}\n{REST}from item",
    )
    found = faults(tmp_path, w=["a", "b"])
    assert [(fault.line, fault.column, "'x_" in fault.message) for fault in found] == [(3, 8, True), (3, 8, True)]


def test_a_fault_in_an_overridden_block_is_the_projects(tmp_path: Path) -> None:
    """And one in a block that is not overridden is the template's."""
    base = f"select\n{{% block a %}}\n    1 as vendor,\n{{% endblock %}}\n{REST}from item\n"
    shared(tmp_path, "base.sql", base)
    view(tmp_path, '{% extends "base.sql" %}\n{% block a %}\n    {{ super() }}    2 as titel,\n{% endblock %}\n')
    assert_at(tmp_path, "projects/acme/views/products.sql:3:27")
    shared(tmp_path, "base.sql", base.replace("vendor", "titel"))
    view(tmp_path, '{% extends "base.sql" %}\n')
    assert_at(tmp_path, "templates/sql/base.sql:3:10")


def test_a_fault_in_an_included_file_is_that_files(tmp_path: Path) -> None:
    """With its own line and column."""
    shared(tmp_path, "part.sql", "-- what all clients have\n1 as vendor, 2 as titel,\n")
    view(tmp_path, f'select\n{{% include "part.sql" %}}\n{REST}from item\n')
    assert_at(tmp_path, "templates/sql/part.sql:2:19")


def test_a_fault_in_a_macro_is_the_macros_and_says_who_called_it(tmp_path: Path) -> None:
    """The outermost call: that is the line which a project has."""
    shared(
        tmp_path,
        "shared.sql",
        "{% macro inner(name) -%}\n    {{ col(name) }} as titel,\n{%- endmacro %}\n"
        "{% macro outer(name) %}{{ inner(name) }}{% endmacro %}\n",
    )
    view(
        tmp_path,
        f'{{% import "shared.sql" as shared %}}\nselect\n    {{{{ shared.outer("item.x") }}}}\n{REST}from item\n',
    )
    fault = assert_at(tmp_path, "templates/sql/shared.sql:2:24")
    assert f"The macro is called at {tmp_path / 'projects/acme/views/products.sql'}:3:5." in fault.hint


def test_a_value_that_may_not_stand_there_names_its_column(tmp_path: Path) -> None:
    """Inside quotes, in a macro."""
    shared(tmp_path, "shared.sql", "{% macro m(x) %}\n  1 as vendor, '{{ x }}' as titel\n{% endmacro %}")
    view(tmp_path, '{% import "shared.sql" as shared %}\nselect {{ shared.m("a") }}\nfrom item')
    (fault,) = faults(tmp_path)
    assert fault.relative_location(tmp_path) == "templates/sql/shared.sql:2:17"
    assert "inside quotes" in fault.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("select\n  a, {{ vars.nope }}", "2:9"),
        ("select\n  {% iff x %}", "2:6"),
        ("select\n  {{ 1 | uper }}", "2:10"),
        ("select\n  a in ({{ vars.none }})", "2:9"),
        ("select\n  a in ({{ vars.none }}), b in ({{ vars.none }})", "2"),
        ("select\n  a; delete from item", "2:6"),
        ("select a,\n  * from item", "2:3"),
        ("select\n  a as variants.qty from item", "2:8"),
    ],
)
def test_every_kind_of_fault_names_its_column(tmp_path: Path, text: str, place: str) -> None:
    """Where it can be told; else the line alone, never a wrong one."""
    view(tmp_path, text)
    assert faults(tmp_path, none=[])[0].relative_location(tmp_path) == f"projects/acme/views/products.sql:{place}"


def test_the_command_line_gives_places_that_editors_open(tmp_path: Path) -> None:
    """As path:line:column, and as numbers in JSON."""
    write(
        tmp_path / "projects" / "acme" / "project.toml",
        '[source]\ndialect = "postgres"\nconnection = "DSN=x"\n'
        '[stock2shop]\nsource_id = 57\nusername = "u"\npassword = "p"\n',
    )
    view(tmp_path, f"select\n    item.x as titel,\n{REST}from item\n")

    def check(*words: str) -> str:
        ran = run_command("check", "acme", *words, folder=tmp_path, variables={})
        assert ran.returncode == 2
        return ran.stdout

    assert f"{tmp_path}/projects/acme/views/products.sql:2:15: error: Stock2Shop has no field 'titel'" in check()
    (project,) = read_result(check("--output", "json"))
    (found,) = [fault for fault in project["diagnostics"] if "titel" in fault["message"]]
    assert (found["line"], found["column"]) == (2, 15)


MACRO = "{% macro m() %}\n\n    item.nope + 1\n{% endmacro %}"
CALLS = '{% import "shared.sql" as shared %}\nselect\n    {{ shared.m() }} as vendor,\n' + REST + "from item\n"


def refused(workspace: Path, source: SourceSettings) -> QueryError:
    """What a run says when the database refuses the view."""
    import threading

    shared(workspace, "shared.sql", MACRO)
    view(workspace, CALLS)
    asked = project(workspace, source=source)
    query = render_view(asked, "products")
    with pytest.raises(QueryError) as error, extract(asked, query, entity="products", cancel=threading.Event()):
        pass
    return error.value


COLUMNS = "create table item (code varchar(9), descr varchar(9), web varchar(9))"


def test_what_the_database_refuses_is_shown_in_the_template(
    tmp_path: Path, postgres: Postgres, mariadb: MariaDb
) -> None:
    """A column that is not there, found by its name in the rendered SQL and followed into the macro."""
    database = postgres.fresh_database()
    postgres.execute(database, COLUMNS)
    error = refused(tmp_path, SourceSettings(dialect="postgres", connection=postgres.connection(database)))
    assert error.message.startswith(f"{tmp_path}/templates/sql/shared.sql:3:10: The view names a column")
    assert f"called at {tmp_path}/projects/acme/views/products.sql:3:5." in error.hint
    with closing(sqlite3.connect(tmp_path / "erp.sqlite")) as connection:
        connection.execute(COLUMNS)
    error = refused(tmp_path, SourceSettings(dialect="sqlite", database=tmp_path / "erp.sqlite"))
    assert error.message.startswith(f"{tmp_path}/templates/sql/shared.sql:3:10: The view names a column")
    database = mariadb.fresh_database()
    mariadb.execute(database, COLUMNS)
    quoted = SourceSettings(dialect="mysql", connection=mariadb.connection(database))
    error = refused(tmp_path, quoted)
    assert error.message.startswith(f"{tmp_path}/templates/sql/shared.sql:3:10: The view names a column")


WORD = st.sampled_from(["alpha", "beta", "é漢😀", "'it''s'", '"q x"', ",", "(", "\t", "  ", "\n", "\r\n", "\n\n  "])
TEXT = st.lists(WORD, max_size=6).map(" ".join)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Templates with something around others."""
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        inner.map(lambda text: f"{{% if true %}}{text}{{% endif %}}"),
        inner.map(lambda text: f"{{%- if true -%}}{text}{{%- endif -%}}"),
        inner.map(lambda text: f"{{% for x in [1, 2] %}}{text}{{{{ x }}}} {{% endfor %}}\n"),
        inner.map(lambda text: f"{{% set kept %}}{text}{{% endset %}}{{{{ kept }}}} "),
        inner.map(lambda text: f"{text}{{# a\n comment #}} {{{{ vars.long }}}} "),
        inner.map(
            lambda text: f"{{% macro m(a) %}}{text}{{{{ a }}}} {{% endmacro %}}{{{{ m(1) }}}} {{{{- m('é') }}}} "
        ),
        inner.map(lambda text: f" {{% raw %}}{{{{ {text} }}}}{{% endraw %}} "),
    )


@given(template=st.recursive(TEXT, wrapped, max_leaves=6))
def test_every_word_of_the_sql_is_found_where_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, template: str
) -> None:
    """Through blocks, loops, macros and stripped blanks, whatever they are nested in."""
    workspace = tmp_path_factory.mktemp("places")
    view(workspace, f"select {template} as end")
    try:
        query = render_view(project(workspace, {"long": "a long value"}), "products")
    except ConfigError:
        return
    assert query.source_map is not None
    at = query.source_map(query.sql)
    path = workspace / "projects" / "acme" / "views" / "products.sql"
    lines = path.read_bytes().decode().replace("\r\n", "\n").split("\n")
    for word in re.finditer("alpha|beta|é漢😀|select|as end", query.sql):
        place = at(word.start())
        assert place is not None
        assert lines[place.line - 1][place.column - 1 :].startswith(word[0])


def test_a_place_in_a_page_is_the_same_from_windows() -> None:
    """A review that was made there is read, and compared, elsewhere."""
    path: Any = PureWindowsPath  # no such Path can be made here
    fault = Diagnostic(message="", path=path(r"C:\clients\projects\acme\views\products.sql"), line=2, column=15)
    assert fault.relative_location(path(r"C:\clients")) == "projects/acme/views/products.sql:2:15"
