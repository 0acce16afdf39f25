"""Random histories against an independent Stock2Shop and an independent oracle, and that both would notice a fault.

``just soak MINUTES`` plays fresh ones for as long as you like; a history that fails is printed with its seed, and
``just soak --seed SEED`` plays it again and makes it shorter. With ``--fleet`` they happen to several machines.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from model import oracle
from model.history import History, Setting, draw
from model.places import Fleet
from model.play import Machines, play
from model.sources import PRODUCT_COLUMNS
from model.stock2shop import FLEET_FAULTS, Account, Stock2Shop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.commands import Result
    from model.history import Step
    from model.play import Played
    from model.sources import Row
    from model.stock2shop import Sent

MOMENTS = 2
"""Moments a history, few enough that the tests end soon; a soak plays longer ones."""


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Machines]:
    """What histories are played with."""
    with closing(Machines(tmp_path_factory.mktemp("machines"), lambda: request.getfixturevalue("postgres"))) as made:
        yield made


@pytest.mark.parametrize("seed", range(12))
def test_stock2shop_holds_what_the_source_says_whatever_went_wrong(seed: int, machines: Machines) -> None:
    """On files of SQLite and DuckDB."""
    played = play(draw(seed, length=MOMENTS), machines)
    assert played.violation is None, played.told()


@pytest.mark.parametrize("seed", range(1000, 1002))
def test_so_it_does_where_the_source_is_a_server(seed: int, machines: Machines) -> None:
    """PostgreSQL, by ODBC."""
    played = play(draw(seed, length=MOMENTS, dialects=("postgres",)), machines)
    assert played.violation is None, played.told()


@pytest.mark.parametrize("seed", range(2000, 2001))
def test_so_it_does_where_any_machine_runs_it(seed: int, machines: Machines) -> None:
    """Each command on one of a fleet's machines, which die, are frozen and cut off from PostgreSQL."""
    played = play(draw(seed, length=MOMENTS, fleet=True), machines)
    assert played.violation is None, played.told()


def _insert(code: str, product: str = "P0", **values: str | None) -> Step:
    return "insert", {"code": code, "product": product, "values": {"active": "Active", "prices": "10", **values}}


def _change(row: int, column: str, value: str | None) -> Step:
    return "change", {"row": row, "column": column, "value": value, "many": 1}


def _run(**faults: Any) -> Step:
    return "run", {"options": [], "faults": faults}


def _revert(reads: int) -> Step:
    return "revert", {"reads": reads}


RUN = _run()
WAIT: Step = ("wait", {})
KILLED = _run(at={"1": "kill_after"})
"""Stock2Shop takes the first batch, and the process dies before it hears of it."""


TWO_ITEMS = History(seed=0, setting=Setting(), steps=(_insert("K1"), _insert("K2"), RUN))


WENT_WRONG = {
    "a row shares a barcode with one of two variants whose titles differ": (
        *(_insert("K2", "P1", title="Old", barcode="111"), _insert("K8", "P1", title="New", barcode="111"), RUN),
        *(_change(0, "barcode", "222"), RUN, _insert("K1", "P2", active="Ignore", barcode="111"), RUN),
    ),
    "an update is taken, the process dies, and the source goes back": (
        *(_insert("K1"), RUN, _change(0, "prices", "12"), KILLED, _revert(2), RUN),
    ),
    "a removal by flag is taken, the process dies, and the source goes back": (
        *(_insert("K1"), _insert("K2"), RUN, _change(0, "active", "Delete"), KILLED, _revert(2), RUN),
    ),
    "a key that was gone is removed, the process dies, and the key comes back": (
        *(_insert("K1"), _insert("K2"), RUN, ("delete", {"row": 0, "many": 1}), KILLED, _revert(2), RUN),
    ),
    "a move is taken, the process dies, and the variant moves again": (
        *(_insert("K1"), RUN, _change(0, "product", "P2"), KILLED, _change(0, "product", "P1"), RUN),
    ),
    "a first load is taken, the process dies, and the next read is empty": (
        *(_insert("K1"), KILLED, ("mode", {"mode": "empty"}), RUN),
    ),
    "an approved removal does not get through, and others are gone in its place": (
        *(_insert(f"K{number}") for number in range(8)),
        *(RUN, ("delete", {"row": 0, "many": 4})),
        ("approve", {"how": "deletes", "faults": {"ever": [1, "cut_before"]}}),
        *(_revert(3), ("delete", {"row": 4, "many": 4}), RUN),
    ),
    "a row is refused for its product code, which is corrected": (
        *(_insert("K1"), _insert("K2", "P1"), _run(refused=["P0"], refusal="400"), _change(0, "product", "P2"), RUN),
    ),
    "a move is refused, and its row is marked Delete": (
        *(_insert("K1"), _insert("K2"), RUN, _change(0, "product", "P2"), _run(refused=["K1"], refusal="400")),
        *(_change(0, "active", "Delete"), RUN),
    ),
    "a code turns blank, and its row is ignored": (
        *(_insert("K1"), _insert("K2"), RUN, _change(0, "code", " "), _change(0, "active", "Ignore"), RUN, RUN),
        *(_change(0, "prices", "12"), RUN, RUN),
    ),
    "a boolean that was sent turns blank": (*(_insert("K1"), RUN, _change(0, "track", None), RUN),),
    "the variant that a product's fields come from is gone": (
        *(_insert("K1", title="Old"), _insert("K2", title="New"), RUN, ("delete", {"row": 0, "many": 1}), RUN),
    ),
    "a variant moves, its removal is refused, and what Stock2Shop holds of both products is adopted": (
        *(_insert("K1", "P1"), _insert("K2", "P2"), RUN, _change(0, "product", "P0")),
        *(_run(refused=["P1"], refusal="400"), ("lose_state", {}), RUN),
    ),
    "a variant moves, its removal is refused, and a repair comes before it is gone": (
        *(_insert("K1", "P0"), _insert("K2", "P2"), RUN, _change(0, "product", "P1")),
        *(_run(refused=["P0"], refusal="400"), ("verify", {"repair": True, "faults": {}})),
        *(("delete", {"row": 0, "many": 1}), RUN),
    ),
    "a variant moves, its removal is refused, and it comes back without a price": (
        *(_insert("K1"), _insert("K2", "P2"), RUN, _change(0, "product", "P1"), _run(refused=["P0"], refusal="400")),
        *(_change(0, "product", "P0"), _change(0, "prices", None), RUN),
    ),
}


def _befalls(number: int, fault: str) -> tuple[Step, ...]:
    """All prices change, and a fault befalls the first batch of the run that sends them."""
    change = ("change", {"row": 0, "column": "prices", "value": str(20 + number), "many": 9})
    return change, _run(at={"1": fault})


HAPPENS_TO_MACHINES = History(
    seed=1,
    setting=Setting(machines=3),
    steps=(
        *(_insert("K1"), _insert("K2", "P1"), _insert("K3", "P1"), RUN),
        *(step for number, fault in enumerate(FLEET_FAULTS) for step in _befalls(number, fault)),
        *(("wake", {}), ("clear_cache", {}), WAIT, ("move_project", {}), KILLED, RUN, ("move_project", {})),
    ),
)


def test_whatever_happens_to_machines_another_one_goes_on(machines: Machines) -> None:
    """Everything that may, one after the other."""
    played = play(HAPPENS_TO_MACHINES, machines)
    assert played.violation is None, played.told()
    assert played.faults >= len(FLEET_FAULTS)


FLEET_WENT_WRONG: dict[str, tuple[Step, ...]] = {
    "an update is taken late, after what Stock2Shop held before was adopted": (
        *(_insert("K1"), RUN, _change(0, "prices", "12"), _run(at={"1": "kill_late"}), _revert(2)),
        *(("adopt", {"faults": {}}), RUN, WAIT, RUN),
    ),
}


@pytest.mark.parametrize("name", FLEET_WENT_WRONG)
def test_what_went_wrong_in_a_fleet_does_not_go_wrong_again(name: str, machines: Machines) -> None:
    """Each of these made Stock2Shop hold something else than the source says, without a word."""
    played = play(_in_fleet(*FLEET_WENT_WRONG[name]), machines)
    assert played.violation is None, played.told()


@pytest.mark.parametrize("name", WENT_WRONG)
def test_what_went_wrong_once_does_not_go_wrong_again(name: str, machines: Machines) -> None:
    """Each of these made Stock2Shop hold something else than the source says, without a word."""
    played = play(History(seed=0, setting=Setting(batch=500), steps=WENT_WRONG[name]), machines)
    assert played.violation is None, played.told()


def _meddle(monkeypatch: pytest.MonkeyPatch, do: Callable[[Stock2Shop], object]) -> None:
    """Have more happen at Stock2Shop than the engine asked for, as if it had."""
    real = Stock2Shop._queue

    def queue(shop: Stock2Shop, name: str, entity: str, body: Any) -> tuple[int, dict[str, Any], str]:
        answer = real(shop, name, entity, body)
        do(shop)
        return answer

    monkeypatch.setattr(Stock2Shop, "_queue", queue)


def test_a_history_in_which_nothing_goes_wrong_violates_nothing(machines: Machines) -> None:
    """Two items are sent, and nothing more."""
    played = play(TWO_ITEMS, machines)
    assert played.violation is None, played.told()
    assert (played.kills, played.faults) == (0, 0)


def test_a_history_is_the_same_each_time_that_its_seed_is_drawn() -> None:
    """So a seed is enough to play it again."""
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_an_upsert_that_stock2shop_loses_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine says that all is in step, and it is not."""
    monkeypatch.setattr(Account, "take", lambda *_: None)
    assert _kind(play(TWO_ITEMS, machines)) == "believed"


def test_a_document_with_another_price_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else, when it is sent."""
    monkeypatch.setattr(oracle, "prices", lambda _: (Decimal(99), {}))
    assert _kind(play(TWO_ITEMS, machines)) == "wrong document"


def test_a_removal_of_what_the_source_shows_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it has an effect or not."""

    def remove(shop: Stock2Shop) -> None:
        sent = shop.sent[0]
        source = {**sent.item["source"], "product_active": "false"}
        shop.sent.append(replace(sent, item={**sent.item, "source": source}))

    steps = (*TWO_ITEMS.steps, ("change", {"row": 0, "column": "qty", "value": "9", "many": 1}), RUN)
    first = play(replace(TWO_ITEMS, steps=steps), machines)
    assert first.violation is None, first.told()
    _meddle(monkeypatch, remove)
    assert _kind(play(replace(TWO_ITEMS, steps=steps), machines)) == "removed although shown"


def test_more_removals_than_the_limit_are_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four at once, where three may be removed."""
    _meddle(monkeypatch, lambda shop: shop.removed.extend(("a/57", "P0", f"K{number}") for number in range(5, 9)))
    assert _kind(play(TWO_ITEMS, machines)) == "limit"


def test_a_row_that_is_sent_again_for_nothing_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was acknowledged, and nothing has changed."""
    _meddle(monkeypatch, lambda shop: shop.sent.append(shop.sent[0]))
    assert _kind(play(TWO_ITEMS, machines)) == "sent again"


def test_a_machine_that_wakes_up_and_sends_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one has taken over, and has logged in."""
    seen: list[tuple[Stock2Shop, Sent]] = []
    wake = Fleet.wake

    def send(fleet: Fleet) -> list[Result]:
        found = wake(fleet)
        shop, sent = seen[0]
        shop.sent.append(sent)
        return found

    _meddle(monkeypatch, lambda shop: seen.append((shop, shop.sent[0])))
    monkeypatch.setattr(Fleet, "wake", send)
    assert _kind(play(_in_fleet(_insert("K1"), _run(at={"1": "freeze_after"}), RUN, ("wake", {})), machines)) == "lease"


def test_a_machine_that_runs_what_another_one_has_is_noticed(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not ask whether the lease has ended."""

    def run(fleet: Fleet, argv: list[str]) -> Result | None:
        return fleet.run(argv) if fleet.vanished else None

    monkeypatch.setattr(Fleet, "try_at_once", run)
    assert _kind(play(_in_fleet(_insert("K1"), KILLED, RUN), machines)) == "lease"


def test_what_is_not_sent_once_more_is_noticed(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that a machine has vanished whose batch is taken late."""
    monkeypatch.setattr(Fleet, "wait", lambda _: None)
    steps = (_insert("K1"), RUN, _change(0, "prices", "12"), _run(at={"1": "kill_late"}), _revert(2), RUN, WAIT, RUN)
    assert _kind(play(_in_fleet(*steps), machines)) == "believed"


def _in_fleet(*steps: Step) -> History:
    return History(seed=0, setting=Setting(machines=2), steps=steps)


def _kind(played: Played) -> str:
    return played.violation.kind if played.violation else "none"


def _row(**values: str | None) -> Row:
    row: Row = dict.fromkeys(PRODUCT_COLUMNS)
    number = values.get("code", "K1")
    row |= {"product": "P", "code": "K1", "title": "Chair", "active": "Active", "prices": "10"}
    row |= {"sku": f"sku-{number}", "size": f"size-{number}", **values}
    return row


@pytest.mark.parametrize(
    ("values", "fate"),
    [
        ({}, "active"),
        ({"active": " a "}, "active"),
        ({"active": "Delete\\Unpublish"}, "delete"),
        ({"active": None}, "ignore"),
        ({"active": "perhaps"}, "quarantined"),
        ({"title": " "}, "quarantined"),
        ({"prices": "abc"}, "quarantined"),
        ({"prices": "10,Trade:-1"}, "quarantined"),
        ({"active": "Delete", "title": ""}, "unclear"),
    ],
)
def test_the_oracle_knows_what_a_rule_makes_of_a_row(values: dict[str, str | None], fate: str) -> None:
    """By what docs/reference/rules.md says of it."""
    mapped = {**oracle.MAPPINGS["products"], **oracle.PRICES["csv"]}
    assert oracle.judge("products", [_row(**values)], mapped).fates == {"K1": fate}


def test_the_oracle_takes_the_lowest_codes_fields_for_the_whole_product() -> None:
    """The lowest of those that are sent."""
    mapped = {**oracle.MAPPINGS["products"], **oracle.PRICES["csv"]}
    rows = [_row(code="K2", title="New"), _row(code="K1", title="Old", active="Ignore"), _row(code="K3", title="Last")]
    found = oracle.judge("products", rows, mapped)
    assert {key: expected.shared["title"] for key, expected in found.expected.items()} == {"K2": "New", "K3": "New"}
