"""What ``--output json`` gives of orders; see :mod:`engine.cli.results`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from engine.cli.fleet_results import Time


class Origin(TypedDict):
    """An account and a database, as text that is compared and shown; no login is in it."""

    account: str
    database: str


class OrderEntry(TypedDict):
    """An order of the ledger."""

    order_id: int
    status: str
    via: Literal["serve", "pull", "import"]
    rule: str
    reason: str
    uncertain: Annotated[bool, "Whether it may be in the client's database already."]
    attempts: int
    next_attempt_at: Time | None
    source_order_code: str | None
    source_customer_code: str | None
    received_at: Time
    raised_at: Time | None
    answered_at: Time | None
    note: str
    expected_code: str | None
    commit_sent_at: Time | None
    rolled_back: bool
    approved_by: str
    gone_at: Time | None


class StatusChange(TypedDict):
    """A change of an order's status."""

    at: Time
    status: str
    reason: str


class OrderDetail(OrderEntry):
    """An order with its past; ``document`` only with ``--reveal``."""

    status_history: list[StatusChange]
    corrections: Annotated[list[str], "What its newest content has changed after it was raised, by path."]
    document: dict[str, Any] | None


class FormerOrder(OrderEntry):
    """An order of another account or database, with its past."""

    account: Annotated[str, "Stock2Shop's address and the source whose order it was."]
    database: Annotated[str, "The database in which it was raised, or was to be."]
    put_aside_at: Time
    status_history: list[StatusChange]


class ReboundLedger(TypedDict):
    """The account and the database that an order ledger belongs to now."""

    belongs_to: Origin
    before: Annotated[Origin | None, "Null where it belonged to the same."]
    put_aside: Annotated[int, "How many orders are of another account or database, and were put aside."]
    unfinished: Annotated[int, "How many of these had not been raised."]
    brought_back: Annotated[int, "How many orders that had been put aside are there again."]


class Rebound(TypedDict):
    """The account and the database that a state, and the order ledger, belong to now."""

    belongs_to: Origin
    before: Annotated[Origin | None, "Of the state: null where nothing was recorded before, or it was left alone."]
    forgotten: Annotated[bool, "Whether nothing counts as published any more."]
    orders: Annotated[ReboundLedger | None, "Null where there is no order ledger, or it was left alone."]


class ExplainedOrder(OrderDetail):
    """An order whose number was looked for."""

    project: str


class VerifiedOrder(OrderEntry):
    """An order that was raised, and whether the database has it."""

    state: Annotated[
        Literal["there", "gone", "different", "unknown"],
        "`unknown`: it was not raised by s2s, and `lookup.sql` does not find it.",
    ]
    detail: str


class PlannedStatement(TypedDict):
    """A statement that raising an order would run; ``values`` are masked without ``--reveal``."""

    file: str
    sql: str
    values: Annotated[list[str], "What is bound to the statement's places, as people read it."]


class PlannedOrder(TypedDict):
    """What raising one order would run; ``rule`` is empty unless it would wait, ``reason`` unless nothing is run."""

    order_id: int
    rule: str
    reason: str
    statements: list[PlannedStatement]
