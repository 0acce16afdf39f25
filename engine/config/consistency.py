"""Rules of ``project.toml`` that look at more than one key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.config.schedule import schedule_problems
from engine.config.values import DIALECTS, LOOPBACK_HOSTS, ODBC_KEYS
from engine.model.fields import ENTITIES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Problem = tuple[tuple[str, ...], str, str]


def check_consistency(data: Mapping[str, Any], views: Collection[str]) -> Iterator[Problem]:
    """What is wrong between keys: a place, a message and a hint each.

    ``data`` is the document as TOML has it, with variables filled in and values perhaps wrong; ``views`` are the
    entities whose view is in the project's folder.
    """
    source = data.get("source")
    if isinstance(source, dict):
        yield from _source(source)
    orders = data.get("orders")
    if isinstance(orders, dict):
        yield from _orders(orders)
    schedule = data.get("schedule")
    if isinstance(schedule, dict):
        for problem in schedule_problems(schedule):
            yield ("schedule",), f"[schedule] {problem}.", ""
    for name in ENTITIES:
        table = data.get(name)
        view = table.get("view") if isinstance(table, dict) else None
        if isinstance(view, str) and not view.lower().endswith(".sql"):
            yield (name, "view"), f"{view} is not an SQL file.", "The name of a view's file ends in .sql."
    if "orders" not in data and not views and not any(name in data for name in ENTITIES):
        yield (
            (),
            "The project syncs nothing.",
            f"Write views/products.sql, or one of the tables {', '.join(f'[{name}]' for name in ENTITIES)}.",
        )


def _source(source: dict[str, Any]) -> Iterator[Problem]:
    columnar = source.get("reader") == "mssql-python"
    if columnar and ("connection" not in source or DIALECTS.get(str(source.get("dialect"))) != "tsql"):
        yield (
            ("source", "reader"),
            "mssql-python reads SQL Server alone.",
            'Remove reader, or write dialect = "tsql" and a `connection`.',
        )
    if ("connection" in source) == ("database" in source):
        yield (
            ("source",),
            "A source needs either `connection` or `database`.",
            "connection is an ODBC connection string; database is a DuckDB or SQLite file.",
        )
    elif "database" in source and DIALECTS.get(str(source.get("dialect"))) not in {"duckdb", "sqlite", None}:
        yield (
            ("source", "dialect"),
            f"A `database` file is read as DuckDB or SQLite, not as {source['dialect']}.",
            'Write dialect = "duckdb" or "sqlite", or a `connection` instead of the file.',
        )
    elif "database" in source:
        for key in ODBC_KEYS.get(str(source.get("dialect")), ()):
            if key in source:
                yield (
                    ("source", key),
                    f"{key} has no effect on a {source['dialect']} file: it is for a `connection` over ODBC.",
                    "Remove it.",
                )


def _orders(orders: dict[str, Any]) -> Iterator[Problem]:
    if ("connection" in orders) == ("database" in orders):
        yield (
            ("orders",),
            "Orders need either `connection` or `database`: a login that may write.",
            "It is another login than that of [source], which only reads.",
        )
    serve = orders.get("serve")
    if not isinstance(serve, dict):
        return
    has_login = "token" in serve or ("username" in serve and "password" in serve)
    if str(serve.get("host", "127.0.0.1")) not in LOOPBACK_HOSTS and not has_login:
        yield (
            ("orders", "serve", "host"),
            "Anyone who reaches this address could raise orders.",
            'Set a token: token = "${ORDERS_TOKEN}", or username and password.',
        )
    if ("tls_certificate" in serve) != ("tls_key" in serve):
        yield ("orders", "serve"), "TLS needs both tls_certificate and tls_key.", ""
