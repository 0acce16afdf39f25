"""A ledger belongs to one Stock2Shop account and one database; orders of others are other orders."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.erp import NOTHING_UNIQUE, STATEMENTS, order_document, order_line, parsed
from support.output import read_result

from engine.errors import OriginChangedError
from engine.orders.ledger_file import ledger_path
from engine.orders.origin import order_origin
from engine.orders.pipeline import OrderProcessor
from engine.orders.pull import pull_orders
from engine.orders.receiver import Receiver
from engine.orders.serve import run_receiver
from engine.state.store import open_state

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.erp import Erp

    from engine.orders.entry import Entry
    from engine.sandbox.server import Sandbox

    Sandboxes = Callable[..., Sandbox]

LEDGERS = Path(__file__).parent / "ledgers"

COMMANDS = {
    "pull": (),
    "import": ("order.json",),
    "plan": (),
    "retry": (),
    "raise": ("1", "--by", "Thandi"),
    "verify": (),
    "skip": ("2", "--as", "SO9"),
}


def code_at(sandbox: Sandbox, order_id: int) -> str:
    """The code that Stock2Shop was answered for an order; blank for none."""
    return str(sandbox.orders()[order_id].get("sources", [{}])[0].get("source_order_code", ""))


def waiting(order_id: int) -> dict[str, object]:
    """An order of an item that is not there."""
    return order_document(order_id, line_items=[order_line(sku="Z")], total=None)


@pytest.fixture
def moved(erp: Erp, make_sandbox: Sandboxes) -> Erp:
    """A client with an order that one account was answered and one that waits, whose project now names another."""
    for document in (order_document(1), waiting(2)):
        erp.sandbox.place_order(document)
    assert erp.s2s("orders", "pull", "acme").returncode == 4
    erp.sandbox = make_sandbox()
    erp.sandbox.place_order(order_document(1, notes="Another"))
    (erp.workspace / "order.json").write_text(json.dumps(order_document(1, notes="Another")), "utf-8")
    return erp


@pytest.mark.parametrize("command", COMMANDS)
def test_another_accounts_orders_are_not_touched_before_somebody_says_what_is_meant(moved: Erp, command: str) -> None:
    """Nothing is asked for, raised or answered; the message names both accounts and the way on."""
    before = moved.entry(1), moved.entry(2)
    ran = moved.s2s("orders", command, "acme", *COMMANDS[command])
    assert ran.returncode == 3, (ran.stdout, ran.stderr)
    assert "source 57, but project.toml names http" in ran.stderr
    assert "s2s rebind acme --forget" in ran.stderr
    assert [*moved.sandbox.requests] == []
    assert (moved.orders(), code_at(moved.sandbox, 1)) == ([("#1", "C1")], "")
    assert (moved.entry(1), moved.entry(2)) == before


def test_what_the_ledger_holds_is_shown_all_the_same(moved: Erp) -> None:
    """To whoever has to say what is meant, with whose it is; nobody who looks takes it for an order under way."""
    looks = (("orders", "list", "acme"), ("orders", "show", "acme", "1"), ("explain", "acme", "SO1"))
    before = [moved.s2s(*words).stdout for words in looks]
    assert "order 1: answered as SO1" in before[1]
    assert [text for text in before if "SO1" not in text or "Nothing is raised before" not in text] == []
    moved.s2s("rebind", "acme", "--keep")
    after = [moved.s2s(*words).stdout for words in looks]
    assert [text for text in after if "SO1" not in text or "belongs to" in text] == []


def test_whoever_misses_an_order_that_was_put_aside_is_led_to_it(moved: Erp) -> None:
    """By its id, or by its code in the database."""
    moved.s2s("rebind", "acme", "--forget")
    for words in (
        ("orders", "show", "acme", "1"),
        ("orders", "retry", "acme", "1"),
        ("explain", "acme", "SO1", "--entity", "orders"),
    ):
        ran = moved.s2s(*words)
        assert (ran.returncode, "s2s orders former acme 1" in ran.stderr) == (2, True), ran.stderr
    assert "s2s orders former" not in moved.s2s("orders", "show", "acme", "77").stderr


def test_a_receiver_does_not_start_with_another_accounts_ledger(moved: Erp) -> None:
    """It would answer each order that it cannot take it."""
    with pytest.raises(OriginChangedError), run_receiver(moved.project, moved.ledgers):
        pass


def test_a_receiver_that_runs_answers_that_nothing_was_raised(moved: Erp) -> None:
    """Whoever sent the order sends it again: it is lost nowhere, and no old code is told."""
    events: list[str] = []
    receiver = Receiver(moved.project, moved.ledgers, on_event=lambda text, **_facts: events.append(text))
    with closing(receiver):
        reply = receiver.receive(json.dumps(order_document(1)).encode())
    assert (reply.status, reply.retry_after) == (503, 60)
    assert "The order ledger of acme belongs to" in reply.body["error"]["reason"]
    assert events == [f"An order was not taken: {reply.body['error']['reason']}"]


def test_the_doctor_says_that_the_ledger_is_another_accounts(moved: Erp) -> None:
    """And names the command that says what is meant; else whose it is."""
    ran = moved.s2s("doctor", "acme")
    assert (ran.returncode, "bad   order ledger: The order ledger of acme belongs to" in ran.stdout) == (1, True)
    moved.s2s("rebind", "acme", "--keep")
    said = moved.s2s("doctor", "acme").stdout
    assert f"order ledger: it belongs to {order_origin(moved.project).account}; the file erp.sqlite" in said


def test_an_order_of_another_account_is_raised_and_answered_with_its_own_code(
    any_erp: Erp, other_erp: Erp, make_sandbox: Sandboxes
) -> None:
    """From a sandbox and a test database to the live ones; the old orders are traced as theirs."""
    any_erp.sandbox.place_order(order_document(1, channel_order_code="#TEST"))
    any_erp.sandbox.place_order(order_document(2))
    assert any_erp.s2s("orders", "pull", "acme").returncode == 0
    before = order_origin(any_erp.project)
    any_erp.sandbox = other_erp.sandbox = make_sandbox()
    other_erp.write('default_customer = "CASH"')
    other_erp.sandbox.place_order(order_document(1, channel_order_code="#LIVE"))
    assert other_erp.s2s("orders", "pull", "acme").returncode == 3
    rebound = other_erp.s2s("rebind", "acme", "--forget").stdout
    assert "2 orders put aside: s2s orders former acme" in rebound
    pulled = other_erp.s2s("orders", "pull", "acme")
    assert (pulled.returncode, code_at(other_erp.sandbox, 1)) == (0, "SO1"), pulled.stdout
    assert (any_erp.orders(), other_erp.orders()) == ([("#TEST", "C1"), ("#2", "C1")], [("#LIVE", "C1")])
    listed = read_result(other_erp.s2s("orders", "former", "acme", "--output", "json").stdout)
    assert [(each["order_id"], each["source_order_code"]) for each in listed] == [(2, "SO2"), (1, "SO1")]
    assert {(each["account"], each["database"]) for each in listed} == {(before.account, before.database)}
    shown = other_erp.s2s("orders", "former", "acme", "1").stdout
    assert f"order 1 of {before.account}: answered as SO1, by pull" in shown
    assert [word for word in ("received: by pull", "answered: by pull", before.database) if word not in shown] == []


def test_an_order_that_was_tried_in_one_database_is_raised_in_another(any_erp: Erp, other_erp: Erp) -> None:
    """For the same account, which knows the order under the code that it has in the first."""
    tried = {"lookup.sql": None, "90_code.sql": "select 'TEST-1' as source_order_code"}
    any_erp.write('default_customer = "CASH"', statements=tried)
    any_erp.sandbox.place_order(order_document(1))
    assert any_erp.s2s("orders", "pull", "acme").returncode == 0
    other_erp.write('default_customer = "CASH"')
    source = {"source_id": 57, "source_customer_code": "C1", "source_order_code": code_at(any_erp.sandbox, 1)}
    other_erp.sandbox.place_order(order_document(1, sources=[source]))
    ran = other_erp.s2s("orders", "pull", "acme")
    assert (ran.returncode, "The orders of acme were raised in" in ran.stderr) == (3, True)
    assert "s2s rebind acme --forget --only orders" in ran.stderr
    assert other_erp.s2s("rebind", "acme", "--forget", "--only", "orders").returncode == 0
    assert other_erp.s2s("orders", "pull", "acme").returncode == 0
    assert (other_erp.orders(), code_at(other_erp.sandbox, 1)) == ([("#1", "C1")], "SO1")


def test_an_order_of_another_account_in_the_same_database_is_not_taken_for_the_old_one(moved: Erp) -> None:
    """The lookup finds the other account's order by its number: the code is not answered, and somebody looks."""
    moved.s2s("rebind", "acme", "--forget")
    assert moved.s2s("orders", "pull", "acme").returncode == 4
    entry = moved.entry(1)
    assert (entry.rule, code_at(moved.sandbox, 1)) == ("code_taken", "")
    assert "orders/lookup.sql found SO1, which is the code of order 1 of http" in entry.reason
    own = "s2s_id = {{ order.id }} and reference <> '#1'"
    lookup = f"select 'SO' || id as source_order_code from erp_order where {own}"
    header = STATEMENTS["10_header.sql"].replace("{{ order.reference }}", "'LIVE-' || {{ order.id }}")
    moved.write('default_customer = "CASH"', statements={"lookup.sql": lookup, "10_header.sql": header})
    assert moved.s2s("orders", "retry", "acme", "1").returncode == 0
    assert moved.s2s("orders", "pull", "acme").returncode == 0
    assert (moved.orders(), code_at(moved.sandbox, 1)) == ([("#1", "C1"), ("LIVE-1", "C1")], "SO2")


def test_a_code_that_stock2shop_tells_of_another_accounts_order_is_not_believed(moved: Erp) -> None:
    """In the database it is the code of the order that the former account had."""
    moved.s2s("rebind", "acme", "--forget")
    sources = [{"source_id": 57, "source_order_code": "SO1"}]
    (entry,) = moved.receive(order_document(7, sources=sources))
    assert (entry.status, entry.rule) == ("waiting", "code_taken")
    assert "Stock2Shop says SO1, which is the code of order 1 of http" in entry.reason


def test_orders_of_an_account_that_only_moved_stay_known(moved: Erp) -> None:
    """Under another address it is the same: what was raised is, and what waits goes on."""
    said = moved.s2s("rebind", "acme", "--keep").stdout
    assert "put aside" not in said
    moved.s2s("orders", "pull", "acme")
    assert (moved.orders(), moved.entry(1).status) == ([("#1", "C1")], "answered")
    assert moved.s2s("orders", "skip", "acme", "2", "--as", "HAND-2").returncode == 0
    assert "no such orders" in moved.s2s("orders", "former", "acme").stdout


def test_orders_that_were_put_aside_are_there_again_with_their_account(erp: Erp, make_sandbox: Sandboxes) -> None:
    """Each is raised once, however often the project goes to and fro; what waited is not lost."""
    accounts = erp.sandbox, make_sandbox(source_id=58)
    said = []
    for turn in range(4):
        erp.sandbox = accounts[turn % 2]
        erp.write('default_customer = "CASH"', statements=NOTHING_UNIQUE | {"lookup.sql": None})
        toml = erp.root / "project.toml"
        toml.write_text(toml.read_text("utf-8").replace("= 57", f"= {57 + turn % 2}"), "utf-8")
        said.append(erp.s2s("rebind", "acme", "--forget").stdout)
        for document in (order_document(1), waiting(2)):
            erp.sandbox.place_order(document)
        erp.s2s("orders", "pull", "acme")
        assert [each.status for each in (erp.entry(1), erp.entry(2))] == ["answered", "waiting"]
    assert len(erp.orders()) == 2
    assert ["there again" in each for each in said] == [False, False, True, True]
    assert "2 orders put aside before, there again." in said[-1]
    with erp.ledger() as ledger:
        assert [status for _, status, _ in ledger.status_history(1)] == ["received", "raising", "raised", "answered"]


def test_an_account_that_was_taken_for_another_comes_back_with_its_orders(moved: Erp, make_sandbox: Sandboxes) -> None:
    """It was forgotten where it had only moved: of an order that was received again, the newest counts."""
    account = order_origin(moved.project).account
    moved.s2s("rebind", "acme", "--forget")
    moved.receive(order_document(3))
    moved.sandbox = make_sandbox()
    with moved.ledgers.viewed("acme") as ledger:
        (one, two) = ledger.former.list_newest(limit=5)
    assert (one.origin, two.origin.account == account) == (two.origin, False)
    moved.s2s("rebind", "acme", "--keep")
    moved.receive(order_document(2))
    with moved.ledger() as ledger:
        ledger.rebind(one.origin, forget=False)
    with moved.ledgers.viewed("acme") as ledger:
        assert [each.order_id for each in ledger.list_entries()] == [1, 2, 3]
        assert [(each.entry.order_id, each.entry.status) for each in ledger.former.list_newest(limit=5)] == [
            (2, "waiting")
        ]
        assert ledger.rebind(order_origin(moved.project), forget=True).put_aside == 3
        assert [each.entry.order_id for each in ledger.former.find(2)] == [2, 2]
        assert ledger.rebind(one.origin, forget=True).brought_back == 3
        assert ledger.get_entry(2).status == "raised"


def test_a_rebind_of_the_orders_leaves_the_state_alone_and_the_other_way_round(moved: Erp) -> None:
    """Orders may have another database than products have."""
    result = read_result(moved.s2s("rebind", "acme", "--forget", "--only", "state", "--output", "json").stdout)
    assert (result["forgotten"], result["orders"]) == (True, None)
    assert moved.s2s("orders", "plan", "acme").returncode == 3
    result = read_result(moved.s2s("rebind", "acme", "--forget", "--only", "orders", "--output", "json").stdout)
    assert (result["forgotten"], result["orders"]["put_aside"], result["orders"]["unfinished"]) == (False, 2, 1)
    assert moved.s2s("orders", "plan", "acme").returncode == 0
    again = moved.s2s("rebind", "acme", "--forget").stdout
    assert "The order ledger of acme belongs to" in again
    assert "put aside" not in again


def test_a_rebind_that_a_run_keeps_out_leaves_the_orders_alone(moved: Erp) -> None:
    """Else it would have put orders aside that wait, and told nobody."""
    with open_state(moved.project.state):
        assert moved.s2s("rebind", "acme", "--forget", alone=True).returncode == 75
    assert "2 orders put aside" in moved.s2s("rebind", "acme", "--forget").stdout


def test_a_process_that_began_with_the_former_account_changes_nothing_any_more(
    erp: Erp, make_sandbox: Sandboxes
) -> None:
    """A pull that is under way, or a receiver, while somebody rebinds."""
    erp.receive(order_document(1))
    with erp.ledger() as ledger:
        erp.sandbox = make_sandbox()
        erp.s2s("rebind", "acme", "--forget")
        with pytest.raises(OriginChangedError):
            ledger.receive(2, parsed(order_document(2)), via="pull")
        with erp.ledgers.viewed("acme") as looked_at:
            assert looked_at.list_entries() == []
    erp.receive(order_document(2))
    assert erp.entry(2).status == "raised"


def test_the_documents_of_orders_that_were_put_aside_are_deleted_as_others_are(moved: Erp) -> None:
    """They are about people, and an order that waits there is finished as well."""
    moved.s2s("rebind", "acme", "--forget")
    path = ledger_path(moved.project.state.parent, "acme")
    with closing(sqlite3.connect(path)) as file:
        for keep_days, kept in ((1, 2), (-1, 0)):
            with moved.ledger() as ledger:
                ledger._store.write("delete from maintenance", [])
                ledger.prune(keep_days=keep_days)
            assert file.execute("select count(document) from former_orders").fetchone() == (kept,)
        assert file.execute("select count(*), max(source_order_code) from former_orders").fetchone() == (2, "SO1")


@pytest.mark.parametrize("in_doubt", [False, True])
def test_an_order_that_comes_back_without_its_document_waits_for_it(
    erp: Erp, make_sandbox: Sandboxes, *, in_doubt: bool
) -> None:
    """It is no order without lines, to be skipped: once it is sent again, it is raised."""
    account = erp.sandbox
    with erp.ledger() as ledger:
        ledger.receive(1, parsed(order_document(1)), via="pull")
        if in_doubt:
            ledger.move(1, "raising")
            ledger.mark_commit_sent(1, "SO1")
    erp.sandbox = make_sandbox()
    erp.s2s("rebind", "acme", "--forget")
    with erp.ledger() as ledger:
        ledger.prune(keep_days=-1)
    erp.sandbox = account
    erp.s2s("rebind", "acme", "--forget")
    assert erp.s2s("orders", "pull", "acme").returncode == 4
    assert (erp.entry(1).rule, erp.entry(1).uncertain, erp.orders()) == ("no_document", in_doubt, [])
    assert "it was finished, or put aside, more than" in erp.s2s("orders", "retry", "acme", "1").stderr
    account.place_order(order_document(1))
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    assert (erp.orders(), code_at(account, 1)) == ([("#1", "C1")], "SO1")


def test_a_ledger_without_an_order_takes_whatever_the_project_names(erp: Erp, make_sandbox: Sandboxes) -> None:
    """Trying one's way to the right address needs no command."""
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    erp.sandbox = make_sandbox()
    erp.sandbox.place_order(order_document(1))
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    assert len(erp.orders()) == 1


def test_a_ledger_of_version_5_takes_the_account_that_it_finds(erp: Erp, make_sandbox: Sandboxes) -> None:
    """An older engine did not record it; all that it knew is kept, and from then on another account is refused."""
    path = ledger_path(erp.project.state.parent, "acme")
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((LEDGERS / "version_5.sql").read_text("utf-8"))
    erp.sandbox.place_order(order_document(1))
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    assert (erp.orders(), erp.entry(1).source_order_code, erp.entry(2).status) == ([], "SO1", "waiting")
    with erp.ledger() as ledger:
        assert [status for _, status, _ in ledger.status_history(2)] == ["received", "raising", "waiting"]
    erp.sandbox = make_sandbox()
    assert erp.s2s("orders", "pull", "acme").returncode == 3


def test_orders_of_which_nobody_noted_whose_they_are_are_not_taken_for_another_accounts(
    erp: Erp, make_sandbox: Sandboxes
) -> None:
    """Those of an older version, which would count as the new account's, or could not be got back."""
    path = ledger_path(erp.project.state.parent, "acme")
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((LEDGERS / "version_5.sql").read_text("utf-8"))
    first, second = erp.sandbox, make_sandbox()
    erp.sandbox = second
    second.place_order(order_document(1))
    ran = erp.s2s("rebind", "acme", "--forget", "--only", "orders")
    assert (ran.returncode, "does not know whose orders it has" in ran.stderr) == (3, True)
    erp.sandbox = first
    assert erp.s2s("rebind", "acme", "--keep", "--only", "orders").returncode == 0
    erp.sandbox = second
    assert "put aside" in erp.s2s("rebind", "acme", "--forget", "--only", "orders").stdout
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    assert (erp.orders(), code_at(second, 1)) == ([("#1", "C1")], "SO1")


@pytest.mark.parametrize("there", ["raised", "in doubt", "undone", "skipped"])
@pytest.mark.parametrize("again", ["received", "failed"])
def test_an_order_that_is_known_twice_is_never_pending_again(
    erp: Erp, make_sandbox: Sandboxes, there: str, again: str
) -> None:
    """An account was forgotten where it had only moved, and its orders came again before somebody saw it."""
    erp.receive(order_document(1))
    account = order_origin(erp.project)
    columns = {
        "raised": "status = 'answered'",
        "in doubt": "status = 'failed', uncertain = 1, finished_at = null",
        "undone": "status = 'waiting', rolled_back = 1, finished_at = null",
        "skipped": "status = 'skipped'",
    }
    with erp.ledger() as ledger, ledger._store.change():
        ledger._store.write(f"update orders set {columns[there]}", [])
    erp.sandbox = make_sandbox()
    erp.s2s("rebind", "acme", "--forget")
    with erp.ledger() as ledger:
        ledger.receive(1, parsed(order_document(1, notes="Corrected")), via="pull")
        if again == "failed":
            ledger.move(1, "raising")
            ledger.mark_failed(1, reason="It was away.")
        assert ledger.rebind(account, forget=False).brought_back == 1
    with erp.ledgers.viewed("acme") as ledger:
        (entry,) = ledger.list_entries()
        assert (entry.status, entry.uncertain, entry.rolled_back) == {
            "raised": ("answered", False, False),
            "in doubt": ("failed", True, False),
            "undone": ("waiting", False, True),
            "skipped": ("skipped", False, False),
        }[there]
        assert "notes" in {path for path, _, _ in ledger.corrections(1)}
        assert [each.entry.status for each in ledger.former.find(1)] == [again]


def test_what_is_put_aside_moves_along_with_its_database_and_its_account(erp: Erp, make_sandbox: Sandboxes) -> None:
    """Tried in a test database, and with another account; then database and account get other names."""
    tried, live = erp.sandbox, make_sandbox()
    toml = erp.root / "project.toml"
    sources = [{"source_id": 57, "source_customer_code": "C1", "source_order_code": "SO1"}]

    def point(sandbox: Sandbox, name: str) -> None:
        erp.sandbox = sandbox
        text = toml.read_text("utf-8")
        for each in ("test.sqlite", "erp.sqlite", "moved.sqlite"):
            text = text.replace(each, name)
        toml.write_text(text, "utf-8")

    (erp.workspace / "test.sqlite").write_bytes((erp.workspace / "erp.sqlite").read_bytes())
    erp.receive(order_document(1))  # another account's, in the live database
    point(live, "test.sqlite")
    erp.s2s("rebind", "acme", "--forget")
    erp.receive(order_document(2))  # the live account's, in the test database
    point(live, "erp.sqlite")
    erp.s2s("rebind", "acme", "--forget")
    (erp.workspace / "moved.sqlite").write_bytes((erp.workspace / "erp.sqlite").read_bytes())
    point(live, "moved.sqlite")
    erp.s2s("rebind", "acme", "--keep")
    point(make_sandbox(), "moved.sqlite")
    erp.s2s("rebind", "acme", "--keep")
    (first,) = erp.receive(order_document(1))
    assert (first.rule, "which is the code of order 1 of" in first.reason) == ("code_taken", True), first
    (second,) = erp.receive(order_document(2, sources=sources))
    assert (second.status, second.reason) == ("raised", ""), second
    point(tried, "moved.sqlite")
    assert "1 order put aside before, there again" in erp.s2s("rebind", "acme", "--forget").stdout


def test_a_code_that_stock2shop_knew_before_a_trial_is_believed_after_it(erp: Erp, make_sandbox: Sandboxes) -> None:
    """An agent of before raised it in the ERP; while orders were tried elsewhere, it only counted as raised."""
    (erp.workspace / "live.sqlite").write_bytes((erp.workspace / "erp.sqlite").read_bytes())
    document = order_document(1, sources=[{"source_id": 57, "source_order_code": "OLD77"}])
    erp.sandbox.place_order(document)
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    toml = erp.root / "project.toml"
    toml.write_text(toml.read_text("utf-8").replace("erp.sqlite", "live.sqlite"), "utf-8")
    erp.s2s("rebind", "acme", "--forget", "--only", "orders")
    erp.sandbox.place_order(document)
    assert erp.s2s("orders", "pull", "acme").returncode == 0
    assert (erp.entry(1).source_order_code, erp.entry(1).reason) == ("OLD77", "Stock2Shop knows it as OLD77 already")
    with closing(sqlite3.connect(erp.workspace / "live.sqlite")) as live:
        assert live.execute("select count(*) from erp_order").fetchone() == (0,)


def test_a_pull_that_is_overtaken_by_a_rebind_tells_its_account_no_code_of_the_other(
    erp: Erp, make_sandbox: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both accounts have an order 1, and each one's queue is answered by whoever asked it."""
    old, project = erp.sandbox, erp.project
    old.place_order(order_document(1))
    new = make_sandbox()
    original = OrderProcessor.receive

    def overtaken(self: OrderProcessor, *args: Any, **kwargs: Any) -> Entry:
        entry = original(self, *args, **kwargs)
        monkeypatch.undo()
        erp.sandbox = new
        erp.s2s("rebind", "acme", "--forget")
        erp.write(statements=NOTHING_UNIQUE | {"lookup.sql": None})
        erp.receive(order_document(1, notes="Another"), via="pull")
        return entry

    monkeypatch.setattr(OrderProcessor, "receive", overtaken)
    with pytest.raises(OriginChangedError, match="belongs to"):
        pull_orders(project, erp.ledgers, stop=threading.Event())
    assert (code_at(old, 1), erp.entry(1).status, len(erp.orders())) == ("", "raised", 2)


@pytest.mark.parametrize("status", ["received", "raising"])
def test_whoever_began_before_a_rebind_does_not_raise_the_other_accounts_order(
    erp: Erp, make_sandbox: Sandboxes, status: str
) -> None:
    """Not even one that is left in raising, which needs no change of its status first."""
    document = order_document(1)
    before, project = erp.sandbox, erp.project
    with erp.ledger() as ledger, closing(OrderProcessor(project)) as processor:
        ledger.receive(1, parsed(document), via="serve")
        erp.sandbox = make_sandbox()
        erp.s2s("rebind", "acme", "--forget")
        with erp.ledger() as other:
            other.receive(1, parsed(document), via="serve")
            if status == "raising":
                other.move(1, "raising")
        with pytest.raises(OriginChangedError) as stopped:
            processor.raise_one(ledger, 1)
        assert "start again what has run since before" in stopped.value.hint
        erp.sandbox = before
    assert (erp.orders(), erp.entry(1).status) == ([], status)
