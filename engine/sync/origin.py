"""Whose rows a state holds: the Stock2Shop account that acknowledged them, and the database that they came from.

A memory belongs to one account and one source. What was acknowledged by another account is not there, and what another
database does not show was not removed; so where either changes, nothing is planned or sent before somebody says what
is meant: keep what is published, or forget it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.database.origin import Origin, origin_of
from engine.errors import OriginChangedError
from engine.mapping.engine_sql import render_sql
from engine.sync.fields_read import forget_fields_read
from engine.sync.removals import FORGOTTEN_RUN, forget_removals
from engine.sync.unanswered import forget_unanswered

if TYPE_CHECKING:
    from engine.model.settings import Project
    from engine.state.store import State


def recorded_origin(state: State) -> Origin | None:
    """The account and the database of what the state holds; None where it holds nothing, or does not know yet."""
    account, database = state.meta("account"), state.meta("database")
    if account is None or database is None:
        return None
    return Origin(account=account, database=database)


def require_same_origin(state: State, project: Project) -> None:
    """Raise :class:`OriginChangedError` where the state's rows are another account's, or came from another database.

    What holds no rows is nobody's, unless somebody said whose it is by ``rebind --forget``: an account that was left so
    may hold items of which nothing is known any more.
    """
    recorded, now = recorded_origin(state), origin_of(project)
    if recorded is None or now.is_same(recorded):
        return
    name, holds = project.name, holds_rows(state)
    if recorded.account != now.account and not holds and state.meta(FORGOTTEN_RUN) is not None:
        raise OriginChangedError(
            f"The state of {name} belongs to {recorded.account} since a rebind, but project.toml names {now.account}."
            " Nothing was planned or sent.",
            hint=f"If project.toml is right: `s2s rebind {name} --forget`, then `s2s adopt {name}` where that account"
            " already holds products.",
        )
    if not holds:
        return
    if recorded.account != now.account:
        raise OriginChangedError(
            f"The state of {name} holds what {recorded.account} acknowledged or refused,"
            f" but project.toml names {now.account}. Nothing was planned or sent.",
            hint=f"If it is another account: `s2s rebind {name} --forget`, then `s2s adopt {name}` where it already"
            f" holds products. If it is the same one under another address: `s2s rebind {name} --keep`."
            " To try a sandbox beside the live account, give it a state of its own: S2S_STATE=FOLDER.",
        )
    raise OriginChangedError(
        f"The rows of {name} that were sent came from {recorded.database}, but project.toml names {now.database}."
        " Nothing was planned or sent.",
        # Without --only it would say of the orders, too, that they are in the present database.
        hint=f"If that database holds the same items, as after a move: `s2s rebind {name} --keep"
        f"{'' if project.orders is None else ' --only state'}`; the guards still apply. If not, correct [source].",
    )


def record_origin(state: State, project: Project) -> None:
    """Remember the account and the database, before the first row is sent that belongs to them."""
    now = origin_of(project)
    for name, value in (("account", now.account), ("database", now.database)):
        if state.meta(name) != value:
            state.set_meta(name, value)


def rebind(state: State, project: Project, *, forget: bool) -> Origin | None:
    """Have the state belong to what ``project.toml`` names now; gives what it belonged to, where that was another.

    With ``forget`` nothing counts as published any more: the next run sends every row, unless ``adopt`` comes first.
    History stays.
    """
    before = recorded_origin(state)

    def rebound() -> None:
        if forget:
            state.run(render_sql("forget.sql", tables=[*_tables(state), "approved", "quarantine"]))
            state.forget_meta("sync_token")
            forget_unanswered(state)
            forget_fields_read(state)
            forget_removals(state)
        record_origin(state, project)

    state.transaction_with_retry(rebound)
    return None if before is None or origin_of(project).is_same(before) else before


def holds_rows(state: State) -> bool:
    """Whether anything counts as published, may have been taken, or was refused."""
    return any(state.value(render_sql("count.sql", table=table)) for table in _tables(state)) or bool(
        state.value("select count(*) from quarantine where rule = 'refused' and resolved_at is null")
    )


def _tables(state: State) -> list[str]:
    """The tables of what Stock2Shop holds, or may hold."""
    sql = (
        "select table_name from duckdb_tables() where database_name = current_database()"
        " and regexp_matches(table_name, '^(published|acknowledged|settled)_|^(in_doubt|held)$')"
    )
    return [name for (name,) in state.rows(sql)]
