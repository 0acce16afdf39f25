"""The settings of a project from its checked document: defaults that depend on other keys, and paths made absolute."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.config.document import entity_tables
from engine.config.values import DIALECTS
from engine.config.workspace import state_folder
from engine.model.fields import ACTIVE_WORDS, ENTITIES
from engine.model.settings import (
    DEFAULT_MAX_CHANGES,
    DEFAULT_MAX_DELETES,
    EntitySettings,
    Expect,
    Fresh,
    OrderSettings,
    PriceSettings,
    Project,
    PullSettings,
    ReceiverSettings,
    SourceSettings,
    Stock2ShopSettings,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path


def build_project(
    document: Any, root: Path, *, base: Path, workspace: Path, environ: Mapping[str, str], views: Collection[str]
) -> Project:
    """The project whose files are in the folder ``root``, from a valid ``document_model()``.

    Paths of databases and of TLS files are from ``base`` on. An entity is synced where it has a table, or is among
    ``views``.
    """
    folder = state_folder(workspace, environ)
    return Project(
        name=base.name,
        root=root,
        workspace=workspace,
        description=document.project.description,
        source=_source(document.source, base),
        stock2shop=Stock2ShopSettings(**document.stock2shop.model_dump()),
        entities={
            name: _entity(name, getattr(document, name) or entity_tables()[name](), root)
            for name in ENTITIES
            if getattr(document, name) is not None or name in views
        },
        vars=document.vars,
        state=folder / f"{base.name}.duckdb",
        keep_days=document.history.keep_days,
        tests=document.tests,
        orders=None if document.orders is None else _orders(document, base),
    )


def _source(table: Any, root: Path) -> SourceSettings:
    values = table.model_dump()
    values["dialect"] = DIALECTS[table.dialect]
    values["session"] = tuple(table.session)
    values["database"] = None if table.database is None else root / table.database
    return SourceSettings(**values)


def _orders(document: Any, root: Path) -> OrderSettings:
    table = document.orders
    values = table.model_dump(exclude={"connection", "database", "dialect", "session", "serve", "pull"})
    source = replace(
        _source(document.source, root),
        connection=table.connection,
        database=None if not table.database else root / table.database,
        dialect=DIALECTS[table.dialect or document.source.dialect],
        reader="pyodbc",
        session=tuple(table.session),
    )
    receiver = table.serve.model_dump()
    for name in ("tls_certificate", "tls_key"):
        receiver[name] = None if receiver[name] is None else root / receiver[name]
    values["tolerance"] = Decimal(str(table.tolerance))
    return OrderSettings(
        source=source, receiver=ReceiverSettings(**receiver), pull=PullSettings(**table.pull.model_dump()), **values
    )


def _entity(name: str, table: Any, root: Path) -> EntitySettings:
    own: dict[str, Any] = {}
    missing = table.missing
    if name == "customers":
        own = {"path": table.path, "search_path": table.search_path}
    else:
        names = [*table.option_names, *(f"Option {n}" for n in range(len(table.option_names) + 1, 4))]
        own = {
            "linked": table.linked,
            "option_names": (names[0], names[1], names[2]),
            "prices": PriceSettings(
                default_tier=table.default_price_tier,
                blank=_amount(table.blank_price),
                blank_tier=_amount(table.blank_tier_price),
            ),
        }
        if table.linked and "missing" not in table.model_fields_set:
            # A linked source only enriches: what another source owns is not removed when it is missing here.
            missing = "keep"
    return EntitySettings(
        name=name,
        view=root / (table.view or f"views/{name}.sql"),
        missing=missing,
        max_deletes=table.max_deletes or DEFAULT_MAX_DELETES,
        max_deletes_per_day=table.max_deletes_per_day,
        max_changes=table.max_changes or DEFAULT_MAX_CHANGES,
        min_rows=table.min_rows,
        active=table.active or ACTIVE_WORDS,
        expect=_expect(table.expect),
        **own,
    )


def _amount(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _expect(table: Any) -> Expect:
    if table is None:
        return Expect()
    return Expect(
        min_rows=table.min_rows,
        not_null=tuple(table.not_null),
        accepted_values={name: tuple(values) for name, values in table.accepted_values.items()},
        fresh=Fresh(**table.fresh.model_dump()) if table.fresh else None,
        severity=table.severity,
    )
