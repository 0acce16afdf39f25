"""Batches against a sandbox that refuses some rows: what becomes of each row, and in how many requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support import documents

from engine.errors import RefusedError, ServerError
from engine.model.fields import PRODUCTS
from engine.model.settings import Stock2ShopSettings
from engine.sandbox.checks import RefusalError
from engine.stock2shop.client import open_api
from engine.stock2shop.delivery import MAX_SEARCH_REQUESTS, Delivery, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from engine.sandbox.server import Sandbox

FIELDS = [field for field in PRODUCTS.fields if field.name in {"title", "variants.sku", "vendor"}]

Row = dict[str, Any]


def row(code: str, product: str = "", **more: object) -> Row:
    """An item that is new."""
    return {
        "_key": code,
        "_group": product or code,
        "kind": "insert",
        "title": f"Item {code}",
        "variants.sku": code,
        "vendor": None,
        **more,
    }


def items(count: int) -> list[Row]:
    """Simple products, I00000 and on."""
    return [row(f"I{number:05}") for number in range(count)]


def body(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The document that queues ``rows``."""
    return documents.document("products", rows, fields=FIELDS, source_id=57, sync_token="0")


@pytest.fixture
def sandbox(make_sandbox: Callable[..., Sandbox], short_backoff: None) -> Sandbox:
    """A sandbox of this test's own, which keeps no bodies: what is sent here is large, and the same each time."""
    return make_sandbox()


class Run:
    """One run against the sandbox: its batches, and what became of their rows."""

    def __init__(self, sandbox: Sandbox, rows: list[Row], *, batch: int = 500, **options: Any) -> None:
        self.deliveries: list[Delivery] = []
        self.sender: Sender
        self.error: Exception | None = None
        before = len(sandbox.requests)
        settings = Stock2ShopSettings(
            source_id=57, username="sandbox", password="sandbox", url=sandbox.url, pace=0, retries=0
        )
        with open_api(settings) as api:
            self.sender = Sender(api, "/products/queue", document=body, **options)
            try:
                for start in range(0, len(rows), batch):
                    self.deliveries += self.sender.send(rows[start : start + batch])
                self.deliveries += self.sender.finish()
            except (RefusedError, ServerError) as error:
                self.error = error
        self.requests = sum(one.path.endswith("/products/queue") for one in list(sandbox.requests)[before:])

    @property
    def refused(self) -> list[str]:
        """The keys of the rows that were refused, in their order."""
        return sorted(each["_key"] for one in self.deliveries if one.receipt is None for each in one.rows)

    @property
    def accepted(self) -> list[str]:
        """The keys of the rows that were acknowledged, in their order."""
        return sorted(each["_key"] for one in self.deliveries if one.receipt for each in one.rows)


@pytest.mark.parametrize("fault", ["refuse_sku", "break_on_sku"])
@pytest.mark.parametrize("width", [12, 25])
def test_a_product_that_is_refused_whole_holds_up_nobody(sandbox: Sandbox, fault: str, width: int) -> None:
    """However many variants it has, and although it comes first."""
    bad = [row(f"A-{number:02}", "A") for number in range(width)]
    getattr(sandbox.faults, fault)(*(each["_key"] for each in bad))
    run = Run(sandbox, bad + items(200))
    assert run.error is None
    assert run.refused == [each["_key"] for each in bad]
    assert len(run.accepted) == 200
    assert len(sandbox.products(57)) == 200


def test_a_tenth_of_the_rows_refused_costs_two_requests_each(sandbox: Sandbox) -> None:
    """Stock2Shop's words name the item, as a rule."""
    rows = items(1000)
    bad = sorted(rows[number * 7919 % 1000]["_key"] for number in range(100))
    sandbox.faults.refuse_sku(*bad)
    run = Run(sandbox, rows)
    assert (run.refused, len(run.accepted)) == (bad, 900)
    assert run.requests < 300


REFUSALS: dict[str, Callable[[int, Any], dict[str, Any]]] = {
    "an index": lambda number, _: {"error": {"message": "An item was refused.", "index": number}},
    "a path": lambda number, _: {"errors": {f"system_products.{number}.product.title": ["is taken"]}},
    "a place in words": lambda number, _: {"message": f"Item {number + 1} was refused."},
    "a title": lambda _, item: {"error": f"The title {item['product']['title']!r} is taken."},
    "a code in another case": lambda _, item: {
        "message": f"{item['product']['variants']['source_variant_code'].lower()}: no"
    },
}


def refuse_with(monkeypatch: pytest.MonkeyPatch, document: Callable[[int, Any], dict[str, Any]]) -> None:
    """Have the sandbox's refusals of an item be ``document``, of the item's index and the item."""

    def refusal(number: int, item: Any, _name: str, message: str) -> RefusalError:
        error = RefusalError(422, message)
        error.document = document(number, item)
        return error

    monkeypatch.setattr("engine.sandbox.endpoints.refusal", refusal)


@pytest.mark.parametrize("shape", REFUSALS)
def test_a_tenth_of_the_rows_refused_costs_fewer_than_three_requests_each_however_they_are_named(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """By a position, a title, a code: the shape of a refusal is not public."""
    refuse_with(monkeypatch, REFUSALS[shape])
    rows = items(300)
    bad = sorted(rows[number * 7919 % 300]["_key"] for number in range(30))
    sandbox.faults.refuse_sku(*bad)
    run = Run(sandbox, rows)
    assert (run.error, run.refused, len(run.accepted)) == (None, bad, 270)
    assert run.requests < 90


def test_rows_refused_without_a_word_cost_a_bounded_number_of_requests_a_run(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """464 answers are the least that tell 100 of 1,000 rows; runs share them."""
    refuse_with(monkeypatch, lambda _number, _item: {})
    rows = items(1000)
    bad = {rows[number * 7919 % 1000]["_key"] for number in range(100)}
    sandbox.faults.refuse_sku(*bad)
    done: set[str] = set()
    made: list[int] = []
    left = rows
    while left:
        run = Run(sandbox, left)
        made.append(run.requests)
        done |= {*run.refused}
        left = [each for each in left if each["_key"] not in {*run.accepted, *run.refused}]
    assert done == bad
    assert max(made) < 260
    assert sum(made) <= 570


def test_a_500_that_names_a_row_is_found_by_it(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What broke it may be told even there."""

    def named(number: int, _item: Any, _name: str, message: str) -> RefusalError:
        return RefusalError(500, message, index=number)

    monkeypatch.setattr("engine.sandbox.endpoints.refusal", named)
    sandbox.faults.refuse_sku("I00077", "I00300")
    run = Run(sandbox, items(500))
    assert (run.error, run.refused, len(run.accepted)) == (None, ["I00077", "I00300"], 498)
    assert run.requests <= 12


def test_a_success_with_items_that_failed_is_no_receipt(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list has an object an item, and some of them say that they failed."""

    def failed(number: int, _item: Any, _name: str, message: str) -> RefusalError:
        error = RefusalError(200, message)
        error.document = {"system_products": [*({"status": "ok"} for _ in range(number)), {"status": "failed"}]}
        return error

    monkeypatch.setattr("engine.sandbox.endpoints.refusal", failed)
    sandbox.faults.refuse_sku("I00009")
    run = Run(sandbox, items(10))
    assert (run.refused, len(run.accepted)) == (["I00009"], 9)
    assert run.requests <= 3


def test_a_tenth_of_many_rows_refused_costs_a_bounded_number_of_requests(sandbox: Sandbox) -> None:
    """The rest waits for the next runs, each of which gets further; what is not refused is sent."""
    rows = items(2000)
    bad = {rows[number * 7919 % 2000]["_key"] for number in range(200)}
    sandbox.faults.refuse_sku(*bad)
    done: set[str] = set()
    left, runs = rows, 0
    while left:
        run = Run(sandbox, left)
        runs += 1
        assert run.requests <= MAX_SEARCH_REQUESTS + 10
        assert run.sender.rows_left == len(left) - len(run.accepted) - len(run.refused)
        done |= {*run.refused}
        assert done <= bad
        left = [each for each in left if each["_key"] not in {*run.accepted, *run.refused}]
    assert done == bad
    assert runs == 2


def test_each_receipt_is_for_rows_without_a_gap(sandbox: Sandbox) -> None:
    """Receipts are recorded by the positions of the rows, the first to the last."""
    rows = items(40)
    sandbox.faults.refuse_sku("I00007", "I00008", "I00021")
    run = Run(sandbox, rows)
    places = {each["_key"]: number for number, each in enumerate(rows)}
    for one in run.deliveries:
        numbers = [places[each["_key"]] for each in one.rows]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_a_removal_is_sent_before_the_row_takes_its_place(sandbox: Sandbox) -> None:
    """A variant that moves to another product leaves the old one first, whatever else of the batch is refused."""
    Run(sandbox, [row("V1", "P"), row("V2", "P")])
    sandbox.faults.refuse_sku("X1", "X2")
    moved = [
        row("V1", "P", kind="delete"),
        row("V2", "P", kind="delete"),
        *(row(code) for code in ("X1", "X2", "Y1")),
        row("V1", "Q"),
        row("V2", "Q"),
    ]
    run = Run(sandbox, moved)
    assert run.refused == ["X1", "X2"]
    assert {code: held["source_product_code"] for code, held in sandbox.products(57).items()} == {
        "V1": "Q",
        "V2": "Q",
        "Y1": "Y1",
    }


def test_nothing_is_blamed_where_everything_is_refused(sandbox: Sandbox) -> None:
    """So many products, and nothing accepted: it is the account, and few requests tell so."""
    rows = items(500)
    sandbox.faults.refuse_sku(*(each["_key"] for each in rows))
    run = Run(sandbox, rows)
    assert run.deliveries == []
    assert "and accepted none" in str(run.error)
    assert "The rows are probably not the cause" in run.error.hint  # type: ignore[union-attr]  # it is a SyncError
    assert run.requests < 30


def test_nothing_is_blamed_where_everything_is_answered_500(sandbox: Sandbox) -> None:
    """Stock2Shop is broken then; a run ends in few requests, and the next one sends all of it."""
    rows = items(500)
    sandbox.faults.break_on_sku(*(each["_key"] for each in rows))
    run = Run(sandbox, rows)
    assert (run.deliveries, run.requests < 30) == ([], True)
    assert isinstance(run.error, ServerError)


def test_an_outage_in_the_middle_of_a_run_blames_no_row(sandbox: Sandbox) -> None:
    """What was accepted before it says nothing of what was not answered since."""
    first, second = items(20)[:10], items(20)[10:]
    sandbox.faults.break_on_sku(*(each["_key"] for each in second))
    run = Run(sandbox, first + second, batch=10)
    assert (run.refused, len(run.accepted)) == ([], 10)
    assert isinstance(run.error, ServerError)


def test_a_row_that_is_alone_with_a_500_is_told_by_its_content(sandbox: Sandbox) -> None:
    """So that it can be counted over runs; once it was alone often enough, it is refused."""
    sandbox.faults.break_on_sku("I00000")
    run = Run(sandbox, items(1))
    assert isinstance(run.error, ServerError)
    (digest,) = run.sender.alone_with_500
    assert digest != Run(sandbox, [row("I00000", vendor="Other")]).sender.alone_with_500[0]
    again = Run(sandbox, items(1), blamable=[digest])
    assert (again.refused, again.error) == (["I00000"], None)


def test_a_batch_that_is_too_large_for_stock2shop_is_parted(sandbox: Sandbox) -> None:
    """413 speaks of the size, and blames nobody."""
    run = Run(sandbox, items(1200), batch=1200)
    assert (run.error, run.refused, len(run.accepted)) == (None, [], 1200)
    assert run.requests <= 8
