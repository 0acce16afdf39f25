"""Every setting that changes what a run does is told, though no row of the fixtures changes."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import pytest
from support.mapping import VIEW, write
from support.output import read_result

from engine.config.console import KEYS as CONSOLE_KEYS
from engine.config.document import document_model
from engine.pages.review import review_page
from engine.review.compare import Checkouts, review_on_fixtures
from engine.review.decisions import decisions, review_json, verdict
from engine.review.markdown import reviews_markdown
from engine.review.settings import UNTOLD
from engine.review.text import reviews_text
from engine.review.workspace import review_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.branch import Branch

    from engine.review.model import Review

CUSTOMERS = "select c.code as source_customer_code, c.mail as email, c.web as customer_active from c"

HASH = "$argon2id$v=19$m=1,t=1,p=1$YWJjZGVmZ2g$"

BASE: dict[str, Any] = {
    "source": {"dialect": "postgres", "connection": "Driver={x};Server=erp;Database=evo;PWD=${PASSWORD}"},
    "stock2shop": {"source_id": 57, "username": "${USER}", "password": "${PASSWORD}"},
    "orders": {"connection": "Driver={x};Server=erp;Database=evo;PWD=${PASSWORD}"},
    "schedule": {"timezone": "Africa/Johannesburg"},
}
"""What each project.toml of these tests says besides."""

VALUES: dict[str, tuple[Any, Any]] = {
    "source.dialect": ("postgres", "mysql"),
    "source.connection": ("Driver={x};Server=erp;Database=evo", "Driver={x};Server=erp;Database=sage"),
    "source.database": ("a.db", "b.db"),
    "source.encoding": ("utf-8", "cp1252"),
    "source.decoding": ("utf-8", "cp1252"),
    "source.wide_decoding": ("utf-16le", "utf-8"),
    "source.attributes": ({"103": 1}, {"103": 2}),
    "stock2shop.url": ("https://a.example/v1", "https://b.example/v1"),
    "orders.dialect": ("postgres", "mysql"),
    "orders.database": ("a.db", "b.db"),
    "orders.channels": ({"7": {"warehouse": "A"}}, {"7": {"warehouse": "B"}}),
    "orders.connection": ("Driver={x};Server=erp;Database=live", "Driver={x};Server=erp;Database=test"),
    "orders.tax_codes": ({"taxed": "1"}, {"taxed": "2"}),
    "orders.timezone": ("UTC", "Africa/Johannesburg"),
    "orders.serve.token": ("${OLD_TOKEN}", "${NEW_TOKEN}"),
    "orders.serve.password": ("${OLD_TOKEN}", "${NEW_TOKEN}"),
    "orders.serve.max_body": (2_000, 3_000),
    "orders.pull.answer_path": ("/a", "/b"),
    "products.view": ("views/a.sql", "views/b.sql"),
    "customers.view": ("views/c.sql", "views/d.sql"),
    "entity.active": ({"Active": ["J"]}, {"Active": ["Y"]}),
    "entity.path": ("/a", "/b"),
    "entity.search_path": ("/a", "/b"),
    "entity.expect.accepted_values": ({"vendor": ["a"]}, {"vendor": ["b"]}),
    "entity.expect.fresh.timezone": ("UTC", "Africa/Johannesburg"),
    "schedule.every": ("3m", "30m"),
    "schedule.cron": ("1 6 * * *", "1 7 * * *"),
    "schedule.quiet": (["22:00-06:00"], ["22:00-07:00"]),
    "schedule.timezone": ("UTC", "Africa/Johannesburg"),
    "notify.urls": (["mailto://a@example.com"], ["mailto://b@example.com"]),
    "notify.ping": ("https://a.example", "https://b.example"),
    "notify.late": ("1h", "2h"),
    "notify.quiet": ("20:00-06:30", "20:00-07:30"),
    "notify.digest": ("07:00 UTC", "08:00 UTC"),
    "vars": ({"rate": 1}, {"rate": 2}),
    "tests": ({"free": "error"}, {"free": "warning"}),
}
"""Two values of the keys that do not take just any of their type; ``entity`` is any entity."""

BESIDE: dict[str, dict[str, Any]] = {
    "source.database": {"dialect": "sqlite", "connection": None},
    "orders.database": {"dialect": "sqlite", "connection": None},
    "orders.serve.tls_certificate": {"tls_key": "a.pem"},
    "orders.serve.tls_key": {"tls_certificate": "a.pem"},
    "orders.serve.host": {"token": "${LONG_TOKEN}"},
    "orders.serve.username": {"password": "${LONG_TOKEN}"},
    "orders.serve.password": {"username": "s2s"},
    "source.reader": {"dialect": "tsql"},
    "products.linked": {"missing": "keep"},
}
"""What has to stand in the same table as well."""


def settings(model: Any = None, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of project.toml that holds a value, with its type, as the loader has them."""
    for name, field in (model or document_model()).model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        table = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if table is None or get_origin(field.annotation) is dict:
            yield (*at, name), field.annotation
        else:
            yield from settings(table, (*at, name))


SETTINGS = dict(settings())

NAMES = [".".join(at) for at in SETTINGS]


def two_values(at: tuple[str, ...]) -> tuple[Any, Any]:
    """Two values that a key may have."""
    entity = at[0] in {"products", "customers"}
    special = VALUES.get(".".join(at)) or VALUES.get(".".join(("entity", *at[1:]) if entity else at))
    if special:
        return special
    kinds = [SETTINGS[at], *get_args(SETTINGS[at])]
    for kind in kinds:
        if get_origin(kind) is Literal:
            return get_args(kind)[:2]
        if get_origin(kind) in {list, tuple}:
            return ["a"], ["b"]
    if kinds[1:] and all(isinstance(kind, str) for kind in kinds[1:]):
        return kinds[1], kinds[2]
    return next(
        pair
        for kind, pair in (
            (bool, (False, True)),
            (str, ("one", "two")),
            (int, (3, 4)),
            (float, (3.5, 4.5)),
            (Any, (3, 4)),
        )
        if kind in kinds
    )


def toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def document(at: tuple[str, ...], value: Any) -> str:
    """A project.toml in which one key has a value."""
    tables = {name: dict(table) for name, table in BASE.items()}
    if at == ("schedule", "every"):
        tables["schedule"] = {}
    place: dict[str, Any] = tables
    for name in at[:-1]:
        place = place.setdefault(name, {})
    place |= BESIDE.get(".".join(at), {})
    if at[:3] == ("products", "expect", "fresh") or at[:3] == ("customers", "expect", "fresh"):
        place |= {"column": "title", "hours": 1}
    if isinstance(value, dict) and len(at) == 1:
        place.setdefault(at[-1], {}).update(value)
    else:
        place[at[-1]] = value
    parts = [
        f"[{name}]\n" + "".join(f"{key} = {toml(each)}\n" for key, each in table.items() if each is not None)
        for name, table in tables.items()
    ]
    return "\n".join(parts)


def write_workspace(root: Path, text: str) -> Path:
    """A workspace whose project has views of both entities and no fixtures."""
    for name in ("products", "a", "b", "customers", "c", "d"):
        write(root / f"projects/acme/views/{name}.sql", CUSTOMERS if name.startswith(("c", "d")) else VIEW)
    write(root / "projects/acme/tests/free.sql", "select source_variant_code from products where false")
    write(root / "projects/acme/project.toml", text)
    return root


def forms(reviewed: Review) -> dict[str, str]:
    """The review as it is printed, in each form, on one line."""
    texts = {
        "text": reviews_text([reviewed]),
        "markdown": reviews_markdown([reviewed]).replace("\\", "").replace("\u200b", ""),
        "json": " ".join(review_json(reviewed)["decisions"]),
        "html": html.unescape(review_page([reviewed], against="main")),
    }
    return {form: " ".join(text.split()) for form, text in texts.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_setting_that_changes_alone_is_never_safe_to_merge_and_is_told_in_every_form(
    tmp_path: Path, name: str
) -> None:
    """Whatever the key: one that is added to the schema is among them."""
    at = tuple(name.split("."))
    old, new = (
        write_workspace(tmp_path / side, document(at, value))
        for side, value in zip(("old", "new"), two_values(at), strict=True)
    )
    same = review_on_fixtures("acme", Checkouts(old, old, "main"))
    assert same.faults == ()
    assert not same.changed
    reviewed = review_on_fixtures("acme", Checkouts(new, old, "main"))
    assert reviewed.faults == ()
    assert verdict(reviewed) != "safe to merge"
    told = [each for each in decisions(reviewed) if name in each]
    assert bool(told) == (name not in UNTOLD), decisions(reviewed)
    for form, text in forms(reviewed).items():
        assert all(" ".join(each.split()) in text for each in told), form


@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("stock2shop.source_id", True),
        ("stock2shop.url", True),
        ("source.connection", True),
        ("source.database", True),
        ("orders.connection", True),
        ("orders.database", True),
        ("stock2shop.pace", False),
        ("products.max_deletes", False),
    ],
)
def test_another_account_or_database_stops_the_next_run(tmp_path: Path, name: str, *, stops: bool) -> None:
    """What is published, or was raised, belongs to the one before, and nothing goes on with it."""
    at = tuple(name.split("."))
    old, new = (
        write_workspace(tmp_path / side, document(at, value))
        for side, value in zip(("old", "new"), two_values(at), strict=True)
    )
    reviewed = review_on_fixtures("acme", Checkouts(new, old, "main"))
    assert verdict(reviewed) == ("a run would stop" if stops else "read this first")
    assert any("s2s rebind acme" in each for each in decisions(reviewed)) is stops


def test_a_variable_may_hold_what_was_written_out_before(tmp_path: Path) -> None:
    """So nobody can say that a run would stop; that it needs a value is said."""
    old = write_workspace(tmp_path / "old", document(("source", "connection"), "Driver={x};Server=erp;Database=evo"))
    new = write_workspace(
        tmp_path / "new", document(("source", "connection"), "Driver={x};Server=${ACME_HOST};Database=evo")
    )
    reviewed = review_on_fixtures("acme", Checkouts(new, old, "main"))
    assert verdict(reviewed) == "read this first"
    assert any("the variable ACME_HOST is new" in each for each in decisions(reviewed))


def test_a_price_for_rows_without_one_is_told_with_the_rows_that_are_sent_again(branch: Branch) -> None:
    """No column of the view changes, and yet an item may be sold for nothing."""
    path = branch.root / "project.toml"
    path.write_text(path.read_text("utf-8") + "\n[products]\nblank_price = 0\n", "utf-8")
    found = decisions(branch.reviewed())
    assert "2 rows of products are sent again, without a change." in found
    assert any("products.blank_price is 0" in each and "are sold at" in each for each in found), found


def test_workspace_toml_stands_before_the_clients_that_change(branch: Branch) -> None:
    """Once for all of them, also where one client is asked for, and its secrets are not shown."""
    write(branch.workspace / "workspace.toml", '[schedule]\nevery = "3m"\n')
    branch.commit("Second")
    write(
        branch.workspace / "workspace.toml",
        '[schedule]\nevery = "30m"\n[notify]\nurls = ["mailto://u:hunter2@a.example"]\n',
    )
    for words in ((), ("acme",)):
        found = branch.s2s(*words, "--output", "json")
        reviews = read_result(found.stdout)
        assert [(each["project"], each["verdict"]) for each in reviews] == [
            ("workspace.toml", "read this first"),
            ("acme", "safe to merge"),
        ]
        assert 'schedule.every changes from "3m" to "30m"' in reviews[0]["decisions"][0]
        assert "hunter2" not in found.stdout
    said = branch.s2s().stdout
    assert said.startswith("workspace.toml · against HEAD · which all clients share\n  READ THIS FIRST\n")
    branch.view("item.qty as", "item.qty + 1 as")
    assert branch.s2s().stdout.startswith("1 client and workspace.toml change.\n")
    (branch.workspace / "workspace.toml").write_text("[schedule]\nevery = '3 weeks'", "utf-8")
    broken = branch.s2s()
    assert broken.returncode == 1
    assert "A RUN WOULD STOP" in broken.stdout


def test_a_renamed_client_is_told_where_its_state_stays(tmp_path: Path) -> None:
    """On the page of the new name and on that of the old one."""
    text = document(("stock2shop", "source_id"), 57)
    old, new = (write_workspace(tmp_path / side, text) for side in ("old", "new"))
    (new / "projects" / "acme").rename(new / "projects" / "ajax")
    checkouts = Checkouts(new, old, "main")
    added, gone = (review_on_fixtures(name, checkouts) for name in ("ajax", "acme"))
    assert any("acme, which is no longer in the workspace, sent to this source" in each for each in decisions(added))
    assert any("rename its state files" in each for each in decisions(gone))
    assert "no price" not in reviews_text([added])


def test_a_client_that_takes_the_source_of_another_is_told_what_comes_of_it(tmp_path: Path) -> None:
    """Each would remove what the other sent."""
    old = write_workspace(tmp_path / "old", document(("stock2shop", "source_id"), 57))
    new = write_workspace(tmp_path / "new", document(("stock2shop", "source_id"), 57))
    (new / "projects" / "beta" / "views").mkdir(parents=True)
    write(new / "projects/beta/views/products.sql", VIEW)
    write(new / "projects/beta/project.toml", document(("stock2shop", "source_id"), 57))
    reviewed = review_on_fixtures("beta", Checkouts(new, old, "main"))
    assert any("acme also sends products to source 57" in each for each in decisions(reviewed))


def test_an_entity_that_loses_its_view_is_told_in_one_sentence(tmp_path: Path) -> None:
    """Not field by field, and not as if its rows were removed."""
    text = document(("stock2shop", "source_id"), 57)
    old, new = (write_workspace(tmp_path / side, text) for side in ("old", "new"))
    (new / "projects/acme/views/customers.sql").unlink()
    assert decisions(review_on_fixtures("acme", Checkouts(new, old, "main"))) == [
        "Customers are no longer synced. What Stock2Shop holds of them stays as it is."
    ]


@pytest.mark.parametrize(
    ("path", "old_text", "new_text", "told"),
    [
        (
            "orders/10_header.sql",
            "insert into o values (1)",
            "insert into o values (2)",
            "orders/10_header.sql changes",
        ),
        ("orders/10_header.sql", "insert into o values (1)", "", "orders/10_header.sql is gone"),
        ("orders/20_line.sql", "", "insert into o values (1)", "orders/20_line.sql is new"),
        ("tests/dear.sql", "select title from products where false", "", "tests/dear.sql is gone"),
        ("tests/dear.sql", "", "select title from products where false", "tests/dear.sql is new"),
    ],
)
def test_statements_and_data_tests_are_decided_upon(
    tmp_path: Path, path: str, old_text: str, new_text: str, told: str
) -> None:
    """A data test that is deleted stops no run any more; a statement says what an order costs."""
    text = document(("stock2shop", "source_id"), 57)
    sides = {side: write_workspace(tmp_path / side, text) for side in ("old", "new")}
    for (_, root), content in zip(sides.items(), (old_text, new_text), strict=True):
        if content:
            write(root / "projects/acme" / path, content)
    reviewed = review_on_fixtures("acme", Checkouts(sides["new"], sides["old"], "main"))
    assert verdict(reviewed) == "read this first"
    assert any(told in each for each in decisions(reviewed))
    assert all(told in text for text in forms(reviewed).values())


TEMPLATED = {
    "a template that a data test includes": ("tests/dear.sql", "{% include 'shared/t.sql' %}"),
    "a macro that a data test imports": (
        "tests/dear.sql",
        "{% from 'shared/m.sql' import m with context %}select title from products where 1 = 2",
    ),
    "a block of a template that a statement extends": ("orders/10_header.sql", "{%+ extends 'shared/b.sql' %}"),
    "a template of a template": ("orders/10_header.sql", "{%- include 'shared/deep.sql' %}"),
    "a template whose name is computed": ("orders/10_header.sql", "{% include 'shared/' ~ 't.sql' %}"),
}


@pytest.mark.parametrize("what", TEMPLATED)
def test_templates_of_statements_and_data_tests_are_followed_to_the_last(tmp_path: Path, what: str) -> None:
    """And a template that no statement and no test reaches is not told of, so that many clients stay calm."""
    path, template = TEMPLATED[what]
    text = document(("stock2shop", "source_id"), 57)
    shared = {
        "t.sql": "select title from products where 1 = 2 -- {}",
        "m.sql": "{{% macro m() %}}{}{{% endmacro %}}",
        "b.sql": "insert into o values ({})",
        "deep.sql": "{{% include 'shared/t.sql' %}} -- {}",
        "unused.sql": "select {}",
    }
    sides = {side: write_workspace(tmp_path / side, text) for side in ("old", "new")}
    for number, root in enumerate(sides.values()):
        write(root / "projects/acme" / path, template)
        for name, content in shared.items():
            write(root / "templates/sql/shared" / name, content.format(number))
    reviewed = review_on_fixtures("acme", Checkouts(sides["new"], sides["old"], "main"))
    assert verdict(reviewed) == "read this first"
    told = " ".join(decisions(reviewed))
    assert "templates/sql/shared/" in told
    assert ("unused.sql" in told) == ("computed" in what)


WORKSPACE: dict[str, tuple[str, str]] = {
    **{
        name: (f"[{at[0]}]\n{at[1]} = {toml(old)}\n", f"[{at[0]}]\n{at[1]} = {toml(new)}\n")
        for name, at in ((".".join(at), at) for at in SETTINGS if at[0] in {"schedule", "notify"})
        for old, new in [two_values(at)]
    },
    "console.host": ('[console]\nhost = "127.0.0.1"', '[console]\nhost = "localhost"'),
    "console.names": ('names = ["a.example"]', 'names = ["b.example"]'),
    "console.tls_certificate": ('tls_certificate = "a"\ntls_key = "k"', 'tls_certificate = "b"\ntls_key = "k"'),
    "console.tls_key": ('tls_key = "a"\ntls_certificate = "c"', 'tls_key = "b"\ntls_certificate = "c"'),
    "console.proxy_header": ('proxy_header = "X-A"', 'proxy_header = "X-B"'),
    "console.users.anna.role": ('[console.users.anna]\nrole = "viewer"', '[console.users.anna]\nrole = "operator"'),
    "console.users.anna.password": (
        f'[console.users.anna]\npassword = "{HASH}a"',
        f'[console.users.anna]\npassword = "{HASH}b"',
    ),
    "fleet.database": ('[fleet]\ndatabase = "${A}"', '[fleet]\ndatabase = "${B}"'),
    "agent.pace": ("[agent]\npace = 1", "[agent]\npace = 2"),
}
"""Every key of workspace.toml, those of the console and the fleet by hand, and one that s2s does not know."""


def test_all_keys_of_the_console_are_among_those_of_workspace_toml() -> None:
    """So that a new one is not forgotten."""
    assert {f"console.{key}" for key in CONSOLE_KEYS} <= {".".join(name.split(".")[:2]) for name in WORKSPACE}


@pytest.mark.parametrize("name", WORKSPACE)
def test_a_change_of_workspace_toml_alone_is_told_in_every_form(tmp_path: Path, name: str) -> None:
    """It is no project's own, and holds for all of them."""
    sides = {}
    for side, text in zip(("old", "new"), WORKSPACE[name], strict=True):
        sides[side] = write_workspace(tmp_path / side, document(("stock2shop", "source_id"), 57))
        zone = '\ntimezone = "UTC"' if name in {"schedule.cron", "schedule.quiet"} else ""
        lead = "[console]\n" if name.startswith("console.") and not text.startswith("[") else ""
        users = (
            f'\n[console.users.bob]\npassword = "{HASH}"\n'
            if name in {"console.names", "console.users.anna.role"}
            else ""
        )
        write(sides[side] / "workspace.toml", f"{lead}{text}{zone}{users}")
    assert review_workspace(sides["old"], sides["old"], against="main") is None
    reviewed = review_workspace(sides["new"], sides["old"], against="main")
    assert reviewed is not None
    assert reviewed.faults == ()
    assert verdict(reviewed) == "read this first"
    told = [each for each in decisions(reviewed) if f"workspace.toml: {name} changes" in each]
    assert len(told) == 1, decisions(reviewed)
    for form, text in forms(reviewed).items():
        assert " ".join(told[0].split()) in text, form
        assert "example.com" not in text, form
        assert "sample data" not in text, form
    assert "It holds for every client." in told[0] or not name.startswith(("schedule.every", "notify."))
