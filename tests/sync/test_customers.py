"""Customers go the way that products go; what is about a person is shown to nobody who did not ask on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command import run_command
from support.output import read_result

from engine.errors import GuardError, UnavailableError, UsageError
from engine.sandbox.checks import RefusalError
from engine.state.store import open_state
from engine.sync import adopt, history
from engine.sync import pipeline as sync
from engine.sync.context import RunOptions
from engine.sync.explain import explain

if TYPE_CHECKING:
    from support.client import Client

    from engine.model.plan import Outcome, Plan
    from engine.stock2shop.exchange import Contents

ROOT = Path(__file__).parents[2]

VIEW = """\
select
    code as source_customer_code,
    active as customer_active,
    email,
    first_name,
    last_name,
    marketing as accepts_marketing,
    tier as price_tier,
    warehouse as qty_availability,
    'shipping' as "address1.type",
    true as "address1.default",
    street as "address1.address1",
    city as "address1.city",
    'ZA' as "address1.country_code",
    billing as "address2.address1",
    rep as "meta_rep"
from customer
"""

PERSON = ("thandi@example.com", "Thandi", "Example", "1 Sample Street", "Sampleton", "Box 12")
"""All that is about the person in :func:`customers`' first row."""


@dataclass
class Customers:
    """A client that has customers."""

    client: Client

    def add(self, code: str, **columns: object) -> None:
        """Add one customer; what is not given is sound."""
        row: dict[str, object] = {
            "code": code,
            "active": "Yes",
            "email": f"{code.lower()}@example.com",
            "first_name": "Thandi",
            "last_name": "Example",
            "street": "1 Sample Street",
            "city": "Sampleton",
            **columns,
        }
        values = ", ".join("null" if value is None else f"'{value}'" for value in row.values())
        self.client.sql(f"insert into customer ({', '.join(row)}) values ({values})")

    def plan(self, **options: Any) -> Plan:
        """Plan customers."""
        return sync.plan(self.client.project, "customers", options=RunOptions(**options))

    def run(self, **options: Any) -> Outcome:
        """Run customers."""
        return sync.run(self.client.project, "customers", options=RunOptions(**options))

    def held(self) -> dict[str, dict[str, Any]]:
        """What the sandbox holds, by code."""
        return self.client.sandbox.customers(57)


@pytest.fixture
def customers(client: Client) -> Customers:
    """A client whose customers can be read back, with one customer."""
    client.write(more='\n[customers]\nsearch_path = "/customers/elastic_search"\n')
    (client.root / "views" / "customers.sql").write_text(VIEW, "utf-8")
    columns = "code active email first_name last_name marketing tier warehouse street city billing rep"
    client.sql(f"create table customer ({', '.join(f'{name} varchar' for name in columns.split())})")
    made = Customers(client)
    made.add("C1", email="thandi@example.com", tier="Trade", warehouse="Main", billing="Box 12", marketing="1", rep="9")
    return made


def test_a_customer_is_sent_with_addresses_user_and_meta(customers: Customers) -> None:
    """Each under the name that Stock2Shop's own data objects have for it."""
    assert customers.run().outcome == "done"
    held = customers.held()["C1"]
    del held["id"], held["modified"]
    assert held == {
        "source_id": 57,
        "source_customer_code": "C1",
        "email": "thandi@example.com",
        "first_name": "Thandi",
        "last_name": "Example",
        "accepts_marketing": True,
        "addresses": [
            {
                "type": "shipping",
                "default": True,
                "address1": "1 Sample Street",
                "city": "Sampleton",
                "country_code": "ZA",
            },
            {"address1": "Box 12"},
        ],
        "user": {"price_tier": "Trade", "qty_availability": "Main"},
        "meta": [{"key": "rep", "value": "9"}],
    }


def test_an_unchanged_customer_is_not_sent_again(customers: Customers) -> None:
    """Nor one whose fields only gained blanks."""
    customers.run()
    customers.client.sql("update customer set email = email || '  ', last_name = last_name || ' '")
    outcome = customers.run()
    assert (outcome.sent, outcome.plan.counts.unchanged) == (0, 1)


def test_a_changed_tier_sends_one_customer(customers: Customers) -> None:
    """And only what changed is in the plan."""
    customers.add("C2")
    customers.run()
    customers.client.sql("update customer set tier = 'Retail' where code = 'C2'")
    (change,) = customers.plan().changes
    assert (change.key, change.kind, change.columns) == ("C2", "update", (("price_tier", None, "Retail"),))
    assert customers.run().sent == 1
    assert customers.held()["C2"]["user"]["price_tier"] == "Retail"


def test_a_customer_that_is_gone_or_marked_delete_is_removed(customers: Customers) -> None:
    """And one marked Ignore is left as it is."""
    for code in ("C2", "C3", "C4"):
        customers.add(code)
    customers.run()
    customers.client.sql(
        "delete from customer where code = 'C2'",
        "update customer set active = 'Delete' where code = 'C3'",
        "update customer set active = 'Ignore', city = 'Elsewhere' where code = 'C4'",
    )
    assert customers.run().outcome == "done"
    assert sorted(customers.held()) == ["C1", "C4"]
    assert customers.held()["C4"]["addresses"][0]["city"] == "Sampleton"


def test_the_guard_holds_for_customers_too(customers: Customers) -> None:
    """A view that lost its customers removes none."""
    for number in range(30):
        customers.add(f"D{number}")
    customers.run()
    customers.client.sql("delete from customer where code like 'D%'")
    with pytest.raises(GuardError, match="max_deletes"):
        customers.run()
    assert len(customers.held()) == 31


def test_an_email_that_is_none_quarantines_the_customer(customers: Customers) -> None:
    """The others are sent; the address is not shown."""
    malformed = (
        *("thandi", "thandi@", "thandi@example", "a@example.com; b@example.com", "a@example.com,b@example.com"),
        *("Thandi <a@example.com>", "a b@example.com", "a@@example.com", "a@example..com", f"{'a' * 250}@example.com"),
    )
    rules = dict.fromkeys(("", "  ", None), "blank_field") | dict.fromkeys(malformed, "malformed_email")
    for number, email in enumerate(rules):
        customers.add(f"D{number}", email=email)
    outcome = customers.run(everything=True)
    assert sorted(customers.held()) == ["C1"]
    assert outcome.outcome == "attention"
    problems = {problem.key: problem for problem in outcome.plan.quarantine}
    assert {key: problem.rule for key, problem in problems.items()} == {
        f"D{number}": rule for number, rule in enumerate(rules.values())
    }
    assert {(problem.column, problem.value in {None, "***"}) for problem in problems.values()} == {("email", True)}


def test_unusual_addresses_are_sent(customers: Customers) -> None:
    """What a mail server would take is no fault."""
    for number, email in enumerate(("o''neil@example.com", "ü@exämple.com", "a+b@mail.example.co.za")):
        customers.add(f"D{number}", email=email)
    assert (customers.run().outcome, len(customers.held())) == ("done", 4)


def test_two_customers_with_one_code_are_both_held(customers: Customers) -> None:
    """And two with one address are sent, with a warning, whatever its case."""
    customers.add("C1", email="other@example.com")
    customers.add("C2", email="same@example.com")
    customers.add("C3", email="Same@Example.com")
    plan = customers.run().plan
    assert plan.quarantine_rules == {"repeated_key": 2}
    assert plan.warning_rules == {"repeated_email": 2}
    assert sorted(customers.held()) == ["C2", "C3"]


def test_a_refused_customer_is_quarantined_without_what_the_refusal_repeats(customers: Customers) -> None:
    """Stock2Shop's own words may hold an address; what is kept of them does not."""
    customers.add("C2")
    deliveries = []

    class Refusing:
        requests_made = 0

        def queue(self, _path: str, _document: bytes, *, items: int, contents: Contents, **_more: object) -> object:
            from engine.errors import RefusedError

            deliveries.append(items)
            reason = "thandi@example.com is no customer, says THANDI Example"
            raise RefusedError("refused", reason=contents.redact(reason), status=400)

    from engine.stock2shop.delivery import Sender

    person = {"email": "thandi@example.com", "first_name": "Thandi", "last_name": None}
    row = {"_key": "C1", "_group": None, "kind": "insert", **person}
    sender = Sender(
        Refusing(),  # type: ignore[arg-type]  # it queues, which is all that is asked of it here
        "/customers/queue",
        document=lambda _: b"{}",
        personal=("email", "first_name", "last_name"),
    )
    (delivery,) = [*sender.send([row]), *sender.finish()]
    assert (delivery.reason, deliveries) == ("***@***.*** is no customer, says ***", [1])


def refuse(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """Have the sandbox refuse every customer with ``words``."""

    def check(*_: object) -> None:
        raise RefusalError(422, words)

    monkeypatch.setattr("engine.sandbox.endpoints.check_customer", check)


def reasons(customers: Customers) -> list[str]:
    """Why rows are in quarantine."""
    with open_state(customers.client.project.state) as state:
        return [row["reason"] for row in history.quarantine(state)]


def test_a_refusal_that_repeats_what_a_customer_was_before_does_not_show_it(
    customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new address is in the request; the old one only Stock2Shop and the state know, mapped or not."""
    customers.run()
    customers.client.sql("update customer set email = 'new@example.com', street = '9 Other Road'")
    view = customers.client.root / "views" / "customers.sql"
    view.write_text(VIEW.replace('    billing as "address2.address1",\n', ""), "utf-8")
    refuse(monkeypatch, "Not allowed: THANDI%40example.com of 1 Sample Street, Box 12, wants a code")
    customers.run()
    (reason,) = reasons(customers)
    assert [word for word in ("thandi", "Sample", "Box") if word.lower() in reason.lower()] == []
    assert "Not allowed: " in reason
    assert "wants a code" in reason


def test_a_refusal_of_a_customer_in_doubt_shows_stock2shops_own_words_alone(
    customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an unanswered run sent is kept as a fingerprint, so what may be repeated of it is not known."""
    customers.run()
    customers.client.sql("update customer set email = 'once@example.com'")
    customers.client.sandbox.faults.drop_after(2)
    with pytest.raises(UnavailableError):
        customers.run()
    customers.client.sandbox.faults.clear()
    customers.client.sql("update customer set email = 'new@example.com'")
    refuse(monkeypatch, "The email once@example.com is not valid")
    customers.run()
    (reason,) = reasons(customers)
    assert "The email *** is not valid" in reason


def test_nothing_that_is_kept_for_people_shows_a_person(customers: Customers) -> None:
    """Plan, history, explain and quarantine, unless revealed."""
    customers.add("C9", email="broken at example")
    project = customers.client.project
    customers.run()
    customers.client.sql("update customer set city = 'Newtown', email = 'new@example.com' where code = 'C1'")
    told: list[object] = [customers.plan(everything=True), explain(project, "customers", "C1")]
    customers.run()
    with open_state(project.state) as state:
        told += history.changes(state, limit=9)
        told += history.quarantine(state)
        revealed = history.changes(state, limit=9, key="C1", reveal=True)
    said = repr(told)
    assert [word for word in (*PERSON, "Newtown", "new@example", "broken at") if word in said] == []
    assert "address1.city" in said
    assert {"column": "email", "old": "thandi@example.com", "new": "new@example.com"} in revealed[0]["columns"]
    assert "Newtown" not in repr(customers.plan(everything=True))


def test_reveal_shows_a_person_on_a_terminal_only(customers: Customers) -> None:
    """In a pipe it is refused with what to do."""
    customers.run()
    customers.client.sql("update customer set email = 'new@example.com'")
    environment = {**os.environ, **customers.client.environment, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "engine", "plan", "acme", "--entity", "customers", "--reveal"]
    piped = subprocess.run(
        command, cwd=customers.client.workspace, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert (piped.returncode, "on a terminal only" in piped.stderr, "@example" in piped.stdout) == (2, True, False)
    ours, theirs = pty.openpty()
    shown = subprocess.run(
        command, cwd=customers.client.workspace, env=environment, stdout=theirs, stderr=theirs, check=False
    )
    os.close(theirs)
    assert shown.returncode == 0
    assert b"new@example.com" in os.read(ours, 100_000)
    os.close(ours)


def test_customers_are_adopted_and_verified_where_they_can_be_read_back(customers: Customers) -> None:
    """A lost state sends nothing again, and drift is found and fixed."""
    customers.run()
    customers.client.project.state.unlink()
    taken = adopt.adopt(customers.client.project, "customers")
    assert (taken.remote, taken.published) == (1, 1)
    assert customers.run().sent == 0
    customers.client.sandbox.customers(57)
    customers.client.sandbox.store.change_customer(57, "C1", last_name="Changed")
    (drift,) = adopt.verify(customers.client.project, "customers", repair=True)
    assert (drift.key, drift.column, drift.published, drift.remote) == ("C1", "last_name", "***", "***")
    assert customers.run().sent == 1
    assert customers.held()["C1"]["last_name"] == "Example"


def test_a_box_that_is_not_ticked_is_no_drift(customers: Customers) -> None:
    """A blank one is sent as false, which is what Stock2Shop then holds."""
    (customers.client.root / "views" / "customers.sql").write_text(VIEW.replace("true as", "marketing as"), "utf-8")
    customers.add("C2")
    customers.run()
    assert customers.held()["C2"]["accepts_marketing"] is False
    assert adopt.verify(customers.client.project, "customers") == ()


def test_without_a_way_to_read_customers_back_that_is_said(customers: Customers) -> None:
    """Stock2Shop has no public one."""
    customers.client.write(more="\n[customers]\n")
    with pytest.raises(UsageError, match="no public way to read customers back"):
        adopt.verify(customers.client.project, "customers")


def test_the_path_of_the_queue_is_the_projects(customers: Customers) -> None:
    """It is not public, so it must be easy to correct."""
    customers.client.write(more='\n[customers]\npath = "/people/queue"\n')
    from engine.errors import AnswerError

    with pytest.raises(AnswerError, match="/people/queue"):
        customers.run()
    customers.client.sandbox.requests.clear()


def test_an_approval_is_for_one_entity(customers: Customers) -> None:
    """What was approved for products lets nothing pass for customers, and the command in the hint works as printed."""
    customers.client.items(100)
    assert customers.client.run().sent == 100
    customers.client.sql("delete from item where code > 'I050'")

    def s2s(*words: str) -> subprocess.CompletedProcess[str]:
        return run_command(*words, folder=customers.client.workspace, variables=customers.client.environment)

    for approval in (("--approve-deletes", "49"), ("--approve-changes", "9"), ("--expect", "0123")):
        refused = s2s("run", "acme", *approval)
        assert refused.returncode == 2
        assert "--entity products" in refused.stderr
    assert customers.held() == {}
    stopped = s2s("run", "acme", "--entity", "products")
    verified = s2s("verify", "acme", "--output", "json")
    assert read_result(verified.stdout) == []
    command = stopped.stderr.split("exactly this plan: `s2s ")[1].split("`")[0]
    assert s2s(*command.split()).returncode == 0
    assert len(customers.client.held()) == 51


def test_products_and_customers_of_one_project_run_side_by_side(customers: Customers) -> None:
    """Each with its own published rows, quarantine and history."""
    customers.client.item("C1")
    assert customers.client.run().sent == 1
    assert customers.run().sent == 1
    customers.client.sql("delete from item")
    customers.client.item("A2")
    assert customers.run().sent == 0
    client = customers.client
    ran = run_command("run", "acme", "--output", "json", folder=client.workspace, variables=client.environment)
    assert [(each["plan"]["entity"], each["sent"]) for each in read_result(ran.stdout)] == [
        ("products", 2),
        ("customers", 0),
    ]
