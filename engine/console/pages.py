"""The pages of the console, and what people do on them."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from engine.console import chart
from engine.console.application import Asked, Console, NotThereError, action_route, file_route, page_route, see
from engine.console.facts import OrderFacts, days_ago, today
from engine.console.login import login_routes
from engine.console.masking import masked_document
from engine.console.render import FILES
from engine.errors import SyncError, UsageError
from engine.orders.rules import RULES as ORDER_RULES
from engine.status.collect import SEVERITY
from engine.sync.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from engine.orders.entry import Entry
    from engine.status.collect import Condition

    Routes = list[BaseRoute]

CHART_DAYS, LONG_CHART_DAYS = 14, 60
"""Of so many days the charts are: beside each client, and on its page."""

PLAN_KEYS = frozenset({"digest", "violations", "counts", "requests", "columns", "changes", "notes"})
"""What a plan has, as this version prints it."""

MAX_CODE_LENGTH = 200

MAX_AMOUNT_DIGITS = 30

LIST_SECONDS, WORK_SECONDS = 10, 3
"""How often the list of clients is loaded again, and a page on which something goes on."""

NEEDS_PERSON: frozenset[Condition] = frozenset({"failed", "guarded", "late"})


def console_routes(console: Console) -> Routes:
    """All routes of the console."""
    pages = {
        "/": show_clients,
        "/search": show_found,
        "/audit": show_audit,
        "/clients/{project}": show_client,
        "/clients/{project}/runs/{run:int}": show_run,
        "/clients/{project}/key": show_key,
        "/clients/{project}/orders/{order:int}": show_order,
        "/clients/{project}/plan/{entity}": show_plan,
    }
    actions = {
        "/clients/{project}/run": run_client,
        "/clients/{project}/key": explain_key,
        "/clients/{project}/plan/{entity}": approve_plan,
        "/clients/{project}/orders/{order:int}/reveal": reveal_order,
        "/clients/{project}/orders/{order:int}/retry": retry_order,
        "/clients/{project}/orders/{order:int}/skip": skip_order,
    }
    return [
        *(page_route(console, path, handler) for path, handler in pages.items()),
        *(action_route(console, path, handler) for path, handler in actions.items()),
        *login_routes(console),
        *(file_route(name) for name in FILES),
    ]


def show_clients(asked: Asked) -> Response:
    """All clients, what needs a person first."""
    workspace = asked.console.workspace
    statuses = workspace.statuses(workspace.names())
    counts = Counter(each.condition for each in statuses)
    shown = asked.request.query_params.get("show", "")
    shown = shown if shown in SEVERITY else ""
    days, now = workspace.days(days_ago(CHART_DAYS - 1)), today()
    charts = {
        name: chart.day_chart("Rows sent", found, lambda day: day.sent, today=now, count=CHART_DAYS, height=16)
        for name, found in days.items()
    }
    return asked.page(
        "clients.html",
        statuses=[each for each in statuses if shown in {"", each.condition}],
        tally=[(condition, counts[condition]) for condition in SEVERITY if counts[condition]],
        needing=sum(counts[condition] for condition in NEEDS_PERSON),
        total=len(statuses),
        shown=shown,
        charts=charts,
        chart_days=CHART_DAYS,
        refreshes=LIST_SECONDS,
    )


def show_client(asked: Asked) -> Response:
    """One client: how it does, its orders, what is held back, what changed, and its runs."""
    name = asked.project
    facts = asked.console.workspace.client(name, since=days_ago(LONG_CHART_DAYS - 1))
    measures: dict[str, Any] = {
        "Rows sent": lambda day: day.sent,
        "Seconds a run": chart.seconds_a_run,
        "Rows withheld": lambda day: day.withheld,
    }
    charts = [
        chart.day_chart(title, facts.days, value, today=today(), count=LONG_CHART_DAYS, height=44)
        for title, value in measures.items()
    ]
    return asked.page(
        "client.html",
        status=facts.status,
        charts=charts if facts.days else [],
        plans=facts.plans,
        runs=facts.runs,
        columns=facts.columns,
        changes=facts.changes,
        quarantine=facts.quarantine,
        rules=facts.rules,
        orders=facts.orders,
        **({"refreshes": WORK_SECONDS} if facts.status.activity else {}),
    )


def show_run(asked: Asked) -> Response:
    """One run: its numbers, how it ended, what was acknowledged and refused."""
    found = asked.console.workspace.run(asked.project, asked.request.path_params["run"])
    if found is None:
        raise NotThereError("There is no such run, or it is so old that it was dropped.")
    run, changes, refusals, plan = found
    going = {"refreshes": WORK_SECONDS} if run.outcome == "running" else {}
    return asked.page("run.html", run=run, changes=changes, refusals=refusals, plan=plan, **going)


def show_key(asked: Asked) -> Response:
    """What is known of a code: what the last runs copied, and what the source said where somebody asked it."""
    name, code = asked.project, asked.request.query_params.get("code", "").strip()[:MAX_CODE_LENGTH]
    if not code:
        raise NotThereError("The address names no code.")
    held, changes = asked.console.workspace.key(name, code)
    explaining, answer = asked.console.explanations.find(name, code)
    return asked.page(
        "key.html",
        project=name,
        code=code,
        held=held,
        changes=changes,
        remedies=list(dict.fromkeys(RULES[row["rule"]].remedy for row in held if row["rule"] in RULES)),
        explaining=explaining,
        answer=answer,
        **({"refreshes": WORK_SECONDS} if explaining else {}),
    )


def explain_key(asked: Asked) -> Response:
    """Have the source read, and a code explained."""
    name, code = asked.project, asked.form.get("code", "").strip()[:MAX_CODE_LENGTH]
    if not code:
        raise NotThereError("The form names no code.")
    asked.note("explain", project=name, code=code)
    explanations = asked.console.explanations

    def keep(stories: Sequence[Mapping[str, Any]], error: str) -> None:
        explanations.end(name, code, stories, error)

    url = f"/clients/{quote(name, safe='')}/key?code={quote(code, safe='')}"
    explanations.begin(name, code)
    if not asked.console.work.explain(name, code, keep):
        keep((), "Something else of this client waits to be done; ask again in a moment.")
    return see(url)


def show_order(asked: Asked) -> Response:
    """One order, what is personal masked."""
    return _order_page(asked, revealed=False)


def reveal_order(asked: Asked) -> Response:
    """One order with what is personal; shown once, to who asked for it."""
    asked.note("reveal order", project=asked.project, order=asked.request.path_params["order"])
    return _order_page(asked, revealed=True)


def retry_order(asked: Asked) -> Response:
    """Have an order raised that waits or failed."""
    name, order = asked.project, _order(asked).entry.order_id
    asked.note("retry order", project=name, order=order)
    return see(_order_url(name, order), "retry" if asked.console.work.retry(name, order) else "busy")


def skip_order(asked: Asked) -> Response:
    """Skip an order for good, or say under which code it was entered by hand."""
    name, order = asked.project, _order(asked).entry.order_id
    code = asked.form.get("code", "").strip() or None
    asked.note("skip order", project=name, order=order, **({"code": code} if code else {}))
    asked.console.work.skip(name, order, code)
    return see(_order_url(name, order), "skipped")


def show_plan(asked: Asked) -> Response:
    """The plan that a guard stopped."""
    name, entity = asked.project, asked.request.path_params["entity"]
    found = asked.console.workspace.stopped_plan(name, entity)
    if found is None:
        raise NotThereError("No plan waits for approval: a later run went through, or nothing was stopped.")
    run, plan = found
    if not {*plan} >= PLAN_KEYS:
        raise NotThereError("The plan was stored by another version of s2s; the next run stores it again.")
    counts = plan["counts"]
    removed = sum(counts.get(kind, 0) for kind in ("deleted", "flagged_delete", "replaced", "strays"))
    return asked.page("plan.html", project=name, entity=entity, plan=plan, run=run, removed=removed)


def approve_plan(asked: Asked) -> Response:
    """Have exactly the plan sent that was shown, or nothing."""
    name, entity = asked.project, asked.request.path_params["entity"]
    found = asked.console.workspace.stopped_plan(name, entity)
    digest = asked.form.get("digest", "")
    if found is None or found[1]["digest"] != digest:
        raise UsageError("The plan is another one by now; nothing was approved.", hint="Look at it again.")
    asked.note("approve plan", project=name, entity=entity, digest=digest)
    taken = asked.console.work.approve(name, entity, digest)
    return see(f"/clients/{quote(name, safe='')}", "approved" if taken else "busy")


def run_client(asked: Asked) -> Response:
    """Have a client run now."""
    name = asked.project
    asked.note("run", project=name)
    return see(f"/clients/{quote(name, safe='')}", "run" if asked.console.work.run(name) else "busy")


def show_found(asked: Asked) -> Response:
    """What goes by a code, a number or a name; its page, where there is one alone."""
    query = asked.request.query_params.get("q", "").strip()[:MAX_CODE_LENGTH]
    workspace = asked.console.workspace
    projects, orders, keys = workspace.find(query) if query else ([], [], [])
    if len(projects) + len(orders) + len(keys) == 1:
        return see(_url_of(projects, orders, keys))
    names = [] if projects or orders or not query else workspace.names()
    return asked.page("search.html", query=query, projects=projects, orders=orders, keys=keys, names=names)


def show_audit(asked: Asked) -> Response:
    """Who did what, for operators."""
    if not asked.visitor.may_act:
        raise NotThereError("Only operators see who did what.")
    entries = [
        {
            "at": str(each.pop("at", "")),
            "who": str(each.pop("who", "")),
            "what": str(each.pop("what", "")),
            "project": str(each.pop("project", "")),
            "address": str(each.pop("from", "")),
            "facts": ", ".join(f"{name} {value}" for name, value in each.items()),
        }
        for each in asked.console.audit.newest(limit=200)
    ]
    return asked.page("audit.html", entries=entries)


def _url_of(projects: Sequence[str], orders: Sequence[tuple[str, Entry]], keys: Sequence[tuple[str, str, str]]) -> str:
    """The page of the one thing that was found."""
    for name in projects:
        return f"/clients/{quote(name, safe='')}"
    for name, entry in orders:
        return _order_url(name, entry.order_id)
    ((name, _, key),) = keys
    return f"/clients/{quote(name, safe='')}/key?code={quote(key, safe='')}"


def _order_url(name: str, order: int) -> str:
    return f"/clients/{quote(name, safe='')}/orders/{order}"


def _order(asked: Asked) -> OrderFacts:
    number = asked.request.path_params["order"]
    found = asked.console.workspace.order(asked.project, number) if number < 2**63 else None
    if found is None:
        raise NotThereError("There is no such order.")
    return found


def _json_number(number: Decimal) -> float | str:
    """An amount of a document, as people read it; what is no amount, such as 1E+999999, as it was written."""
    if not number.is_finite() or abs(number.adjusted()) > MAX_AMOUNT_DIGITS:
        return str(number)
    return int(number) if number == number.to_integral_value() else float(number)


def _order_page(asked: Asked, *, revealed: bool) -> Response:
    name, facts = asked.project, _order(asked)
    entry = facts.entry
    document = facts.document if revealed or facts.document is None else masked_document(facts.document)
    statements: Sequence[tuple[str, str, Sequence[str]]] | None = None
    error = ""
    if entry.status in {"waiting", "failed", "received"} and facts.document is not None:
        try:
            statements = asked.console.work.statements(name, entry.order_id, revealed)
        except SyncError as problem:
            statements, error = (), problem.message
    going = {"refreshes": WORK_SECONDS} if entry.status in {"received", "raising"} and not revealed else {}
    return asked.page(
        "order.html",
        project=name,
        entry=entry,
        history=facts.history,
        corrections=facts.corrections,
        remedy=ORDER_RULES[entry.rule].remedy if entry.rule in ORDER_RULES else "",
        document=None if document is None else json.dumps(document, indent=2, ensure_ascii=False, default=_json_number),
        revealed=revealed,
        statements=statements,
        statements_error=error,
        **going,
    )
