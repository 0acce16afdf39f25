"""A change to a mapping, read from a branch alone: what the SQL became, what feeds each field, what rows become."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.client import VIEW as VIEW_OF_CLIENT
from support.live_review import Live
from support.mapping import ITEM, PRICE, PROJECT, VIEW
from support.output import read_result

from engine.errors import UsageError
from engine.pages.review import review_page
from engine.review.compare import Checkouts, review_on_fixtures
from engine.review.decisions import decisions
from engine.review.git import at_reference, compared_states
from engine.review.markdown import review_markdown, reviews_markdown
from engine.review.samples import changed_part

if TYPE_CHECKING:
    from support.branch import Branch
    from support.client import Client


ROOT = Path(__file__).parents[2]


def test_without_a_change_there_is_nothing_to_review(branch: Branch) -> None:
    """And that is said in a line."""
    assert not branch.reviewed().changed
    assert "Nothing changes" in branch.s2s().stdout


def test_another_source_of_a_field_shows_its_sql_its_columns_and_its_rows(branch: Branch) -> None:
    """Before and after, for each."""
    branch.view("price.amount as csv_price_tiers", "price.amount * 2 as csv_price_tiers")
    (products,) = branch.reviewed().entities
    assert "+    price.amount * 2 as csv_price_tiers" in products.sql
    (field,) = products.fields
    assert (field.field, field.kind, field.before, field.after) == (
        "csv_price_tiers",
        "fed by something else",
        "price.amount",
        "price.amount * 2",
    )
    assert products.impact is not None
    (column,) = products.impact.columns
    assert (column.column, column.rows) == ("csv_price_tiers", 2)
    sample, _ = column.samples
    assert (sample.key, sample.label, sample.before, sample.after) == ("A1", "Hammer", "99.5", "199")


def test_a_field_that_is_added_or_removed_is_named(branch: Branch) -> None:
    """Each with its expression."""
    branch.view("    item.brand as vendor\n", "    item.brand as collection\n")
    (products,) = branch.reviewed().entities
    assert {(change.field, change.kind) for change in products.fields} == {
        ("vendor", "removed"),
        ("collection", "added"),
    }


def test_a_lost_condition_shows_as_rows_that_come_and_go(branch: Branch) -> None:
    """The most dangerous change is one of few letters."""
    branch.view("from item\n", "from item where item.code <> 'A1'\n")
    reviewed = branch.reviewed()
    (products,) = reviewed.entities
    assert products.impact is not None
    assert [(row.key, row.cause) for row in products.impact.removed] == [("A1", "gone from the source")]
    assert "1 is removed from Stock2Shop" in review_markdown(reviewed)


def test_a_macro_that_changes_shows_every_client_that_it_touches(branch: Branch) -> None:
    """And no other."""
    macro = branch.workspace / "templates" / "sql" / "own.sql"
    macro.parent.mkdir(parents=True)
    macro.write_text("{% macro shown(x) %}upper({{ x }}){% endmacro %}", "utf-8")
    branch.view("item.descr as title", '{{ own.shown(col("item.descr")) }} as title')
    path = branch.root / "views" / "products.sql"
    path.write_text('{% import "own.sql" as own %}\n' + path.read_text("utf-8"), "utf-8")
    other = branch.workspace / "projects" / "other"
    for name, text in {
        "project.toml": PROJECT.format(dialect="postgres"),
        "views/products.sql": VIEW,
        "fixtures/item.csv": ITEM,
        "fixtures/price.csv": PRICE,
    }.items():
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(text, "utf-8")
    branch.commit("Second")
    macro.write_text("{% macro shown(x) %}lower({{ x }}){% endmacro %}", "utf-8")
    said = branch.s2s("--output", "markdown").stdout
    assert "## acme" in said
    assert "## other" not in said
    assert "`HAMMER` | `hammer`" in said


def test_a_project_that_is_deleted_is_reviewed_like_any_other_change(branch: Branch) -> None:
    """Nothing is what its client would get from then on."""
    shutil.rmtree(branch.root)
    ran = branch.s2s("--output", "markdown")
    assert ran.returncode == 0
    assert "The client is not in the workspace any more" in ran.stdout
    assert '-dialect = "postgres"' in ran.stdout
    (found,) = read_result(branch.s2s("acme", "--output", "json").stdout)
    assert (found["gone"], found["new"]) == (True, False)


def test_a_project_that_was_faulty_is_not_called_new(branch: Branch) -> None:
    """Its mapping cannot be compared, its settings can."""
    settings = branch.root / "project.toml"
    whole = settings.read_text("utf-8")
    settings.write_text(whole.replace("source_id = 57", 'source_id = "x"'), "utf-8")
    branch.commit("Second")
    settings.write_text(whole, "utf-8")
    reviewed = branch.reviewed()
    assert not reviewed.new
    assert "projects/acme/project.toml:10: stock2shop.source_id should be a whole number" in reviewed.notes[0]
    assert '-source_id = "x"' in reviewed.settings


def test_a_password_in_the_settings_is_in_no_review(branch: Branch) -> None:
    """Neither the old nor the new one: a review goes to pull requests, and to the client."""
    settings = branch.root / "project.toml"
    whole = settings.read_text("utf-8")
    settings.write_text(whole.replace("PWD=${TEST_PASSWORD}", "PWD=hunter2;Encrypt=no"), "utf-8")
    branch.commit("Second")
    new = whole.replace("PWD=${TEST_PASSWORD}", "PWD={hun;ter3};Encrypt=no")
    settings.write_text(new.replace('password = "${TEST_PASSWORD}"', 'password = "hunter4"'), "utf-8")
    for output in ("text", "markdown", "json", "html"):
        said = branch.s2s("--output", output).stdout
        assert "Encrypt=no" in said
        assert "PWD=***" in said
        assert "hunter" not in said
        assert "ter3" not in said


def test_an_order_statement_that_no_longer_renders_says_why_and_fails(branch: Branch) -> None:
    """And does not look like statements that were taken out."""
    settings = branch.root / "project.toml"
    settings.write_text(f'{settings.read_text("utf-8")}\n[orders]\nconnection = "DSN=x"\n', "utf-8")
    statement = branch.root / "orders" / "10_header.sql"
    statement.parent.mkdir()
    statement.write_text("insert into o values ({{ order.id }})\n", "utf-8")
    shutil.copy(ROOT / "projects" / "karoo_outdoor" / "fixtures" / "order.json", branch.root / "fixtures")
    branch.commit("Second")
    assert not branch.reviewed().changed
    statement.write_text("insert into o values ({{ order.idd }})\n", "utf-8")
    ran = branch.s2s()
    assert ran.returncode == 1
    assert "projects/acme/orders/10_header.sql:1:" in " ".join(ran.stdout.split())
    assert "-insert into o values (?)" not in ran.stdout


def test_a_data_test_that_becomes_an_error_shows_as_what_stops_a_run(branch: Branch) -> None:
    """Though view and test are the same."""
    settings = branch.root / "project.toml"
    whole = settings.read_text("utf-8")
    (branch.root / "tests").mkdir()
    (branch.root / "tests" / "no_tent.sql").write_text("select * from products where title = 'Tent'", "utf-8")
    settings.write_text(f'{whole}\n[tests]\nno_tent = "warning"\n', "utf-8")
    branch.commit("Second")
    settings.write_text(f'{whole}\n[tests]\nno_tent = "error"\n', "utf-8")
    (products,) = branch.reviewed().entities
    assert products.impact is not None
    assert "no_tent" in products.impact.stops[0]


def test_data_tests_of_a_review_see_the_time_of_the_fixtures(branch: Branch) -> None:
    """What stops a run that is rehearsed does not depend on the day of the review."""
    (branch.root / "fixtures" / "types.toml").write_text("captured = 2026-05-03T10:20:30\n", "utf-8")
    (branch.root / "tests").mkdir()
    for name, day in (("on_the_day", "= date '2026-05-03'"), ("later", "> date '2026-05-03'")):
        test = f"select * from products where current_date {day}"
        (branch.root / "tests" / f"{name}.sql").write_text(test, "utf-8")
    branch.view("item.brand as vendor", "upper(item.brand) as vendor")
    (products,) = branch.reviewed().entities
    assert products.impact is not None
    assert [stop for stop in products.impact.stops if "on_the_day" in stop]
    assert not [stop for stop in products.impact.stops if "later" in stop]


def test_a_review_says_what_of_the_session_is_not_run_on_fixtures(branch: Branch) -> None:
    """And stops at what would change the meaning of the view."""
    settings = branch.root / "project.toml"
    whole = settings.read_text("utf-8")
    settings.write_text(whole.replace("[stock2shop]", 'session = ["checkpoint"]\n\n[stock2shop]'), "utf-8")
    branch.commit("Second")
    branch.view("item.brand as vendor", "upper(item.brand) as vendor")
    said = " ".join(branch.s2s().stdout.split())
    assert "Assumed: statement 1 of `session` under [source] is not run on fixtures" in said


def test_rows_that_the_clients_flag_no_longer_lets_through_are_counted(branch: Branch) -> None:
    """They are neither sent nor removed, so nothing else would tell."""
    settings = branch.root / "project.toml"
    settings.write_text(f'{settings.read_text("utf-8")}\n[products]\nactive = {{ Ignore = ["yes"] }}\n', "utf-8")
    assert "On 4 rows of products: 1 is no longer held back, 2 are no longer synced." in branch.s2s().stdout


def test_a_row_that_is_no_longer_synced_is_told_where_another_one_takes_its_place(branch: Branch) -> None:
    """The flag lets as many rows through as before."""
    branch.view("item.web as product_active", "case item.code when 'B2' then 'No' else item.web end as product_active")
    branch.commit("Second")
    branch.view("case item.code when 'B2'", "case item.code when 'A1'")
    reviewed = branch.reviewed()
    assert "1 row of products is ignored by its flag from now on: what Stock2Shop holds of it stays as it is." in (
        decisions(reviewed)
    )
    (products,) = reviewed.entities
    assert products.impact is not None
    assert [(row.key, row.cause) for row in products.impact.unsynced] == [("A1", "ignored by its flag")]


def test_rows_that_leave_the_view_and_are_kept_are_told(branch: Branch) -> None:
    """With their price and quantity of that day."""
    settings = branch.root / "project.toml"
    settings.write_text(f'{settings.read_text("utf-8")}\n[products]\nmissing = "keep"\n', "utf-8")
    branch.commit("Second")
    branch.view("from item\n", "from (select * from item where code <> 'A1') as item\n")
    reviewed = branch.reviewed()
    assert "1 row of products is gone from the view and kept: what Stock2Shop holds of it stays as it is." in (
        decisions(reviewed)
    )
    assert "= no longer synced: 1" in branch.s2s().stdout


def test_rows_that_vanish_while_a_row_loses_its_code_are_told(branch: Branch) -> None:
    """They may be that row, and are not removed."""
    branch.view("item.code as source_variant_code", "nullif(item.code, 'A1') as source_variant_code")
    assert "1 row of products is gone from the view and not removed, since a row without a code may be it." in (
        decisions(branch.reviewed())
    )


def test_values_that_become_blank_are_counted(branch: Branch) -> None:
    """Of thousands of changes the samples may not show one."""
    branch.view("item.brand as vendor", "nullif(item.brand, 'Karoo') as vendor")
    said = branch.s2s("--output", "markdown").stdout
    assert "| vendor | 1, 1 of them to blank |" in said


def test_a_comment_is_never_longer_than_a_pull_request_takes(branch: Branch) -> None:
    """A macro that touches every client still gets its comment, with a line for each of them."""
    branch.view(
        "    item.brand as vendor", "".join(f"    '{n:0400}' as meta_m{n},\n" for n in range(12)) + "    'x' as vendor"
    )
    reviewed = branch.reviewed()
    text = reviews_markdown([replace(reviewed, project=f"client{n}") for n in range(20)])
    assert len(text) < 65_536
    assert all(f"| client{n} |" in text for n in range(20))
    assert "Left out: " in text


def test_nothing_in_a_difference_closes_its_fence(branch: Branch) -> None:
    """What follows would be read as Markdown."""
    branch.view("from item\n", "-- ```\n-- ![](x)\nfrom item\n")
    text = review_markdown(branch.reviewed())
    assert "````diff\n--- a/products.sql" in text


def test_sentences_fit_a_terminal_of_80_columns(branch: Branch) -> None:
    """SQL is as long as it is."""
    branch.view("item.descr as title", f"upper({'lower(' * 20}item.descr{')' * 20}) as title")
    shutil.copytree(branch.root, branch.root.with_name("other"))
    said = branch.s2s().stdout.partition("  SQL")[0]
    assert "title" in said
    assert [line for line in said.splitlines() if len(line) > 80] == []


def test_a_view_that_no_longer_runs_says_why_and_fails(branch: Branch) -> None:
    """In the review itself: it is what the reviewer must know."""
    branch.view("item.descr as title", "item.descr as titel")
    ran = branch.s2s("acme")
    assert ran.returncode == 1
    assert "DOES NOT RUN" in ran.stdout
    assert "Traceback" not in ran.stderr


def test_settings_that_can_no_longer_be_read_are_in_the_review_itself(branch: Branch) -> None:
    """Otherwise a pull request would be told that nothing changes."""
    settings = branch.root / "project.toml"
    settings.write_text(settings.read_text("utf-8").replace("source_id = 57", 'source_id = "x"'), "utf-8")
    ran = branch.s2s("--output", "markdown")
    assert ran.returncode == 1
    assert "projects/acme/project.toml:10: stock2shop.source_id should be a whole number" in ran.stdout
    assert '+source_id = "x"' in ran.stdout


def test_settings_and_order_statements_are_compared_too(branch: Branch) -> None:
    """They decide as much as the SQL."""
    (branch.root / "orders").mkdir()
    (branch.root / "orders" / "10_header.sql").write_text("insert into o values ({{ order.id }})\n", "utf-8")
    settings = branch.reviewed().settings
    assert "b/orders/10_header.sql" in settings
    assert "+insert into o values ({{ order.id }})" in settings


def test_a_reference_that_is_not_there_is_usage(branch: Branch) -> None:
    """With what to write."""
    ran = branch.s2s("acme", "--against", "nowhere")
    assert (ran.returncode, "--against main" in ran.stderr) == (2, True)
    with pytest.raises(UsageError), at_reference(branch.workspace, "--output=x"):
        pass
    with pytest.raises(UsageError), at_reference(branch.workspace, "HEAD:projects"):
        pass


def test_a_branch_that_only_the_remote_has_is_proposed(branch: Branch) -> None:
    """As in a clone that a workflow made."""
    branch.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert "Did you mean origin/main?" in branch.s2s("--against", "main").stderr


def test_a_shallow_clone_says_how_to_fetch_the_rest(branch: Branch, tmp_path: Path) -> None:
    """The usual surprise of a workflow."""
    branch.commit("Second")
    shallow = tmp_path / "shallow"
    branch.git("clone", "-q", "--depth", "1", branch.workspace.as_uri(), str(shallow))
    with pytest.raises(UsageError) as refused, at_reference(shallow, "HEAD~1"):
        pass
    assert "git fetch --unshallow" in refused.value.hint


def test_a_workspace_outside_of_git_says_what_to_do(branch: Branch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """And so does one that nothing was committed of."""
    outside = tmp_path_factory.mktemp("outside")
    with pytest.raises(UsageError, match="is not in a git repository") as refused, at_reference(outside, "HEAD"):
        pass
    assert "git init" in refused.value.hint
    subprocess.run(["git", "init", "-q"], cwd=outside, check=True)
    with pytest.raises(UsageError, match="Nothing is committed yet"), at_reference(outside, "HEAD"):
        pass
    assert branch.s2s("--against", "HEAD").returncode == 0


def test_outside_of_git_the_message_does_not_depend_on_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system of its own, git speaks of a boundary instead."""
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nprintf 'fatal: not one, up to /\\nStopping at a boundary\\n' >&2\nexit 128\n", "utf-8")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="is not in a git repository") as refused, at_reference(tmp_path, "HEAD"):
        pass
    assert "git init" in refused.value.hint


def test_a_repository_that_git_refuses_says_why_in_gits_words(branch: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that another user owns: git names the command that trusts it."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(UsageError, match="dubious ownership") as refused, at_reference(branch.workspace, "HEAD"):
        pass
    assert "safe.directory" in refused.value.hint


def test_a_workspace_that_the_reference_does_not_have_yet_is_all_new(branch: Branch) -> None:
    """It may be a folder of a larger repository."""
    below = branch.workspace / "mäps of clients"
    shutil.copytree(branch.workspace / "projects", below / "projects")
    with at_reference(below, "HEAD") as earlier:
        assert review_on_fixtures("acme", Checkouts(below, earlier, "HEAD")).new
    branch.commit("Second")
    with at_reference(below, "HEAD") as earlier:
        assert not review_on_fixtures("acme", Checkouts(below, earlier, "HEAD")).changed


def test_the_states_that_were_compared_can_be_found_again(branch: Branch) -> None:
    """A signature stands below them."""
    branch.git("tag", "then")
    branch.commit("Second")
    said = compared_states(branch.workspace, "then")
    first, second = (branch.git("rev-parse", "--short", name).decode().strip() for name in ("then", "HEAD"))
    assert first in said
    assert second in said
    assert "not committed" not in said
    branch.view("item.qty as", "item.qty + 1 as")
    assert "with what is not committed yet" in compared_states(branch.workspace, "then")


def test_a_view_that_is_a_link_is_followed_at_the_reference_too(branch: Branch) -> None:
    """But no link leads out of what git keeps."""
    view = branch.root / "views" / "products.sql"
    view.rename(branch.root / "views" / "shared.sql")
    view.symlink_to("shared.sql")
    (branch.root / "outside").symlink_to("/etc")
    (branch.root / "above").symlink_to("../../../index")
    (branch.root / "through").symlink_to("outside/hostname")
    (branch.root / "loop").symlink_to("loop")
    branch.commit("Second")
    assert not branch.reviewed().changed
    with at_reference(branch.workspace, "HEAD") as earlier:
        links = {path.name for path in (earlier / "projects" / "acme").rglob("*") if path.is_symlink()}
    assert links == {"products.sql", "loop"}


def test_a_review_does_not_touch_the_working_tree_or_the_index(branch: Branch) -> None:
    """The reference is written to a folder of its own."""
    branch.view("item.qty as", "item.qty + 1 as")
    branch.git("add", ".")
    branch.view("item.qty + 1 as", "item.qty + 2 as")
    before = branch.git("status", "--porcelain"), branch.git("diff"), branch.git("diff", "--cached")
    assert branch.reviewed().changed
    assert (branch.git("status", "--porcelain"), branch.git("diff"), branch.git("diff", "--cached")) == before


def test_a_review_is_json_for_machines(branch: Branch) -> None:
    """Whole."""
    branch.view("item.qty as", "item.qty + 1 as")
    (found,) = read_result(branch.s2s("acme", "--output", "json").stdout)
    assert found["entities"][0]["fields"][0]["field"] == "variants.qty"


def test_over_live_rows_a_review_counts_what_a_run_would_send(client: Client) -> None:
    """The numbers are those of the next run, had everything been sent before."""
    client.items(400)
    live = Live(client)
    client.write(view=VIEW_OF_CLIENT.replace("title,", "upper(title) as title,", 1))
    client.sql("update item set title = upper(title) where code < 'I100'")
    (products,) = live.reviewed().entities
    assert products.impact is not None
    assert products.impact.after.updates == 300
    (column,) = products.impact.columns
    assert (column.column, column.rows, len(column.samples)) == ("title", 300, 5)
    assert not client.posted()
    assert not (client.workspace / ".state").exists()


def test_a_lost_condition_over_live_rows_is_what_a_guard_would_stop(client: Client) -> None:
    """Before anybody runs it."""
    client.items(100)
    live = Live(client)
    client.write(view=f"{VIEW_OF_CLIENT} where code > 'I049'")
    (products,) = live.reviewed().entities
    assert products.impact is not None
    assert products.impact.removals == 50
    assert any("max_deletes" in stop for stop in products.impact.stops)


def test_personal_data_of_live_rows_is_masked_in_a_review(client: Client) -> None:
    """A page goes to people who need not know it."""
    client.write(more="[customers]\n")
    view = client.root / "views" / "customers.sql"
    text = (
        "select code as source_customer_code, 'Active' as customer_active, title as first_name,"
        " lower(code) || '@example.com' as email from item"
    )
    view.write_text(text, "utf-8")
    client.item("C1", title="Thandi")
    live = Live(client)
    view.write_text(text.replace("title as first_name", "upper(title) as first_name"), "utf-8")
    reviewed = live.reviewed()
    page = review_page([reviewed], against="HEAD")
    assert "first_name" in page
    assert "thandi" not in page.lower()
    assert "thandi" not in review_markdown(reviewed).lower()


def test_only_the_part_of_a_long_expression_that_differs_is_shown() -> None:
    """With a little of what stands around it."""
    long = "coalesce(" + ", ".join(f"price.list_{n}" for n in range(20)) + ", {}, 0)"
    before, after = changed_part(long.format("price.retail"), long.format("price.trade"))
    assert before.startswith("… ")
    assert "price.retail, 0)" in before
    assert "price.trade, 0)" in after
    assert len(before) < 80
