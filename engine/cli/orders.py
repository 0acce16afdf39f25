"""The commands of orders, ``s2s orders …``: receive, import, pull, look at, retry and skip."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.contract import error_entries
from engine.cli.failures import ATTENTION
from engine.cli.fleet_state import order_ledgers, user_of_pull
from engine.cli.log import order_log
from engine.cli.options import OutputFormat, ProjectName, Reveal  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, check_reveal, session_of
from engine.cli.signals import run_controls
from engine.clock import local_text, zoned_text
from engine.errors import Diagnostic, OrderError, UnavailableError, UsageError

if TYPE_CHECKING:
    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.orders.entry import Entry
    from engine.orders.plan import OrderPlan

orders_app = typer.Typer(no_args_is_help=True, help="Raise Stock2Shop's orders in the client's database, each once.")

MAX_ORDER_ID = 10**18 - 1
"""The highest id that the ledger takes."""

History = list[tuple[str, str, str]]
"""An order's past as the ledger gives it: time in UTC, status, reason."""

OrderId = Annotated[int, typer.Argument(min=1, max=MAX_ORDER_ID, help="Stock2Shop's id of the order.", metavar="ID")]
OrderIds = Annotated[
    list[int] | None, typer.Argument(min=1, max=MAX_ORDER_ID, help="Stock2Shop's ids of the orders.", metavar="ID…")
]


@orders_app.command()
def serve(
    context: typer.Context,
    project: ProjectName,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Another port than project.toml's.")] = None,
) -> None:
    """Listen for orders that Stock2Shop sends, raise each and answer with its code; Ctrl-C stops it."""
    from engine.orders.serve import run_receiver
    from engine.orders.settings import order_settings

    session = session_of(context)
    session.terminal.go_on_unread()
    loaded = session.load(project)
    settings = order_settings(loaded)
    if port is not None:
        loaded = replace(loaded, orders=replace(settings, receiver=replace(settings.receiver, port=port)))
    gone = threading.Event()
    with run_controls(session, loaded.name, "orders") as (stop, _), order_log(session, loaded.name) as log:
        try:
            with run_receiver(loaded, order_ledgers(session), on_event=log, on_stopped=gone.set) as address:
                session.terminal.print_text(f"Orders for {loaded.name} are taken at {address}/orders; Ctrl-C stops it.")
                if not (settings.receiver.token or settings.receiver.password):
                    session.terminal.print_text(
                        "Anybody on this machine may send them: set a token under [orders.serve]."
                    )
                sys.stdout.flush()
                while not stop.wait(0.2):
                    if gone.is_set():
                        raise UnavailableError(
                            f"Nobody listens at {address} any more; every order that came in is in the ledger.",
                            hint="Start it again: a service does that by itself. If it comes to this often, report it.",
                        )
        except OSError as error:
            raise UsageError(str(error), hint="Choose another port with --port, or under [orders.serve].") from None
    session.terminal.print_text("Stopped; every order that came in is in the ledger.")


@orders_app.command("import")
def import_(
    context: typer.Context,
    project: ProjectName,
    path: Annotated[Path, typer.Argument(help="A JSON file, or a folder of them.")],
    hold: Annotated[bool, typer.Option("--hold", help="Raise nothing: new orders wait for plan and retry.")] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Raise the orders in JSON documents."""
    from engine.orders.operations import import_orders

    session = session_of(context)
    session.terminal.go_on_unread()
    loaded = session.load(project)
    found: list[Entry] = []
    wrong: list[tuple[Path, str]] = []
    with run_controls(session, loaded.name, "orders") as (stop, _):
        for file, entry, message in import_orders(loaded, order_ledgers(session), path, stop=stop, hold=hold):
            if entry is None:
                wrong.append((file, message))
            else:
                found.append(entry)
    if output is Output.text:
        for file, message in wrong:
            session.terminal.print_text(f"{file}: {message}")
    session.answer.errors += [_rejected_json(loaded, file, message) for file, message in wrong]
    _print_outcome(session, loaded, found, output, some_rejected=bool(wrong))


@orders_app.command()
def pull(context: typer.Context, project: ProjectName, output: OutputFormat = Output.text) -> None:
    """Ask Stock2Shop for orders, raise them and answer; what is due from before is retried."""
    session = session_of(context)
    loaded = session.load(project)
    with run_controls(session, loaded.name, "orders") as (stop, _):
        found = pull_recorded(session, loaded, stop=stop)
    _print_outcome(session, loaded, found, output)


def pull_recorded(session: Session, project: Project, *, stop: threading.Event) -> list[Entry]:
    """Pull the orders of a project, as :func:`engine.orders.pull.pull_orders` does, and have the run log know of it."""
    from engine.orders.pull import pull_orders
    from engine.run_log.record import record_run

    names = {"project": project.name, "entity": "orders", "command": "pull"}
    ledgers = order_ledgers(session)
    with (
        user_of_pull(session, project) as user,
        record_run(project.state.parent, **names, secrets=project.secrets) as record,
    ):
        found = pull_orders(project, ledgers, stop=stop, user=user)
        waits = any(entry.status in {"waiting", "failed"} for entry in found)
        record.facts |= {"outcome": "attention" if waits else "done", "source": len(found), "sent": 0}
    return found


@orders_app.command("list")
def list_orders(
    context: typer.Context,
    project: ProjectName,
    status: Annotated[
        str | None, typer.Option("--status", "--standing", help="Only these: waiting, failed, raised …")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="So many at most, the newest.")] = 50,
    output: OutputFormat = Output.text,
) -> None:
    """Show the ledger: the status of each order, and why."""
    from engine.orders.entry import TRANSITIONS
    from engine.orders.origin import why_still
    from engine.orders.settings import order_settings

    session = session_of(context)
    loaded = session.load_stored(project)
    order_settings(loaded)
    if status is not None and status not in TRANSITIONS:
        raise UsageError(f"There is no status {status!r}.", hint=f"Known are: {', '.join(TRANSITIONS)}.")
    with order_ledgers(session).viewed(loaded.name) as ledger:
        entries = ledger.list_newest(status=status, limit=limit)
        still = why_still(loaded, ledger.belongs_to())
    _print_entries(session, loaded, entries, output, nothing=f"orders that are {status}" if status else "orders")
    if still and output is Output.text:
        session.terminal.print_text(still)


@orders_app.command("show")
def show_order(
    context: typer.Context,
    project: ProjectName,
    order_id: OrderId,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show one order's history; its document only with --reveal, because it is about a person."""
    from engine.orders.settings import order_settings

    session = session_of(context)
    loaded = session.load_stored(project)
    order_settings(loaded)
    reveal = check_reveal(reveal=reveal)
    if output is Output.json:
        session.answer.give(order_json(session, loaded, order_id, reveal=reveal))
    else:
        print_order(session, loaded, order_id, reveal=reveal)


def history_json(history: History) -> list[dict[str, str | None]]:
    """An order's past for machines."""
    return [{"at": zoned_text(at), "status": status, "reason": reason} for at, status, reason in history]


def history_lines(history: History) -> list[str]:
    """An order's past for people, a line each."""
    return [f"  {at_local(at)}  {status}{': ' + reason if reason else ''}" for at, status, reason in history]


def entry_line(project: Project, entry: Entry, *, of: str = "") -> str:
    """Where an order stands, in a line; ``of`` says whose it is, where that is another account."""
    code = f" as {entry.source_order_code}" if entry.source_order_code else ""
    return f"{project.name} · order {entry.order_id}{of}: {entry.status}{code}, by {entry.via}"


def order_json(session: Session, project: Project, order_id: int, *, reveal: bool) -> dict[str, Any]:
    """What the ledger knows of an order, for machines. Raises :class:`UsageError` for an id that is not known."""
    with order_ledgers(session).viewed(project.name) as ledger:
        return {
            **ledger.get_entry(order_id).as_json(),
            "status_history": history_json(ledger.status_history(order_id)),
            "corrections": [path for path, _, _ in ledger.corrections(order_id)],
            "document": ledger.load_document(order_id) if reveal else None,
        }


def print_order(session: Session, project: Project, order_id: int, *, reveal: bool) -> None:
    """Print what the ledger knows of an order. Raises :class:`UsageError` for an id that is not known."""
    from engine.orders.origin import why_still
    from engine.orders.rules import RULES

    with order_ledgers(session).viewed(project.name) as ledger:
        entry, history = ledger.get_entry(order_id), ledger.status_history(order_id)
        corrections = ledger.corrections(order_id)
        document = ledger.load_document(order_id) if reveal else None
        still = why_still(project, ledger.belongs_to())
    print_text = session.terminal.print_text
    print_text(entry_line(project, entry))
    for line in history_lines(history):
        print_text(line)
    if entry.note:
        print_text(f"  {entry.note}")
    if entry.rule in RULES:
        print_text(f"  → {RULES[entry.rule].remedy}")
    if entry.next_attempt_at:
        print_text(f"  It is retried automatically after {at_local(entry.next_attempt_at)}.")
    for path, before, after in corrections:
        changed = f": {before} is now {after}" if reveal else ""
        done = "skipped" if entry.status == "skipped" else "raised"
        print_text(f"  changed after it was {done}: {path}{changed}")
    if still:
        print_text(f"  {still}")
    if document is not None:
        print_text(session.terminal.json_text(document))


@orders_app.command()
def plan(
    context: typer.Context,
    project: ProjectName,
    order_ids: OrderIds = None,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show the statements with their values that raising would run; run none. Texts are masked without --reveal."""
    from engine.orders.plan import plan_orders

    session = session_of(context)
    loaded = session.load(project)
    reveal = check_reveal(reveal=reveal)
    found = plan_orders(loaded, order_ledgers(session), tuple(order_ids or ()))
    if output is Output.json:
        session.answer.give([_plan_json(each, reveal=reveal) for each in found])
        return
    for each in found:
        session.terminal.print_text(
            f"{loaded.name} · order {each.order_id}"
            + (
                f": would wait: {each.reason}"
                if each.rule
                else f": nothing to raise: {each.reason}"
                if each.reason
                else ""
            )
        )
        displayed: set[str] = set()
        for path, query in each.queries:
            session.terminal.print_text(
                f"\n-- orders/{path.name}, again" if query.sql in displayed else f"\n-- orders/{path.name}\n{query.sql}"
            )
            displayed.add(query.sql)
            for number, value in enumerate(query.binds, 1):
                session.terminal.print_text(f"--   {number}: {bound_text(value, reveal=reveal)}")
    if not found:
        session.terminal.print_text("No order waits to be raised.")
    session.terminal.print_text(
        "\nNothing was run; values that only the database can give are shown in <angle brackets>."
    )


@orders_app.command()
def retry(
    context: typer.Context, project: ProjectName, order_ids: OrderIds = None, output: OutputFormat = Output.text
) -> None:
    """Raise orders that wait or failed, all of them when none is named."""
    from engine.orders.operations import retry_orders

    session = session_of(context)
    loaded = session.load(project)
    with run_controls(session, loaded.name, "orders") as (stop, _):
        found = retry_orders(loaded, order_ledgers(session), tuple(order_ids or ()), stop=stop)
    _print_outcome(session, loaded, found, output)


@orders_app.command("raise")
def raise_order(
    context: typer.Context,
    project: ProjectName,
    order_id: OrderId,
    by: Annotated[str, typer.Option(help="Who wants it to be raised; the ledger keeps the name.")],
    output: OutputFormat = Output.text,
) -> None:
    """Raise an order on purpose: one that was cancelled, or that is gone from the database."""
    from engine.orders.operations import raise_on_purpose

    session = session_of(context)
    loaded = session.load(project)
    with run_controls(session, loaded.name, "orders") as (stop, _):
        entry = raise_on_purpose(loaded, order_ledgers(session), order_id, by=by, stop=stop)
    _print_outcome(session, loaded, [entry], output)


@orders_app.command()
def verify(
    context: typer.Context,
    project: ProjectName,
    days: Annotated[int, typer.Option(min=1, help="Orders that were raised in so many days.")] = 30,
    output: OutputFormat = Output.text,
) -> None:
    """Look raised orders up in the database, and name those that are gone from it."""
    from engine.orders.settings import order_settings
    from engine.orders.verify import list_raised, verify_orders

    session = session_of(context)
    loaded = session.load(project)
    order_settings(loaded)
    with run_controls(session, loaded.name, "orders") as (stop, _):
        ledgers = order_ledgers(session)
        found = verify_orders(loaded, ledgers, list_raised(ledgers, loaded, days=days), stop=stop)
    wrong = [each for each in found if each.state in {"gone", "different"}]
    unknown = [each for each in found if each.state == "unknown"]
    if output is Output.json:
        rows = [{**each.entry.as_json(), "state": each.state, "detail": each.detail} for each in found]
        session.answer.give(rows)
    else:
        for each in [*wrong, *unknown]:
            session.terminal.print_text(f"order {each.entry.order_id}, {each.entry.source_order_code}: {each.detail}")
        there = len(found) - len(wrong) - len(unknown)
        note = f" Look for {len(unknown):,} yourself." if unknown else ""
        session.terminal.print_text(f"{loaded.name}: {there:,} of {len(found):,} orders are there.{note}")
        gone = next((each.entry.order_id for each in wrong if each.state == "gone"), None)
        if gone is not None:
            session.terminal.print_text(f"Raise one again: s2s orders raise {loaded.name} {gone} --by NAME")
    if wrong:
        raise typer.Exit(ATTENTION)


@orders_app.command()
def skip(
    context: typer.Context,
    project: ProjectName,
    order_id: OrderId,
    code: Annotated[
        str | None, typer.Option("--as", help="It was entered by hand under this code, which is answered.")
    ] = None,
    output: OutputFormat = Output.text,
) -> None:
    """Skip an order for good; with --as it counts as raised by hand."""
    from engine.orders.operations import skip_order

    session = session_of(context)
    loaded = session.load(project)
    entry = skip_order(loaded, order_ledgers(session), order_id, code=code)
    if output is Output.json:
        session.answer.give(entry.as_json())
        return
    session.terminal.print_text(f"{loaded.name} · order {order_id}: {entry.status}" + (f" as {code}" if code else ""))


def _plan_json(planned: OrderPlan, *, reveal: bool) -> dict[str, Any]:
    """What raising an order would run, for machines."""
    statements = [
        {"file": str(path), "sql": query.sql, "values": [bound_text(value, reveal=reveal) for value in query.binds]}
        for path, query in planned.queries
    ]
    return {"order_id": planned.order_id, "rule": planned.rule, "reason": planned.reason, "statements": statements}


def at_local(at: str) -> str:
    """A time of the ledger as people read it."""
    return local_text(datetime.fromisoformat(at))


def _rejected_json(project: Project, file: Path, message: str) -> dict[str, Any]:
    """A file that holds no order, as an error of the command."""
    error = OrderError(message)
    error.place = Diagnostic(message=message, path=file)
    (entry,) = error_entries(
        error, message=message, hint="", exit_code=ATTENTION, project=project.name, entity="orders"
    )
    return entry


def bound_text(value: object, *, reveal: bool) -> str:
    """A bound value; a text may be about a person, whatever it was made from."""
    from engine.orders.plan import display_value
    from engine.orders.statements import UnknownValue

    if isinstance(value, str) and not reveal and not isinstance(value, UnknownValue):
        return f"(text of {len(value)})"
    return display_value(value).translate({number: f"\\u{number:04x}" for number in (9, 10, 13)})


def _print_entries(
    session: Session, project: Project, entries: list[Entry], output: Output, *, nothing: str = "such orders"
) -> None:
    if output is Output.json:
        session.answer.give([entry.as_json() for entry in entries])
    elif entries:
        rows = [
            (
                str(e.order_id),
                e.status,
                e.source_order_code,
                e.via,
                at_local(e.received_at),
                f"{e.reason} {e.note}".strip(),
            )
            for e in entries
        ]
        session.terminal.print_table(rows, ("order", "status", "code", "via", "received_at", "reason"))
    else:
        session.terminal.print_text(f"{project.name} has no {nothing}.")


def _print_outcome(
    session: Session, project: Project, entries: list[Entry], output: Output, *, some_rejected: bool = False
) -> None:
    """Say what became of orders; exit code 4 where one of them was not raised."""
    if output is Output.json:
        session.answer.give([entry.as_json() for entry in entries])
    elif entries:
        _print_entries(session, project, entries, output)
        unraised = [entry for entry in entries if entry.status in {"waiting", "failed"}]
        if unraised:
            look = "plan" if unraised[0].rule == "held" else "show"
            session.terminal.print_text(f"Look: s2s orders {look} {project.name} {unraised[0].order_id}")
    elif not some_rejected:
        session.terminal.print_text("There are no orders to raise.")
    if some_rejected or any(entry.status in {"waiting", "failed"} and entry.rule != "held" for entry in entries):
        raise typer.Exit(ATTENTION)
