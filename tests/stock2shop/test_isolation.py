"""Refused rows are found in few requests, whatever is refused and however the refusals read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stock2shop.isolation import MAX_REFUSED_PRODUCTS, PROBE_AFTER_REFUSALS, Evidence, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Sequence


class Receiver:
    """Refuses every part that holds one of ``bad``; remembers the parts, and what became of each row."""

    def __init__(self, bad: Collection[int], *, names: Callable[[list[int]], list[int]] | None = None) -> None:
        self.bad = set(bad)
        self.parts: list[list[int]] = []
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self._names = names or (lambda _: [])

    def work_through(self, search: Search, *, most: int | None = None, doubtful: bool = False) -> None:
        """Answer every part of ``search``; a part of more than ``most`` rows is too large."""
        while part := search.next_part():
            if most is not None and len(part) > most:
                search.divide()
                continue
            self.parts.append(part)
            wrong = [row for row in part if row in self.bad]
            if not wrong:
                search.accept()
                self.accepted += part
            elif search.refuse("no", {"code": self._places(part, wrong)}, doubtful=doubtful):
                self.refused += part

    def _places(self, part: list[int], wrong: list[int]) -> list[int]:
        """Where in ``part`` the rows are that the refusal names."""
        return [part.index(row) for row in self._names(wrong) if row in part]


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Any]:
    """Rows in products, of which some are refused."""
    count = draw(st.integers(1, 60))
    width = draw(st.integers(1, 12))
    bad = draw(st.sets(st.integers(0, count - 1), max_size=count))
    return {
        "products": [row // width for row in range(count)],
        "bad": bad,
        "first_rows": draw(st.integers(0, count)),
        "named": draw(st.sets(st.integers(0, count - 1))),
        "most": draw(st.integers(1, 60)),
        "doubtful": draw(st.booleans()),
        "traits": draw(st.lists(st.sets(st.integers(0, 3)), min_size=count, max_size=count)),
    }


@given(catalogues())
def test_each_row_is_accepted_or_refused_alone_once(catalogue: dict[str, Any]) -> None:
    """Also where refusals name rows that are not to blame, and where parts are too large."""
    receiver = Receiver(catalogue["bad"], names=lambda _: sorted(catalogue["named"]))
    search = Search(
        catalogue["products"],
        Evidence(),
        first_rows=catalogue["first_rows"],
        traits=catalogue["traits"].__getitem__,
    )
    receiver.work_through(search, most=catalogue["most"], doubtful=catalogue["doubtful"])
    assert sorted(receiver.refused) == sorted(catalogue["bad"])
    assert sorted(receiver.accepted + receiver.refused) == list(range(len(catalogue["products"])))
    assert search.remaining == []
    assert all(part == sorted(part) for part in receiver.parts)
    assert len(receiver.parts) <= 3 * len(catalogue["products"]) + 1


@given(catalogues())
def test_what_the_other_rows_rely_on_is_tried_before_them(catalogue: dict[str, Any]) -> None:
    """A removal goes before what is added, unless both go together."""
    first = catalogue["first_rows"]
    receiver = Receiver(catalogue["bad"])
    receiver.work_through(Search(catalogue["products"], Evidence(), first_rows=first), most=catalogue["most"])
    later = [number for number, part in enumerate(receiver.parts[1:]) if part[-1] >= first]
    early = [number for number, part in enumerate(receiver.parts[1:]) if part[0] < first]
    assert not later or not early or max(early) < min(later)


def no_traits(_row: int) -> Collection[Hashable]:
    """Nothing is known of any row."""
    return ()


def requests(
    count: int,
    bad: Collection[int],
    *,
    names: Callable[[list[int]], list[int]] | None = None,
    traits: Callable[[int], Collection[Hashable]] = no_traits,
) -> int:
    """How many requests it takes to find ``bad`` among ``count`` products, in batches of 500 of one run."""
    evidence, made = Evidence(), 0
    for start in range(0, count, 500):
        rows = range(start, min(count, start + 500))
        receiver = Receiver({row - start for row in bad if row in rows}, names=names)
        known = [traits(row) for row in rows]
        receiver.work_through(Search(rows, evidence, traits=known.__getitem__))
        made += len(receiver.parts)
    return made


SPREAD = [row * 7919 % 1000 for row in range(100)]
"""A tenth of 1,000 rows, without a pattern that a search could use."""


@pytest.mark.parametrize(
    ("bad", "most"), [([0], 30), ([499], 30), ([250], 30), ([3, 4, 5], 40), ([0, 999], 45), (range(200, 300), 250)]
)
def test_few_refused_rows_cost_few_requests(bad: Sequence[int], most: int) -> None:
    """About ten for each that stands alone, and little more than one for each where they stand together."""
    assert requests(1000, bad) <= most


def test_refusals_that_name_a_row_cost_two_requests_each() -> None:
    """The named row is tried alone, and the others without it."""
    assert requests(1000, SPREAD, names=lambda wrong: wrong[:1]) <= 2 * 100 + 4


def test_refusals_that_name_all_rows_cost_one_request_each() -> None:
    """Each is tried alone all the same."""
    assert requests(1000, SPREAD, names=lambda wrong: wrong) <= 100 + 6


def test_rows_that_are_refused_for_what_they_share_are_found_by_it() -> None:
    """A blank barcode, say, that no accepted row has."""
    bad = set(SPREAD)
    assert requests(1000, bad, traits=lambda row: {("barcode", row in bad), ("vendor", row % 3)}) <= 200


def test_refusals_that_say_nothing_are_searched_as_well_as_can_be() -> None:
    """464 yes-or-no answers are the least that tell 100 of 1,000 rows; halving each batch takes 850."""
    assert requests(1000, SPREAD) <= 560


def test_a_name_that_is_always_wrong_is_soon_not_believed() -> None:
    """A refusal may well hold a word that happens to be the key of a row."""
    names = iter(range(1_000_000))
    wrong = requests(1000, [77, 777], names=lambda _: [next(names) % 500])
    assert wrong <= requests(1000, [77, 777]) + 4


def test_a_batch_that_is_named_in_large_part_by_an_echo_is_not_tried_row_by_row() -> None:
    """An answer may repeat the first 200 rows of what it was sent; two of them are accepted, and it is over."""
    wrong = requests(1000, [77, 777], names=lambda _: list(range(200)))
    assert wrong <= requests(1000, [77, 777]) + 6


def test_of_two_kinds_of_guesses_the_right_one_is_found_out() -> None:
    """Positions may be counted from 0 or from 1."""
    search, made, refused = Search(range(500), Evidence()), 0, []
    bad = set(SPREAD[:50]) & set(range(500))
    while part := search.next_part():
        made += 1
        wrong = [place for place, row in enumerate(part) if row in bad]
        named = {"from 0": [place + 1 for place in wrong[:1]], "from 1": wrong[:1]}
        if not wrong:
            search.accept()
        elif search.refuse("no", named):
            refused += part
    assert set(refused) == bad
    assert made <= 2 * len(bad) + 8


@pytest.mark.parametrize("width", [12, 40])
def test_a_product_that_is_refused_whole_does_not_speak_for_the_others(width: int) -> None:
    """Before it could be the account, something of another product was tried, and accepted."""
    products = [max(0, row - width + 1) for row in range(400)]
    evidence = Evidence()
    search = Search(products, evidence)
    alone = 0
    while not evidence.anything_accepted and (part := search.next_part()):
        if part[0] < width:
            alone += search.refuse()
        else:
            search.accept()
    assert alone == PROBE_AFTER_REFUSALS
    assert not evidence.is_about_the_account


@pytest.mark.parametrize("first", [12, 60])
def test_bad_products_that_come_first_do_not_speak_for_the_others(first: int) -> None:
    """The rows of other products that are tried come from all over the batch."""
    evidence = Evidence()
    search = Search(range(500), evidence)
    while not evidence.anything_accepted and (part := search.next_part()):
        assert not evidence.is_about_the_account
        if part[0] < first:
            search.refuse()
        else:
            search.accept()
    assert evidence.anything_accepted


def test_an_account_that_is_refused_is_told_in_few_requests() -> None:
    """Halving to a row, and one row each of so many products."""
    evidence = Evidence()
    search = Search(range(500), evidence)
    made = 0
    while not evidence.is_about_the_account:
        search.next_part()
        search.refuse()
        made += 1
    assert made <= 10 + MAX_REFUSED_PRODUCTS + PROBE_AFTER_REFUSALS
