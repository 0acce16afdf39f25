"""The statements of orders/: what they see, how values are bound, and what is wrong with them."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.erp import ROOT, STATEMENTS, order_document, parsed

from engine.errors import ViewError
from engine.model.settings import OrderSettings, SourceSettings
from engine.orders import document
from engine.orders.settings import order_settings

if TYPE_CHECKING:
    from support.erp import Erp


def test_a_statement_that_gives_no_code_keeps_nothing(erp: Erp) -> None:
    """What was inserted before is undone."""
    erp.write(statements={"90_code.sql": "select 1 as something"})
    (entry,) = erp.receive(order_document())
    assert (entry.status, entry.rule, erp.orders(), erp.lines()) == ("waiting", "no_code", [], [])


HOSTILE = [
    "'; drop table erp_order; --",
    '" or 1=1 --',
    "{{ order.id }} {% raw %}",
    "${jndi:ldap://x}",
    "?, ?); delete from erp_line; --",
    "\u202eevil\u2066",
    "\\'; --",
    "x" * 1_000_000,
    "\ue0000\ue001",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_raised_as_plain_data(any_erp: Erp, text: str) -> None:
    """As they are, in every field that takes them."""
    any_erp.write(statements={"10_header.sql": STATEMENTS["10_header.sql"].replace("{{ order.notes }}", "'-'")})
    (entry,) = any_erp.receive(order_document(notes=text, channel_order_code=text[:90]))
    assert entry.status == "raised"
    assert any_erp.rows("select reference from erp_order") == [(text[:90],)]


texts = st.text(max_size=40)


values = st.one_of(st.none(), texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        dict.fromkeys(("notes", "channel_id", "channel_order_code", "created", "total", "status"), values)
    ),
    st.lists(
        st.fixed_dictionaries(dict.fromkeys(("sku", "qty", "price", "total", "tax", "title"), values)), max_size=3
    ),
)
def test_the_statements_text_never_depends_on_the_order(
    erp: Erp, changes: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    """Whatever is in it: only the values that are bound do."""
    order = document.read_order(
        parsed(order_document(**changes, line_items=lines)),
        order_settings(erp.project),
        source_id=57,
    )
    from engine.orders.plan import plan_queries

    made = list(plan_queries(erp.project, order_settings(erp.project), order))
    plain = {
        path.name: query.sql
        for path, query in plan_queries(
            erp.project,
            order_settings(erp.project),
            document.read_order(
                parsed(order_document()),
                order_settings(erp.project),
                source_id=57,
            ),
        )
    }
    assert {(path.name, query.sql) for path, query in made} <= set(plain.items())
    assert all(
        isinstance(bind, (str, int, Decimal, type(None))) or hasattr(bind, "isoformat")
        for _, query in made
        for bind in query.binds
    )


def test_a_statement_that_the_database_refuses_is_named(erp: Erp) -> None:
    """By its file: somebody who was not there must find it."""
    erp.write(statements={"20_lines.line.sql": "insert into nowhere values ({{ line.sku }})"})
    (entry,) = erp.receive(order_document())
    assert "the database refused it: orders/20_lines.line.sql: The database refused a statement" in entry.reason


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ({"header.sql": "select 1"}, "does not say when it is run"),
        (dict.fromkeys(STATEMENTS), "no statements"),
    ],
)
def test_statements_that_cannot_be_are_named(erp: Erp, statements: dict[str, str | None], said: str) -> None:
    """Before an order is touched."""
    erp.write(statements=statements)
    with pytest.raises(ViewError, match=said):
        erp.receive(order_document())


def test_a_statement_with_an_unknown_name_leaves_the_order_for_later(erp: Erp) -> None:
    """It is the project's fault, not the order's."""
    erp.write(statements={"10_header.sql": "insert into erp_order (reference) values ({{ order.refrence }})"})
    (entry,) = erp.receive(order_document())
    assert (entry.status, "refrence" in entry.reason, erp.orders()) == ("failed", True, [])


NOWHERE = OrderSettings(source=SourceSettings(dialect="sqlite"), timezone="America/New_York")


def read(raw: bytes) -> document.Order:
    """A document as the statements would see it."""
    return document.read_order(document.parse_document(raw), NOWHERE, source_id=57)


def test_texts_of_all_scripts_arrive_as_they_are(any_erp: Erp) -> None:
    """Those of the order, and those of the statements."""
    header = "/* Kopf für 漢 */ " + STATEMENTS["10_header.sql"].replace("{{ order.warehouse }}", "'Größe 漢'")
    any_erp.write(statements={"10_header.sql": header})
    any_erp.receive(order_document(notes="é 漢 😀 \\ ' \" % ? {x}"))
    assert any_erp.rows("select notes, warehouse from erp_order") == [("é 漢 😀 \\ ' \" % ? {x}", "Größe 漢")]


@pytest.mark.parametrize("name", ["lookup.sql", "item.sql", "find_customer.sql"])
def test_a_statement_that_may_not_be_looked_at_is_not_taken_for_absent(erp: Erp, name: str) -> None:
    """Without its lookup an order that is there would be raised once more."""
    shared = erp.workspace / "shared"
    shared.mkdir()
    (erp.root / "orders" / name).rename(shared / name)
    (erp.root / "orders" / name).symlink_to(shared / name)
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    shared.chmod(0o000)
    ran = erp.s2s("orders", "import", "acme", str(path), rights=False)
    shared.chmod(0o700)
    assert ran.returncode in {2, 4}, ran.stderr
    assert f"orders/{name}: " in ran.stdout + ran.stderr
    assert "Whether this exists cannot be known: Permission denied." in ran.stdout + ran.stderr
    assert erp.orders() == []
    assert erp.s2s("orders", "import", "acme", str(path)).returncode == 0
    assert len(erp.orders()) == 1


@pytest.mark.parametrize("mode", [0o000, 0o300, 0o600])
def test_a_folder_of_statements_that_may_not_be_read_is_said(erp: Erp, mode: int) -> None:
    """By the check, by doctor, and before an order is raised."""
    path = erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    (erp.root / "orders").chmod(mode)
    ran = [
        erp.s2s(*words, rights=False)
        for words in (("check", "acme"), ("doctor", "acme"), ("orders", "import", "acme", str(path)))
    ]
    (erp.root / "orders").chmod(0o700)
    for each in ran:
        assert each.returncode in {1, 2}, each.stderr
        assert "orders" in each.stdout + each.stderr
        assert "Permission denied" in each.stdout + each.stderr
        assert "the account that runs s2s" in each.stdout + each.stderr
    assert erp.orders() == []


def test_a_file_with_two_statements_is_refused_with_its_reason(erp: Erp) -> None:
    """SQLite takes one at a time; nothing of the first is kept."""
    erp.write(statements={"90_code.sql": "select 1; select 2"})
    (entry,) = erp.receive(order_document())
    assert (entry.rule, "one statement" in entry.reason, erp.orders()) == ("refused", True, [])


def test_a_file_with_two_statements_ends_whatever_the_driver_makes_of_it(any_erp: Erp) -> None:
    """MariaDB's keeps a lock after such an error: what another thread does with the connection never ends."""
    two = "insert into erp_line (sku) values ('X'); insert into erp_line (sku) values ('Y')"
    any_erp.write(statements={"25_two.sql": two})
    path = any_erp.workspace / "order.json"
    path.write_text(json.dumps(order_document()), "utf-8")
    any_erp.s2s("orders", "import", "acme", str(path), alone=True)
    status, rule = ("raised", "") if any_erp.dialect == "postgres" else ("waiting", "refused")
    assert (any_erp.entry().status, any_erp.entry().rule) == (status, rule)


def test_every_value_that_statements_see_is_in_the_docs() -> None:
    """Somebody who writes them has nothing else to know the names from."""
    order = read(json.dumps(order_document()).encode())
    seen = [*order.order, *order.order["billing_address"], *order.customer, *order.lines[0]]
    said = (ROOT / "docs" / "orders.md").read_text("utf-8")
    assert [name for name in seen if f"`{name}`" not in said] == []


@pytest.mark.parametrize("any_erp", ["postgres", "mysql"], indirect=True)
def test_a_procedure_raises_an_order(any_erp: Erp) -> None:
    """Called as ODBC has it, on each database; what it gives is there for the lines."""
    bodies = {
        "postgres": "create function raise_order(o bigint, r varchar, c varchar) returns table(id integer)"
        " language sql as $$ insert into erp_order (s2s_id, reference, customer) values (o, r, c) returning id $$",
        "mysql": "create procedure raise_order(o bigint, r varchar(100), c varchar(40)) begin"
        " insert into erp_order (s2s_id, reference, customer) values (o, r, c); select last_insert_id() as id; end",
    }
    with suppress(Exception):  # a statement that gives no rows
        any_erp.rows(bodies[any_erp.dialect])
    call = "{call raise_order({{ order.id }}, {{ order.reference }}, {{ order.customer_code }})}"
    any_erp.write(statements={"10_header.sql": call})
    (entry,) = any_erp.receive(order_document())
    assert (entry.status, entry.source_order_code, len(any_erp.lines())) == ("raised", "SO1", 2)


@pytest.mark.parametrize(
    ("name", "sql", "said"),
    [
        ("10_header.sql", "insert into erp_order (reference)\nvalues ({{ order.referense }})", "10_header.sql:2"),
        ("20_lines.line.sql", "insert into erp_line (sku) values ({{ line.skew }})", "skew"),
        ("90_code.sql", "select {{ line.sku }} as source_order_code", "line"),
        ("lookup.sql", "select 1 where 'x' = '{{ order.reference }}'", "lookup.sql:1"),
        ("stock.sql", "select {{ line.qty }", "stock.sql:1"),
    ],
)
def test_a_mistake_in_a_statement_is_found_before_there_is_an_order(erp: Erp, name: str, sql: str, said: str) -> None:
    """By check, which asks no database, and with the file and the line."""
    erp.write(statements={name: sql})
    checked = erp.s2s("check", "acme")
    assert (checked.returncode, said in checked.stdout) == (2, True), checked.stdout
    assert f"orders/{name}" in checked.stdout


def test_statements_that_calculate_with_what_the_database_gives_pass_the_check(erp: Erp) -> None:
    """What that will be is not known before."""
    calculated = "insert into erp_line (order_id, sku, qty, price) values ({{ results.header.id * 10 + 1 }}, 'x',"
    erp.write(statements={"20_lines.line.sql": f"{calculated} {{{{ line.qty / 2 }}}}, {{{{ -results.header.id }}}})"})
    assert erp.s2s("check", "acme").returncode == 0
