"""Whose orders a ledger holds: the Stock2Shop account that they came from, and the database that they were raised in.

As a state, see :mod:`engine.sync.origin`, a ledger belongs to one of each. An order with a number that another account
has given is another order, and what another database has is not in this one; so where either changes, no order is asked
for, raised or answered before somebody says what is meant: these are the same orders, or others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.database.origin import Origin, origin_of
from engine.errors import OriginChangedError
from engine.orders.ledger_table import LedgerTable
from engine.orders.settings import order_settings

if TYPE_CHECKING:
    from engine.model.settings import Project
    from engine.orders.former import FormerOrders
    from engine.orders.ledger_store import LedgerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ReboundLedger:
    """What became of a ledger: what it belonged to, and how many orders were put aside and are there again.

    ``before`` is None where it belonged to the same. ``unfinished`` of those that were put aside were not raised.
    """

    before: Origin | None
    put_aside: int
    unfinished: int
    brought_back: int

    def as_json(self) -> dict[str, Any]:
        """Return it as commands print it."""
        return {**asdict(self), "before": None if self.before is None else self.before.as_json()}


def order_origin(project: Project) -> Origin:
    """The account and the database of its orders that ``project.toml`` names now.

    Raises :class:`UsageError` where the project raises no orders.
    """
    return origin_of(project, order_settings(project).source)


def recorded_origin(store: LedgerStore) -> Origin | None:
    """The account and the database of the ledger's orders; None where it does not know yet."""
    found = LedgerTable(store, "order_origin").select("account, database")
    return Origin(account=found[0][0], database=found[0][1]) if found else None


def bind(store: LedgerStore, origin: Origin, *, project: str) -> None:
    """Have the ledger belong to ``origin``, inside of a change of it.

    One of an older version, which does not know, takes what it finds, and so does one that never had an order. Raises
    :class:`OriginChangedError` where it belongs to another account, or its orders were raised in another database: a
    process that began before somebody rebound the ledger changes nothing in it.
    """
    recorded = recorded_origin(store)
    if recorded is not None and origin.is_same(recorded):
        return
    if recorded is not None and _has_orders(store):
        raise _origin_changed(project, recorded, origin)
    _record(store, recorded, origin)


def rebind(
    store: LedgerStore, former: FormerOrders, origin: Origin, *, forget: bool, at: str, project: str
) -> ReboundLedger:
    """Have the ledger belong to ``origin``, inside of a change of it, whatever it belonged to.

    With ``forget`` its orders are others than those of ``origin``, and are put aside; without it they are the same
    orders, and what is put aside of the former account, or in the former database, is of the new one, too. Those of
    ``origin`` that were put aside before are there again. ``at`` is now. Raises :class:`OriginChangedError` where
    orders are to be put aside of which nobody noted whose they are.
    """
    recorded = recorded_origin(store)
    before = None if recorded is None or origin.is_same(recorded) else recorded
    put_aside = unfinished = 0
    if forget and recorded is None and _has_orders(store):
        raise _origin_unknown(project)
    if before is not None and forget:
        unfinished = len(LedgerTable(store, "orders").select("1", "finished_at is null"))
        put_aside = former.put_aside(before, at=at)
    elif before is not None:
        former.rename(before, origin)
    if recorded != origin:
        _record(store, recorded, origin)
    brought_back = former.bring_back(origin, at=at)
    return ReboundLedger(before=before, put_aside=put_aside, unfinished=unfinished, brought_back=brought_back)


def why_still(project: Project, recorded: Origin | None) -> str:
    """Say why nothing is done with the orders of a ledger that belongs to ``recorded``; blank where that is not so.

    Where a variable has no value, nobody knows what ``project.toml`` names.
    """
    now = order_origin(project)
    unknown = any(each.message.startswith("The variable ") for each in project.warnings)
    if recorded is None or unknown or now.is_same(recorded):
        return ""
    return (
        f"The order ledger of {project.name} belongs to {recorded.account}; {recorded.database}, but project.toml names"
        f" {now.account}; {now.database}. Nothing is raised before somebody says what is meant:"
        f" s2s rebind {project.name}"
    )


def _has_orders(store: LedgerStore) -> bool:
    return any(LedgerTable(store, name).select("1", order="limit 1") for name in ("orders", "former_orders"))


def _record(store: LedgerStore, recorded: Origin | None, origin: Origin) -> None:
    columns = {"account": origin.account, "database": origin.database}
    table = LedgerTable(store, "order_origin")
    if recorded is None:
        table.insert(**columns)
    else:
        table.update(columns)


def _origin_unknown(name: str) -> OriginChangedError:
    return OriginChangedError(
        f"The order ledger of {name} is of an older version, and does not know whose orders it has. Nothing was"
        " changed.",
        hint=f"Have project.toml name the account and the database of these orders once more, and call `s2s rebind"
        f" {name} --keep --only orders`. Then change it again, and repeat this. If they are the orders of what it names"
        " now: --keep.",
    )


def _origin_changed(name: str, recorded: Origin, now: Origin) -> OriginChangedError:
    nothing = "No order was asked for, raised or answered."
    behind = (
        " If somebody has rebound it already, this one is behind: start again what has run since before, such as"
        " `s2s orders serve`, and bring this machine's project.toml up to date."
    )
    if recorded.account != now.account:
        return OriginChangedError(
            f"The order ledger of {name} belongs to {recorded.account}, but project.toml names {now.account}."
            f" {nothing}",
            hint=f"If it is another account: `s2s rebind {name} --forget`, which puts these orders aside. If it is the"
            f" same one under another address: `s2s rebind {name} --keep`. To try a sandbox beside the live account,"
            f" give it a state of its own: S2S_STATE=FOLDER.{behind}",
        )
    return OriginChangedError(
        f"The orders of {name} were raised in {recorded.database}, but project.toml names {now.database}. {nothing}",
        hint=f"If that database has these orders, as after a move: `s2s rebind {name} --keep --only orders`. If they"
        f" are to be raised in it, too, as after trying: `s2s rebind {name} --forget --only orders`, which puts what"
        f" the ledger has aside. If neither, correct [orders].{behind}",
    )
