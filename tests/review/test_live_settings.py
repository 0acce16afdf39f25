"""A setting that changes alone, reviewed over the rows of the live source: what is said of it is true in every form."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import pytest
from support.client import VIEW
from support.command import run_command
from support.live_review import Live
from support.output import read_result

from engine.pages.review import review_page
from engine.review.decisions import decisions, review_json, verdict
from engine.review.markdown import reviews_markdown
from engine.review.text import reviews_text

if TYPE_CHECKING:
    from support.client import Client

    from engine.review.model import Review

QUIET = "no price, quantity, flag or key changes"


def reviewed(client: Client, *, before: str, after: str, view: str = VIEW, rows: int = 30) -> Review:
    """What comes of settings of [products] that change, of a client with ``rows`` items and two without a price."""
    client.write(settings=before)
    client.items(rows)
    client.item("X1", price=None, trade="7.50")
    client.item("X2", price=None, trade=None)
    live = Live(client)
    client.write(settings=after, view=view)
    return live.reviewed()


def forms(found: Review) -> dict[str, str]:
    """The review as it is printed, in each form, on one line."""
    texts = {
        "text": reviews_text([found]),
        "markdown": reviews_markdown([found]).replace("\\", "").replace("\u200b", ""),
        "json": " ".join([review_json(found)["verdict"], *review_json(found)["decisions"]]),
        "html": html.unescape(review_page([found], against="HEAD")),
    }
    return {form: " ".join(text.split()) for form, text in texts.items()}


def told(found: Review) -> list[str]:
    """The decisions of a review; all forms have the same ones and the same verdict, and none says that all is well."""
    sentences = decisions(found)
    for form, text in forms(found).items():
        assert verdict(found) in text.lower(), form
        assert QUIET not in text, form
        assert all(" ".join(each.split()) in text for each in sentences), form
    return sentences


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (
            "",
            'default_price_tier = "Trade"',
            ["price (as sent) changes in 1 of 32 rows. Such as: X1 Item X1, (blank) → 7.5."],
        ),
        ("", "blank_price = 0", ["price (as sent) changes in 2 of 32 rows. Such as: X1 Item X1, (blank) → 0."]),
        (
            "blank_price = 5",
            "blank_price = 9.50",
            ["price (as sent) changes in 2 of 32 rows. Such as: X1 Item X1, 5 → 9.5."],
        ),
        ("", "blank_tier_price = 3", ["price_tiers (as sent) changes in 31 of 32 rows."]),
    ],
)
def test_a_setting_that_moves_prices_is_told_with_the_prices_that_it_moves(
    client: Client, before: str, after: str, moved: list[str]
) -> None:
    """No column of the view changes, and all rows are sent again: those with another price are told apart."""
    found = reviewed(client, before=before, after=after)
    assert verdict(found) == "read this first"
    sentences = told(found)
    assert not [each for each in sentences if "without a change" in each]
    for each in moved:
        assert f"Products: {each}" in " ".join(sentences), sentences


def test_a_change_of_missing_is_told_with_what_no_review_can_see(client: Client) -> None:
    """What was kept in Stock2Shop until now is in no row of the source, and the next run removes it."""
    found = reviewed(client, before='missing = "keep"', after='missing = "delete"')
    assert verdict(found) == "read this first"
    (sentence,) = told(found)
    assert 'products.missing changes from "keep" to "delete"' in sentence
    assert "so is what was kept until now" in sentence


def test_keeping_what_is_missing_removes_nothing_where_the_view_loses_rows(client: Client) -> None:
    """The other way round the same view would be stopped by its guard."""
    view = f"{VIEW} where code > 'I014'"
    found = reviewed(client, before='missing = "delete"', after='missing = "keep"', view=view)
    assert verdict(found) == "read this first"
    assert not [each for each in told(found) if "removed from" in each or "stopped" in each]


def test_a_tighter_limit_stops_the_run_that_it_would_stop(client: Client) -> None:
    """The view loses one row of 32, which the limit before let pass."""
    view = f"{VIEW} where code <> 'I001'"
    found = reviewed(client, before="max_deletes = 5", after="max_deletes = 0", view=view)
    assert verdict(found) == "a run would stop"
    sentences = told(found)
    assert any("1 of 32 published rows would be removed; max_deletes allows 0." in each for each in sentences)
    assert any("products.max_deletes changes from 5 to 0" in each for each in sentences)


def test_a_looser_limit_lets_the_same_run_pass_and_is_told(client: Client) -> None:
    """Nobody merges a limit that lets half of the catalogue go without having read it."""
    view = f"{VIEW} where code > 'I014'"
    found = reviewed(client, before="max_deletes = 0", after="max_deletes = 20", view=view)
    assert verdict(found) == "read this first"
    assert any("products.max_deletes changes from 0 to 20" in each for each in told(found))


@pytest.mark.parametrize("setting", ["min_rows = 1000", "expect.min_rows = 1000"])
def test_more_rows_than_there_are_stop_the_run(client: Client, setting: str) -> None:
    """Over live rows, which are all of them."""
    found = reviewed(client, before="", after=setting)
    assert verdict(found) == "a run would stop"
    assert any("would be stopped" in each for each in told(found))


def test_a_new_client_with_too_few_rows_would_be_stopped_at_its_first_run(client: Client) -> None:
    """Nothing is published yet, and a run asks for the rows all the same."""
    client.items(3)
    client.write(settings="min_rows = 1000")
    live = Live(client)
    live.git("rm", "-rq", "--cached", "projects")
    live.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "Without the client")
    found = live.reviewed()
    assert found.new
    assert verdict(found) == "a run would stop"
    assert any("The view gave 3 rows; at least 1,000 are expected." in each for each in told(found))


def test_a_session_that_shows_other_prices_is_reviewed_with_both_sessions(client: Client) -> None:
    """The view's text is the same, and its table is another one."""
    client.sql("create schema old", "create table old.item as from item")
    client.items(3)
    client.sql("insert into old.item select * replace ('50.00' as price) from item")
    client.write()
    path = client.root / "project.toml"
    text = path.read_text("utf-8")
    live = Live(client)
    path.write_text(
        text.replace('database = "erp.duckdb"', 'database = "erp.duckdb"\nsession = ["set schema = \'old\'"]')
    )
    found = live.reviewed()
    assert verdict(found) == "read this first"
    sentences = told(found)
    assert any("csv_price_tiers changes in 3 of 3 rows, by -50 %" in each for each in sentences), sentences
    assert any("source.session is" in each for each in sentences)


def test_a_session_that_no_longer_opens_is_said_and_both_mappings_are_run_with_the_new_one(client: Client) -> None:
    """A review of its repair is needed the most."""
    client.items(3)
    client.write()
    path = client.root / "project.toml"
    text = path.read_text("utf-8")
    wrong = text.replace('database = "erp.duckdb"', 'database = "erp.duckdb"\nsession = ["set schema = \'none\'"]')
    path.write_text(wrong)
    live = Live(client)
    path.write_text(text)
    found = live.reviewed()
    assert verdict(found) == "read this first"
    assert any("source.session is no longer set" in each for each in told(found))
    (products,) = found.entities
    assert products.impact is not None
    assert any("read the source as it is read now" in each for each in products.impact.notes)


def test_workspace_toml_is_told_beside_a_client_whose_live_rows_are_as_before(client: Client) -> None:
    """It says when the client runs, and changes none of its rows: each has its own verdict, the same in every form."""
    client.items(3)
    file = client.workspace / "workspace.toml"
    file.write_text('[schedule]\nevery = "3m"\n', "utf-8")
    Live(client)
    file.write_text('[schedule]\nevery = "30m"\n', "utf-8")
    printed = {
        form: run_command(
            *("review", "--live", "--against", "HEAD", "--output", form),
            folder=client.workspace,
            variables=client.environment,
        ).stdout
        for form in ("text", "markdown", "json", "html")
    }
    shared, acme = read_result(printed["json"])
    assert (shared["verdict"], acme["verdict"]) == ("read this first", "safe to merge")
    (sentence,) = shared["decisions"]
    assert 'schedule.every changes from "3m" to "30m"' in sentence
    assert sentence.endswith("It holds for every client.")
    for form, text in printed.items():
        assert sentence in " ".join(html.unescape(text).replace("\\", "").split()) or form == "json", form


def test_a_workspace_toml_that_cannot_be_read_stops_every_run(client: Client) -> None:
    """Though the client's own files are as before."""
    client.items(3)
    file = client.workspace / "workspace.toml"
    file.write_text('[schedule]\nevery = "3m"\n', "utf-8")
    Live(client)
    file.write_text('[schedule]\nevery = "3 weeks"\n', "utf-8")
    ran = run_command("review", "--live", "--against", "HEAD", folder=client.workspace, variables=client.environment)
    assert ran.returncode == 1
    assert "A RUN WOULD STOP" in ran.stdout
