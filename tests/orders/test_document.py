"""Order documents: what is read from them, and what is refused."""

from __future__ import annotations

import json
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.erp import order_document, parsed

from engine.errors import OrderError
from engine.model.settings import OrderSettings, SourceSettings
from engine.orders import document, pipeline
from engine.orders.settings import order_settings

if TYPE_CHECKING:
    from support.erp import Erp

    from engine.orders.entry import Entry


def test_control_characters_do_not_reach_the_database(erp: Erp) -> None:
    """Line ends and tabs stay; half a surrogate goes."""
    erp.receive(order_document(notes="a\x00b\x1bc\ud800d\ne\tf"))
    assert erp.rows("select notes from erp_order") == [("abcd\ne\tf",)]


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b"[]", 422, "must be a JSON object"),
        (b"{}", 422, "no id"),
        (b'{"id": -1}', 422, "no id"),
        (b'{"id": true}', 422, "no id"),
        (b'{"id": 1.5}', 422, "no id"),
        (b'{"id": NaN}', 400, "NaN"),
        (b'{"id": 1, "id": 2}', 400, "twice"),
        (b'{"id": 1, "a": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "deep"),
        (b'{"id": 99999999999999999999}', 422, "no id"),
    ],
)
def test_what_is_no_order_is_refused(raw: bytes, status: int, said: str) -> None:
    """With the HTTP status that says why."""
    with pytest.raises(OrderError, match=said) as refused:
        document.parse_document(raw)
    assert refused.value.status == status


texts = st.text(max_size=40)


values = st.one_of(st.none(), texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


@pytest.mark.parametrize("digits", ["", ".1", ".12", ".1234567", ".123456789"])
@pytest.mark.parametrize("zone", ["", "Z", "+00:00"])
def test_times_may_have_any_number_of_digits(erp: Erp, digits: str, zone: str) -> None:
    """On every Python alike; the database's own precision decides."""
    sent = parsed(order_document(created=f"2026-03-01T22:30:00{digits}{zone}"))
    order = document.read_order(sent, order_settings(erp.project), source_id=57)
    wanted = f"{digits[1:]:0<6.6}"
    assert (order.reason, order.order["date"].strftime("%H:%M:%S.%f")) == ("", f"22:30:00.{wanted}")


NOWHERE = OrderSettings(source=SourceSettings(dialect="sqlite"), timezone="America/New_York")


def read(raw: bytes) -> document.Order:
    """A document as the statements would see it."""
    return document.read_order(document.parse_document(raw), NOWHERE, source_id=57)


def take(erp: Erp, raw: bytes) -> Entry:
    """Receive a document that Python would not write so."""
    with erp.ledger() as ledger, closing(pipeline.OrderProcessor(erp.project)) as processor:
        return processor.receive(ledger, document.parse_document(raw), via="import")


def test_a_text_that_never_ends_is_refused_at_once() -> None:
    """However many quotes are in it: looking for its end from each of them would take hours."""
    with pytest.raises(OrderError, match="not JSON"):
        document.parse_document(b'{"id": 1, "notes": "' + b'\\"' * 900_000)


@pytest.mark.parametrize("number", [b"1001", b"1001.0", b"1.001e3", b'"1001"'])
def test_an_id_is_a_number_however_it_is_written(erp: Erp, number: bytes) -> None:
    """And one order, not four."""
    erp.receive(order_document())
    assert take(erp, b'{"id": ' + number + b"}").source_order_code == "SO1"


def test_a_number_with_an_exponent_is_that_number(erp: Erp) -> None:
    """Also after it was kept in the ledger."""
    take(erp, b'{"id": 1, "line_items": [{"sku": "A", "qty": 1e2, "price": 25e-2}], "sources": []}')
    assert erp.lines() == [("A", 100.0, 0.25)]


@pytest.mark.parametrize(
    ("number", "there"),
    [
        (b"0.0000001", "0.0000001"),
        (b"1e-9", "0.000000001"),
        (b'"1.0E-7"', "0.00000010"),
        (b"5.551115123125783e-17", "0.000000000000000055511151231258"),
        (b"10.10", "10.10"),
        (b"123456789012345.123456789", "123456789012345.123456789"),
    ],
)
def test_a_number_stays_what_it_is_on_its_way_through_the_ledger(erp: Erp, number: bytes, there: str) -> None:
    """All its digits, however small it is: sums of floats leave a dust that says nothing against an order."""
    erp.write(
        'default_customer = "CASH"',
        statements={
            "10_header.sql": "insert into erp_order (s2s_id, reference, customer, notes) values"
            " ({{ order.id }}, {{ order.reference }}, 'C1', {{ order.total_discount }}) returning id"
        },
    )
    taken = take(erp, b'{"id": 1, "total_discount": ' + number + b', "line_items": [{"sku": "A", "qty": 1}]}')
    assert (taken.status, taken.reason) == ("raised", "")
    assert erp.rows("select notes from erp_order") == [(there,)]


@pytest.mark.parametrize(
    "changes",
    [
        b'"line_items": [{"sku": "A", "qty": 3, "sub_total": 1234567890123456789012345678}]',
        b'"line_items": [{"sku": "A", "qty": 1e-29, "sub_total": 1e29}]',
        b'"line_items": [{"sku": "A", "qty": 1e999999999, "price": 1}]',
        b'"created": "0001-01-01 00:00:00"',
        b'"created": "9999-12-31 23:59:59-12:00"',
        b'"channel_id": "' + b"9" * 5000 + b'"',
        b'"notes": 1e999999999',
        b'"total": -0e999999999',
    ],
)
def test_a_value_beyond_all_bounds_breaks_nothing(changes: bytes) -> None:
    """It is a value, or a reason to wait."""
    order = read(b'{"id": 1, ' + changes + b"}")
    assert order.id == 1


def test_no_date_is_no_fault() -> None:
    """As MySQL writes a date that there is none of."""
    order = read(b'{"id": 1, "modified": "0000-00-00 00:00:00"}')
    assert (order.order["modified"], order.reason) == (None, "")


plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.just("9" * 5000))


anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


NAMES = ("id", "channel_id", "created", "customer", "line_items", "shipping_lines", "sources", "total", "notes")


LINE = ("sku", "qty", "price", "sub_total", "tax", "total", "tax_lines", "source_id")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NAMES), anything, max_size=5),
    st.lists(st.dictionaries(st.sampled_from(LINE), anything, max_size=5), max_size=3),
)
def test_no_document_raises_anything_but_that_it_is_no_order(changes: dict[str, Any], lines: list[Any]) -> None:
    """Whatever stands in whatever place."""
    with suppress(OrderError):
        order = read(json.dumps({"id": 1, "line_items": lines, **changes}).encode())
        assert order.id > 0


PARTS = {"sku": "A", "qty": 1, "sub_total": 10, "tax": 1.5}


@pytest.mark.parametrize(
    ("changes", "standing"),
    [
        ({"line_items": [PARTS], "shipping_lines": [{"total": 50}], "total": 61.5}, "raised"),
        ({"line_items": [PARTS], "shipping_lines": [{"sub_total": 40, "tax": 10}], "total": 61.5}, "raised"),
        ({"line_items": [PARTS], "shipping_lines": [], "total": 61.5}, "waiting"),
        ({"line_items": [{**PARTS, "tax": None}], "shipping_lines": [], "total": 61.5}, "waiting"),
    ],
)
def test_totals_are_added_up_from_what_the_order_says(erp: Erp, changes: dict[str, Any], standing: str) -> None:
    """Of shipping by its lines where the order itself says nothing, of a line by its parts; the rest is missing."""
    none: dict[str, Any] = {"shipping_sub_total": None, "shipping_tax": None}
    (entry,) = erp.receive(order_document(**none, **changes))
    assert (entry.status, entry.rule) == (standing, "totals_differ" if standing == "waiting" else "")
