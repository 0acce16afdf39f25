"""What ``--output json`` gives of orders; see :mod:`engine.cli.results`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from engine.cli.fleet_results import Time


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
