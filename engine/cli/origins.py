"""The commands about whose rows and orders a project remembers: ``s2s rebind`` and ``s2s orders former``."""

from __future__ import annotations

from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.fleet_state import order_ledgers, project_at_hand
from engine.cli.options import OutputFormat, ProjectName  # noqa: TC001 - typer reads annotations at run time
from engine.cli.orders import MAX_ORDER_ID, at_local, entry_line, history_json, history_lines
from engine.cli.session import Output, session_of
from engine.errors import UsageError
from engine.text import plural

if TYPE_CHECKING:
    from engine.cli.orders import History
    from engine.cli.session import Session
    from engine.database.origin import Origin
    from engine.model.settings import Project
    from engine.orders.former import FormerOrder
    from engine.orders.origin import ReboundLedger


class Memory(str, Enum):
    """What a project remembers, which is bound to an account and a database."""

    state = "state"
    orders = "orders"


def rebind(
    context: typer.Context,
    project: ProjectName,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="It is the same account, or the same items and orders: keep what is known."),
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="It is another account: nothing counts as published there, and no order as raised."
        ),
    ] = False,
    only: Annotated[
        Memory | None,
        typer.Option(help="Only the state of products and customers, or only the order ledger; otherwise both."),
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Have a project's state and its orders belong to the account and the database that project.toml names now."""
    from engine.database.origin import origin_of
    from engine.orders.settings import order_settings
    from engine.state.store import open_state
    from engine.sync.origin import rebind as rebind_state

    if keep == forget:
        raise UsageError(
            "Say what becomes of what is published, and of the orders: --keep or --forget.",
            hint="--keep where it is the same account, or a database with the same items and orders; --forget where the"
            " account is another one.",
        )
    session = session_of(context)
    loaded = session.load(project)
    if only is Memory.orders:
        order_settings(loaded)
    before, said = None, []
    with ExitStack() as stack:
        state = None
        if only is not Memory.orders:
            # Before anything is changed: while a run has the state, the orders are left alone as well.
            loaded, _ = project_at_hand(context, loaded)
            state = stack.enter_context(open_state(loaded.state))
        orders = None if only is Memory.state else _rebind_orders(session, loaded, forget=forget)
        if state is not None:
            before = rebind_state(state, loaded, forget=forget)
            said.append(_state_text(loaded, origin_of(loaded), before, forget=forget))
    if orders is not None:
        said.append(_ledger_text(loaded, *orders))
    if output is Output.text:
        session.terminal.print_text("\n".join(said) or f"{loaded.name} has no order ledger yet.")
        return
    session.answer.give(
        {
            "belongs_to": origin_of(loaded).as_json(),
            "before": None if before is None else before.as_json(),
            "forgotten": forget and only is not Memory.orders,
            "orders": None if orders is None else {"belongs_to": orders[0].as_json(), **orders[1].as_json()},
        }
    )


def _rebind_orders(session: Session, project: Project, *, forget: bool) -> tuple[Origin, ReboundLedger] | None:
    """Rebind the order ledger; gives what it belongs to now, and what became of it. None where there is no ledger."""
    from engine.orders.origin import order_origin

    ledgers = order_ledgers(session)
    if project.orders is None or not ledgers.has_ledger(project.name):
        return None
    now = order_origin(project)
    with ledgers.viewed(project.name) as ledger:
        return now, ledger.rebind(now, forget=forget)


def _belongs_to(what: str, project: Project, now: Origin, before: Origin | None) -> str:
    came_from = f"It belonged to {before.account}; {before.database}." if before else "It belonged to the same before."
    return f"The {what} of {project.name} belongs to {now.account}; {now.database}.\n{came_from}"


def _state_text(project: Project, now: Origin, before: Origin | None, *, forget: bool) -> str:
    kept = "Nothing counts as published any more" if forget else "What is published was kept"
    return (
        f"{_belongs_to('state', project, now, before)}\n"
        f"{kept}, and nothing was sent. Look at the difference: s2s plan {project.name}"
    )


def _ledger_text(project: Project, now: Origin, rebound: ReboundLedger) -> str:
    lines = [_belongs_to("order ledger", project, now, rebound.before)]
    if rebound.put_aside:
        unraised = f" {rebound.unfinished:,} of them had not been raised." if rebound.unfinished else ""
        lines.append(
            f"{rebound.put_aside:,} {plural(rebound.put_aside, 'order')} put aside:"
            f" s2s orders former {project.name}{unraised}"
        )
    if rebound.brought_back:
        lines.append(f"{rebound.brought_back:,} {plural(rebound.brought_back, 'order')} put aside before, there again.")
    return "\n".join(lines)


def former(
    context: typer.Context,
    project: ProjectName,
    order_id: Annotated[
        int | None,
        typer.Argument(min=1, max=MAX_ORDER_ID, help="Stock2Shop's id of an order, to see its history.", metavar="ID"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most, the newest.")] = 50,
    output: OutputFormat = Output.text,
) -> None:
    """Show the orders of other accounts and databases, which `s2s rebind --forget` put aside."""
    from engine.orders.settings import order_settings

    session = session_of(context)
    loaded = session.load_stored(project)
    order_settings(loaded)
    found: list[tuple[FormerOrder, History]] = []
    ledgers = order_ledgers(session)
    if ledgers.has_ledger(loaded.name):
        with ledgers.viewed(loaded.name) as ledger:
            orders = ledger.former.list_newest(limit=limit) if order_id is None else ledger.former.find(order_id)
            found = [(each, ledger.former.status_history(each)) for each in orders]
    if output is Output.json:
        session.answer.give([_former_json(each, history) for each, history in found])
    elif not found:
        session.terminal.print_text(f"{loaded.name} has no such orders that were put aside.")
    elif order_id is not None:
        session.terminal.print_text("\n".join(_story_text(loaded, each, history) for each, history in found))
    else:
        rows = [
            (str(each.entry.order_id), each.entry.status, each.entry.source_order_code, *each.origin.as_json().values())
            for each, _ in found
        ]
        session.terminal.print_table(rows, ("order", "status", "code", "account", "database"))


def _former_json(order: FormerOrder, history: History) -> dict[str, object]:
    return {**order.as_json(), "status_history": history_json(history)}


def _story_text(project: Project, order: FormerOrder, history: History) -> str:
    lines = [
        entry_line(project, order.entry, of=f" of {order.origin.account}"),
        f"  in {order.origin.database}; put aside {at_local(order.put_aside_at)}",
        *history_lines(history),
    ]
    return "\n".join(lines)
