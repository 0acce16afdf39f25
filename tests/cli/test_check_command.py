"""`s2s check` finds what a run would stumble over, without a database, a password or a row."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from support.client import VIEW
from support.command import run_command
from support.output import read_result

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from support.client import Client

FOUND = {
    "unknown": (
        '[products.expect]\nnot_null = ["titel"]\n',
        "[products.expect] names 'titel', which the view does not map.",
    ),
    "accepted": ('[products.expect.accepted_values]\nbrand = ["A"]\n', "names 'brand'"),
    "fresh": ('[products.expect]\nfresh = { column = "changed", hours = 1 }\n', "names 'changed'"),
    "tests": ('[tests]\nno_such = "warning"\n', "[tests] names no_such, but there is no tests/no_such.sql."),
    "tier": ('[products]\ndefault_price_tier = "trade"\n', "products.default_price_tier is 'trade'"),
}


def check(client: Client, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `s2s check`."""
    return run_command("check", *words, folder=client.workspace, variables={**client.environment, **variables})


@pytest.mark.parametrize("name", FOUND)
def test_a_setting_that_names_what_is_not_there_is_found(client: Client, name: str) -> None:
    """The next run would have ended with 2."""
    settings, message = FOUND[name]
    toml = client.root / "project.toml"
    text = (
        toml.read_text("utf-8").replace("[products]\n", "")
        if settings.startswith("[products]\n")
        else toml.read_text("utf-8")
    )
    if name == "tier":
        client.write(
            view=(client.root / "views" / "products.sql")
            .read_text("utf-8")
            .replace("csv_price_tiers", '"variants.price"')
        )
    toml.write_text(f"{text}\n{settings}", "utf-8")
    ran = check(client)
    assert (ran.returncode, message in ran.stdout) == (2, True), ran.stdout + ran.stderr
    assert ran.stdout.endswith("acme: not ready\n")


@pytest.mark.parametrize("tier", ["Trade", "Retail"])
def test_a_price_tier_that_a_price_list_may_hold_is_not_called_unknown(client: Client, tier: str) -> None:
    """Which tiers a column of `tier:price` has is known to its rows alone."""
    client.write(settings=f'default_price_tier = "{tier}"')
    assert check(client).returncode == 0


def test_a_tier_in_other_letters_is_guessed(client: Client) -> None:
    """Tiers are told apart by case."""
    view = (client.root / "views" / "products.sql").read_text("utf-8").replace("csv_price_tiers", '"variants.price"')
    client.write(view=view, settings='default_price_tier = "trade"')
    assert "Did you mean Trade?" in check(client).stdout
    client.write(view=view, settings='default_price_tier = "Trade"')
    assert check(client).returncode == 0


@pytest.mark.parametrize("tier", ["trade", " TRADE "])
def test_a_tier_in_other_letters_is_guessed_beside_a_price_list_too(client: Client, tier: str) -> None:
    """The list may hold it, so that is a warning: without it no default price would be sent, and nothing said."""
    client.write(settings=f'default_price_tier = "{tier}"')
    ran = check(client)
    assert (ran.returncode, "Did you mean Trade?" in ran.stdout + ran.stderr) == (0, True), ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select * from products where titel is null", "titel"),
        ("select * from products where title is null and (", "DuckDB refuses the test"),
        ("select * from products\nwhere no_such_function(title)", "no_such_function"),
        ("select * from nowhere, products", "nowhere"),
        ("select 1", "names no entity"),
        ("delete from products", "not one SELECT"),
        ("-- severity: grave\nselect * from products", "severity"),
    ],
)
def test_a_data_test_that_cannot_run_is_found(client: Client, sql: str, message: str) -> None:
    """With its file, and its line where DuckDB says it."""
    tests = client.root / "tests"
    tests.mkdir()
    (tests / "titles.sql").write_text(sql, "utf-8")
    ran = check(client)
    assert ran.returncode == 2, ran.stdout
    assert "titles.sql" in ran.stdout
    assert message.lower() in ran.stdout.lower()


def test_data_tests_and_expectations_that_are_right_are_ready(client: Client) -> None:
    """Over a table without rows they fail nothing, whatever they count."""
    tests = client.root / "tests"
    tests.mkdir()
    (tests / "titles.sql").write_text(
        "select source_variant_code from products where title = '' and \"variants.qty\" > 5 and product_active = 'x';",
        "utf-8",
    )
    (tests / "some.sql").write_text("select count(*) as n from products having count(*) = 0", "utf-8")
    toml = client.root / "project.toml"
    toml.write_text(
        toml.read_text("utf-8") + '\n[products.expect]\nmin_rows = 5\nnot_null = ["title", "source_variant_code"]\n',
        "utf-8",
    )
    ran = check(client)
    assert (ran.returncode, ran.stdout) == (0, "acme: ready\n")


def test_a_check_needs_no_password_and_says_which_ones_are_missing(client: Client) -> None:
    """As in CI, where nobody may have them; a run still asks for each."""
    client.item("A")
    client.environ["TEST_PASSWORD"] = ""
    ran = check(client)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "warning: The variable TEST_PASSWORD is empty." in ran.stdout
    assert ran.stdout.endswith("acme: ready\n")
    refused = run_command("run", "acme", folder=client.workspace, variables=client.environment)
    assert (refused.returncode, "TEST_PASSWORD is empty" in refused.stderr) == (2, True)


def test_two_projects_that_send_to_one_source_are_named(client: Client) -> None:
    """By check, list and doctor, on both sides: after an adopt each would remove what the other sent."""
    other = client.workspace / "projects" / "beta"
    shutil.copytree(client.root, other)
    said = "beta also sends products to source 57 of"
    ran = check(client, "acme")
    assert (ran.returncode, said in ran.stdout) == (0, True)
    assert "acme also sends products to source 57 of" in check(client, "beta").stdout
    listed = run_command("list", "--output", "json", folder=client.workspace, variables=client.environment)
    states = {row["project"]: row["state"] for row in read_result(listed.stdout)}
    assert said in states["acme"]
    looked = run_command("doctor", "acme", folder=client.workspace, variables=client.environment)
    assert f"warn  source id: {said}" in looked.stdout


@pytest.mark.parametrize(("first", "second", "named"), [(True, True, False), (True, False, True)])
def test_linked_sources_may_share_one_if_all_of_them_are(
    client: Client, *, first: bool, second: bool, named: bool
) -> None:
    """They only enrich what another owns, and remove nothing."""
    other = client.workspace / "projects" / "beta"
    client.write(settings=f"linked = {str(first).lower()}")
    shutil.copytree(client.root, other)
    toml = other / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("linked = true", f"linked = {str(second).lower()}"), "utf-8")
    assert ("also sends" in check(client, "acme").stdout) is named


def test_linked_sources_that_remove_what_is_missing_may_not_share_one(client: Client) -> None:
    """Each would remove what only the other shows."""
    other = client.workspace / "projects" / "beta"
    client.write(settings='linked = true\nmissing = "delete"')
    shutil.copytree(client.root, other)
    assert "also sends" in check(client, "acme").stdout


def test_one_account_may_be_written_in_two_ways(client: Client) -> None:
    """The usual port and the case of a host say nothing."""
    other = client.workspace / "projects" / "beta"
    shutil.copytree(client.root, other)
    for root, url in ((client.root, "https://APP.stock2shop.com:443/v1/"), (other, "https://app.stock2shop.com/v1")):
        toml = root / "project.toml"
        toml.write_text(toml.read_text("utf-8").replace("${TEST_URL}", url), "utf-8")
    assert "beta also sends products" in check(client, "acme").stdout


def test_sources_that_are_not_known_are_not_taken_for_one(client: Client) -> None:
    """In CI, where each project's number is a variable without a value."""
    other = client.workspace / "projects" / "beta"
    shutil.copytree(client.root, other)
    for root, name in ((client.root, "ACME_SOURCE"), (other, "BETA_SOURCE")):
        toml = root / "project.toml"
        toml.write_text(toml.read_text("utf-8").replace("source_id = 57", f'source_id = "${{{name}}}"'), "utf-8")
    ran = check(client, "acme")
    assert ("ACME_SOURCE is not set" in ran.stdout, "also sends" in ran.stdout) == (True, False)


@pytest.mark.parametrize(
    "change", [("source_id = 57", "source_id = 58"), ("${TEST_URL}", "https://app.stock2shop.com/v1")]
)
def test_another_source_or_account_is_nobody_elses(client: Client, change: tuple[str, str]) -> None:
    """Nor is a project that cannot be read a neighbour."""
    other = client.workspace / "projects" / "beta"
    shutil.copytree(client.root, other)
    toml = other / "project.toml"
    assert change[0] in toml.read_text("utf-8")
    toml.write_text(toml.read_text("utf-8").replace(*change), "utf-8")
    (client.workspace / "projects" / "broken").mkdir()
    (client.workspace / "projects" / "broken" / "project.toml").write_text("[", "utf-8")
    assert check(client, "acme").stdout == "acme: ready\n"


WARNED = {
    "present time": ("    vendor,", "    cast(now() as varchar) as vendor,", "The column vendor has the present time"),
    "random": (
        "    vendor,",
        "    random()::varchar as meta_seed,",
        "The column meta_seed has the present time or a random",
    ),
    "price tiers": ("    vendor,", '    trade as "price_TRADE",', "The price tiers 'Trade' and 'TRADE' differ only by"),
    "warehouses": (
        "    vendor,",
        '    5 as "qty_JHB", 4 as "qty_jhb",',
        "The warehouses 'JHB' and 'jhb' differ only by",
    ),
    "attributes": ("    vendor,", '    5 as "meta_a b", 4 as "meta_A\u00a0b",', "The attributes 'a b' and"),
}


@pytest.mark.parametrize("name", WARNED)
def test_columns_that_are_likely_a_mistake_are_warned_of(client: Client, name: str) -> None:
    """They run, so they are no errors."""
    old, new, message = WARNED[name]
    client.write(view=VIEW.replace(old, new))
    ran = check(client)
    assert (ran.returncode, message in ran.stdout) == (0, True), ran.stdout + ran.stderr


def test_the_present_time_in_a_condition_is_no_value(client: Client) -> None:
    """What is compared with it changes once."""
    client.write(view=VIEW.replace("    vendor,", "    case when '2020-01-01' < now() then 'old' end as vendor,"))
    assert "present time" not in check(client).stdout


@pytest.mark.parametrize(("linked", "same"), [(True, True), (True, False), (False, True)])
def test_a_linked_view_of_products_is_warned_of_ghost_variants(client: Client, *, linked: bool, same: bool) -> None:
    """A product's own code is no variant's, where the primary source has variants."""
    view = VIEW.replace("product as source_product_code", "code as source_product_code") if same else VIEW
    client.write(view=view, settings="linked = true" if linked else "")
    assert ("make a variant that nobody sells" in check(client).stdout) == (linked and same)


def test_a_password_without_a_value_is_named(tmp_path: Path) -> None:
    """Its name stands in for it, and is no secret: `***=…` would say nothing."""
    root = tmp_path / "projects" / "acme"
    (root / "views").mkdir(parents=True)
    (root / "views" / "products.sql").write_text(VIEW, "utf-8")
    (root / "project.toml").write_text(
        '[source]\ndialect = "postgres"\nconnection = "DSN=x;PWD=${ERP_PASSWORD}"\n[stock2shop]\nsource_id = 57\n'
        'username = "me"\npassword = "${ACME_S2S_PASSWORD}"\n',
        "utf-8",
    )
    checked = run_command("check", "acme", folder=tmp_path, variables={})
    assert "The variable ERP_PASSWORD is not set." in checked.stdout
    assert "write ACME_S2S_PASSWORD=… in" in checked.stdout
