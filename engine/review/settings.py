"""What a change of settings does to a run: a sentence for each key of ``project.toml`` and ``workspace.toml``.

Few settings change a row of the fixtures, and most change what a run does: to whom it sends, what it reads, when it
stops. So each one that differs is told. Where nothing is written here about a key, its description in the reference
is told, so that none can be forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.config.document import find_setting
from engine.config.masking import changed_values, has_variable, variable_names
from engine.database.origin import origin_of
from engine.model.fields import ENTITIES
from engine.review.model import SettingChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.config.masking import ChangedValue
    from engine.model.settings import Project

UNTOLD = frozenset({"project.description"})
"""Settings that nothing but a page shows: their difference is shown, and nobody has to agree to it."""

_READ_OTHERWISE = "Texts, numbers and dates of the database may be read otherwise: only --live would show it."

_ANOTHER_SOURCE = "Not even --live shows what differs in it: both mappings are run over what is set now."

EFFECTS = {
    "source.dialect": "The views are written for another kind of database, and checked and rehearsed as such.",
    "source.connection": f"The database is reached otherwise. {_ANOTHER_SOURCE}",
    "source.database": f"Another file is read. {_ANOTHER_SOURCE}",
    "source.encoding": _READ_OTHERWISE,
    "source.decoding": _READ_OTHERWISE,
    "source.wide_decoding": _READ_OTHERWISE,
    "source.attributes": _READ_OTHERWISE,
    "source.session": f"Statements that are run before the view. {_READ_OTHERWISE}",
    "source.reader": f"Another library reads the views. {_READ_OTHERWISE}",
    "stock2shop.source_id": "What is published belongs to another source of Stock2Shop.",
    "stock2shop.url": "What is sent goes to another address.",
    "stock2shop.username": "Another user sends: it has to belong to the same account.",
    "stock2shop.password": "It has to be the password of the user that sends.",
    "entity.view": "The view is another file; what it gives is compared.",
    "entity.path": "The entity is sent to another address of Stock2Shop, which fixtures do not try.",
    "entity.search_path": "adopt and verify read from another address of Stock2Shop, which fixtures do not try.",
    "entity.missing": 'With "keep", what the view lacks stays in Stock2Shop; with "delete" it is removed there, and so'
    " is what was kept until now, of which a review knows nothing.",
    "entity.linked": "A linked source enriches products that another one owns, and owns none itself.",
    "entity.blank_price": "It is the price that items without one are sold at.",
    "entity.blank_tier_price": "It is the price that items without one in a price list are sold at.",
    "entity.default_price_tier": "It is the price list that items without a price of their own are sold at.",
    "entity.max_deletes": "A run that removes more than this is stopped.",
    "entity.max_deletes_per_day": "A run that would remove more than this within 24 hours is stopped.",
    "entity.max_changes": "A run that sends more than this is stopped.",
    "entity": "Settings of the entity count from now on, or its defaults again.",
    "vars": "It is a value of the client's own; where a view, test or statement uses it, that changes.",
    "tests": "A data test that is an error stops a run; a warning stops none.",
    "orders": "Orders are raised only while project.toml has this table.",
    "orders.pull": "Orders are asked for only while project.toml has this table.",
    "orders.connection": "Orders are raised in another database, or by another login. In another database none is"
    " raised until `s2s rebind --only orders` says what becomes of those that were.",
    "orders.database": "Orders are raised in another file, and none until `s2s rebind --only orders` says what becomes"
    " of those that were.",
    "orders.prices": "It is whether prices of orders have tax in them.",
    "orders.channels": "It differs for the orders of one channel.",
    "schedule": "Without a table [schedule] in project.toml or workspace.toml, no agent runs the client.",
    "notify": "Without addresses in project.toml or workspace.toml, nobody is told when runs fail.",
    "console": "It is about who may look at the agent's web page, and act there.",
    "fleet": "It is the database that machines share to run the clients: all of them have to change together.",
}
"""What a change of a key does, by its dotted name or that of a key above it; ``entity`` is any entity."""

UNKNOWN_EFFECT = "Nothing is known of this key: s2s does not read it."


def setting_changes(
    before: str, after: str, file: str, *, projects: tuple[Project, Project] | None = None
) -> Iterator[SettingChange]:
    """What differs between two versions of the ``file`` project.toml or workspace.toml, and what that does to runs.

    ``projects`` are both versions as they are loaded, where they can be. Nothing where one of the texts is not TOML.
    """
    found = changed_values(before, after) or []
    stops = dict(_stops(found, *projects)) if projects else {}
    for each in found:
        name = ".".join(each.at)
        if name in UNTOLD:
            continue
        shown = [
            _default(each.at) if value is None and len(each.at) > 1 else value for value in (each.before, each.after)
        ]
        yield SettingChange(
            file=file,
            name=name if len(each.at) > 1 else f"[{name}]",
            before=shown[0],
            after=shown[1],
            effect=effect_of(each.at),
            stops=stops.get(name, ""),
        )
    new = sorted(variable_names(after) - variable_names(before))
    for variable in new if before else ():
        yield SettingChange(
            file=file,
            name=f"the variable {variable}",
            before=None,
            after="",
            effect="It has to have a value on the machine that runs the client, or no run begins.",
        )


def effect_of(at: Sequence[str]) -> str:
    """What a change of the key at a place does to runs, in a sentence or two."""
    kind = ("entity", *at[1:]) if at[0] in ENTITIES else tuple(at)
    field = find_setting(at)
    for length in range(len(kind), 0, -1):
        words = EFFECTS.get(".".join(kind[:length]))
        if words is not None and (length == len(kind) or length > 1 or field is None or not field.description):
            return words
    return field.description if field is not None and field.description else EFFECTS.get(kind[0], UNKNOWN_EFFECT)


def _default(at: Sequence[str]) -> str | None:
    """The default of a key as it is shown; None where it has none."""
    field = find_setting(at)
    default = None if field is None or field.is_required() or field.default_factory else field.default
    return None if default is None or default == () else f"{default}, the default"


def _stops(changes: Sequence[ChangedValue], before: Project, now: Project) -> Iterator[tuple[str, str]]:
    """The keys whose change has the next run stop, or everything about orders, each with why.

    What is published, or was raised, is another account's or database's then. A value that comes from a variable may be
    the same as before, so that nothing certain can be said of it.
    """
    was, will = origin_of(before), origin_of(now)
    databases = {"source": (before.source, now.source, "What is published came from", "")}
    if before.orders is not None and now.orders is not None:
        databases["orders"] = (before.orders.source, now.orders.source, "Orders were raised in", " --only orders")
    for each in changes:
        name, values = ".".join(each.at), [value for value in (each.before, each.after) if value is not None]
        variables = {found.lower() for value in values for found in variable_names(f"[a]\nb = {value}")}
        if name in {"stock2shop.source_id", "stock2shop.url"} and was.account != will.account:
            if each.before != "0" and not any(has_variable(value) for value in values):
                yield (
                    name,
                    f"What is published belongs to {was.account}. `s2s rebind {now.name}` says what becomes of it.",
                )
        elif each.at[0] in databases and each.at[-1] in {"connection", "database", "session"}:
            earlier, later, said, only = databases[each.at[0]]
            former, next_one = origin_of(before, earlier), origin_of(now, later)
            if each.at[-1] == "session":  # of the same connection: a file's path is another one in each checkout
                former = origin_of(now, replace(later, session=earlier.session))
            texts = f"{former.database} {next_one.database}".lower()
            if not next_one.names(former.database) and not any(variable in texts for variable in variables):
                yield name, f"{said} {former.database}. `s2s rebind {now.name}{only}` says what becomes of it."
