"""What is believed of Stock2Shop at moments that no other test comes to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from engine.errors import RefusedError, UnavailableError
from engine.state.store import open_state

if TYPE_CHECKING:
    from support.client import Client


def doubted(client: Client) -> list[str]:
    """The keys that are in doubt."""
    with open_state(client.project.state) as state:
        return [key for (key,) in state.rows("select distinct key from in_doubt order by key")]


@pytest.fixture
def two(client: Client) -> Client:
    """A client whose items A and B Stock2Shop has."""
    client.item("A")
    client.item("B")
    client.run()
    return client


def test_a_row_alone_with_a_500_stays_in_doubt(two: Client) -> None:
    """It is quarantined, and Stock2Shop may have taken it: when the source goes back, it is sent."""
    two.sandbox.faults.break_on_sku("A")
    two.sql("update item set price = '0.01' where code = 'A'", "update item set price = '7' where code = 'B'")
    assert (two.run().refused, doubted(two)) == (1, ["A"])
    two.sandbox.faults.clear()
    two.sql("update item set price = '100.00' where code = 'A'")
    (change,) = two.plan().changes
    assert (change.key, change.kind, change.cause) == ("A", "resend", "in doubt")


def test_a_row_whose_success_names_an_error_stays_in_doubt(two: Client) -> None:
    """Nobody can tell what was done before the error."""
    two.sandbox.faults.complain(1)
    two.sql("update item set price = '0.01' where code = 'A'")
    assert (two.run().refused, doubted(two)) == (1, ["A"])


def test_a_row_in_doubt_that_breaks_a_rule_is_not_sent_and_stays_in_doubt(two: Client) -> None:
    """Once it is sound again it is sent, though it did not change since it was acknowledged."""
    two.sql("update item set price = '0.01' where code = 'A'")
    two.sandbox.faults.drop_after(2)
    with pytest.raises(UnavailableError):
        two.run()
    two.sandbox.faults.clear()
    two.sql("update item set price = '100.00', title = null where code = 'A'")
    assert (two.run().sent, doubted(two)) == (0, ["A"])
    two.sql("update item set title = 'Item A' where code = 'A'")
    assert (two.run().sent, doubted(two)) == (1, [])
    assert two.held()["A"]["price"] == 100


def test_a_resend_that_breaks_off_goes_on_where_it_was(client: Client) -> None:
    """What was acknowledged under the new sync token is not sent once more."""
    client.write(remote="pace = 0\nbatch_variants = 10")
    client.items(30)
    client.run()
    client.sandbox.set_sync_token(57, "9")
    client.sandbox.faults.break_on_sku(*(f"I{number:03}" for number in range(10, 30)))
    with pytest.raises(UnavailableError):
        client.run()
    client.sandbox.faults.clear()
    assert client.plan().counts.resends == 20
    assert client.run().sent == 20


def test_few_products_that_are_all_refused_are_blamed(client: Client) -> None:
    """Nothing tells them from an account that refuses everything; ten products would."""
    client.items(3)
    client.sandbox.faults.refuse_sku("I000", "I001", "I002")
    outcome = client.run()
    assert (outcome.outcome, outcome.refused) == ("attention", 3)
    for number in range(3, 12):
        client.item(f"I{number:03}")
    client.sandbox.faults.refuse_sku(*(f"I{number:03}" for number in range(13)))
    client.sql("update item set price = '2' where code < 'I003'")
    with pytest.raises(RefusedError, match="and accepted none"):
        client.run()


def test_no_search_by_answers_of_one_bit_tells_100_of_1000_rows_in_300() -> None:
    """As many answers are needed as it takes bits to write down which rows they are."""
    assert math.ceil(math.log2(math.comb(1000, 100))) == 465


def test_a_plan_tells_requests_and_minutes_of_a_resend(client: Client) -> None:
    """Rows by batches, two more for login and sync token, at the pace."""
    client.write(remote="pace = 1\nbatch_variants = 100")
    client.items(300)
    plan = client.plan(offline=True)
    assert (plan.batches, plan.requests, round(plan.seconds)) == (3, 4, 3)
