"""Random orders, drawn by a grammar of all fields, are each raised whole or wait; an oracle adds up what lies there.

Some dozens on each database by default; S2S_RANDOM_ORDERS=1000 tries a thousand on each. The oracle reads the database
and the ledger's answers, and shares no code with the engine.
"""

from __future__ import annotations

import os
import random
import unicodedata
from contextlib import closing, suppress
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from support.order_grammar import ADDRESS_FIELDS, ITEMS, SHIPPING_ITEM, Drawing, Number, raw_document

from engine.errors import OrderError
from engine.orders.document import parse_document
from engine.orders.pipeline import OrderProcessor

if TYPE_CHECKING:
    from support.erp import Erp
    from support.order_grammar import Line, Sale

    from engine.orders.entry import Entry

COUNT = int(os.environ.get("S2S_RANDOM_ORDERS", "25"))

TEXTS = {
    "reference": "order.reference",
    "notes": "order.notes",
    "state": "order.state",
    "status": "order.status",
    "gift": "order.meta.gift",
    "method": "order.payment.method",
    **{
        f"customer.{name}": f"customer.{name}" for name in ("email", "first_name", "last_name", "channel_customer_code")
    },
    **{
        f"{address}.{part}": f"order.{address}.{part}"
        for address in ("billing_address", "shipping_address")
        for part in ADDRESS_FIELDS
    },
}
"""What the oracle calls a text, and how a statement writes it."""

LINE_TEXTS = ("title", "barcode", "source_variant_code")

MONEY = ("price_excluding", "price_including", "sub_total", "tax", "total")

TABLES = (
    "create table sale (id {serial}, s2s_id bigint, customer varchar(40), placed varchar(40), channel varchar(40), "
    + ", ".join(f"t{number} varchar(400)" for number, _ in enumerate(TEXTS))
    + ")",
    "create table sale_line (sale_id integer, n integer, sku varchar(40), qty decimal(14, 4), price decimal(20, 6),"
    " taxes integer, "
    + ", ".join(f"{name} varchar(400)" for name in LINE_TEXTS)
    + ", "
    + ", ".join(f"{name} decimal(20, 6)" for name in MONEY)
    + ")",
)

VALUES = ", ".join(f"{{{{ line.{name} }}}}" for name in (*LINE_TEXTS, *MONEY))
LINE = (
    "insert into sale_line values ({{ results.header.id }}, {{ line.number }}, {{ line.sku }}, {{ line.qty }},"
    f" {{{{ line.price }}}}, {{{{ line.tax_lines | length }}}}, {VALUES})"
)


def statements(dialect: str) -> dict[str, str | None]:
    """Statements that write every value that there is."""
    code = "concat('SO', id)" if dialect == "mysql" else "'SO' || id"
    names = ", ".join(["s2s_id", "customer", "placed", "channel", *(f"t{number}" for number, _ in enumerate(TEXTS))])
    values = ["order.id", "order.customer_code", "order.date", "order.channel_id", *TEXTS.values()]
    written = ", ".join(f"{{{{ {value} }}}}" for value in values)
    return {
        "lookup.sql": f"select {code} as source_order_code from sale where s2s_id = {{{{ order.id }}}}",
        "10_header.sql": f"insert into sale ({names}) values ({written}) returning id",
        "20_lines.line.sql": LINE,
        "30_shipping.shipping.sql": LINE,
        "90_code.sql": f"select {code} as source_order_code from sale where id = {{{{ results.header.id }}}}",
        "customer.sql": None,
        "stock.sql": None,
    }


SETTINGS = {
    "sqlite": ('shipping_item = "SHIP"\nprices = "excluding"', "refuse"),
    "postgres": ('shipping_item = "SHIP"\nprices = "including"', "refuse"),
    "mysql": ('prices = "excluding"\nforeign_lines = "skip"', "skip"),
}
"""How each database's project is set up, and what it does with lines of other sources."""


def run(erp: Erp, *sql: str) -> None:
    """Run statements that give no rows."""
    for statement in sql:
        if erp.dialect == "sqlite":
            import sqlite3

            with closing(sqlite3.connect(erp.workspace / "erp.sqlite", isolation_level=None)) as connection:
                connection.execute(statement)
        else:
            with suppress(Exception):  # no rows to fetch
                erp.rows(statement)


def plain(text: object) -> str:
    """A text as far as it must arrive: without control characters, half characters and blanks around it."""
    kept = "".join(letter for letter in str(text or "") if unicodedata.category(letter) not in {"Cc", "Cs"})
    return kept.strip()


def cents(value: object) -> int | None:
    """An amount of the database, in whole cents."""
    return None if value is None else int((Decimal(str(value)) * 100).to_integral_value())


def histories(count: int, *, foreign_lines: str) -> tuple[dict[int, Sale], list[tuple[int, bytes]]]:
    """Draw orders, and the documents in which they arrive: some twice, some corrected, some in an older version.

    Returns what must become of each in the end, and all documents in the order in which they arrive, each with the
    number of its order.
    """
    chance = random.Random(count)
    sales: dict[int, Sale] = {}
    arrivals: dict[int, list[bytes]] = {}
    for number in range(1, count + 1):
        sale = Drawing(number, foreign_lines=foreign_lines).sale
        documents = [raw_document(sale)] * chance.choice((1, 1, 1, 2, 3))
        id_, code = sale.document.get("id"), sale.document["channel_order_code"]

        def version(modified: str, *, flawed: bool, id_: Any = id_, code: Any = code, number: int = number) -> Sale:
            drawn = Drawing(number + 10_000_000, flawed=flawed, foreign_lines=foreign_lines).sale
            drawn.document |= {"channel_order_code": code, "modified": modified}
            drawn.texts["reference"] = sales[number].texts["reference"]
            drawn.document.pop("id", None)
            drawn.document |= {} if id_ is None else {"id": Number(str(number))}
            drawn.number = number
            return drawn

        sales[number] = sale
        waits = sale.outcome == "waiting"
        if waits and chance.random() < 0.4:
            sales[number] = newer = version("2027-01-01 00:00:00", flawed=False)
            documents.append(raw_document(newer))
        elif chance.random() < 0.2:
            sale.document["modified"] = "2026-01-01 00:00:00"
            documents = [raw_document(sale), raw_document(version("2025-01-01 00:00:00", flawed=not waits))]
        elif not waits and chance.random() < 0.2:
            documents.append(raw_document(version("2027-01-01 00:00:00", flawed=chance.random() < 0.5)))
        arrivals[number] = documents
    turns = [number for number, documents in arrivals.items() for _ in documents]
    chance.shuffle(turns)
    return sales, [(number, arrivals[number].pop(0)) for number in turns]


def spoil(raw: bytes, number: int) -> bytes:
    """The document as nobody may read it: cut off, in Latin-1, with a key twice, or with a number that is none."""
    begin = raw.index(b"{") + 1
    inside = (b'"notes_2": "\xe4\xf6", ', b'"id": 7, "id": 8, ', b'"total_2": NaN, ', b'"open": ')
    return raw[:-1] if number % 5 == 0 else raw[:begin] + inside[number % 4] + raw[begin:]


def check_line(sold: Line, row: dict[str, Any], *, prices: str, where: str) -> None:
    """One line of the database says what was sold."""
    assert (plain(row["sku"]), Decimal(str(row["qty"])), row["taxes"]) == (sold.sku, Decimal(sold.qty), sold.taxes), (
        where
    )
    found = tuple(cents(row[name]) for name in ("sub_total", "tax", "total"))
    assert found == (sold.net, sold.tax, sold.net + sold.tax), (where, sold, row)
    of_one = {"price_excluding": sold.net, "price_including": sold.net + sold.tax}
    for name, amount in (*of_one.items(), ("price", of_one[f"price_{prices}"])):
        exact = Decimal(amount) / 100 / sold.qty
        assert abs(Decimal(str(row[name])) - exact) <= Decimal("0.0000005"), (where, name, sold, row)
    for name in LINE_TEXTS:
        assert plain(row[name]) == plain(sold.texts.get(name)), (where, name)


def check_sale(sale: Sale, header: dict[str, Any], lines: list[dict[str, Any]], *, prices: str, shipping: bool) -> None:
    """One order of the database says what was sold, to whom and when."""
    where = f"order {sale.number}"
    expected = [line for line in sale.lines if line.raised] + (sale.shipping if shipping else [])
    assert [plain(row["sku"]) for row in lines] == [line.sku for line in expected], where
    for sold, row in zip(expected, lines, strict=True):
        check_line(sold, row, prices=prices, where=where)
    assert header["customer"] == sale.customer, where
    local = "" if sale.placed is None else (sale.placed + timedelta(hours=2)).isoformat(" ")
    assert str(header["placed"] or "")[:19] == local, where
    for number, name in enumerate(TEXTS):
        assert plain(header[f"t{number}"]) == plain(sale.texts.get(name)), (where, name, header[f"t{number}"])


def check_entry(sale: Sale, entry: Entry, *, at: int | None) -> None:
    """The ledger says what must become of the order; ``at`` is its number in the database, if it lies there."""
    where = f"order {sale.number}: {sale.document}"
    if sale.outcome == "waiting":
        assert (entry.status, entry.rule in sale.rules, at) == ("waiting", True, None), (
            entry.rule,
            entry.reason,
            where,
        )
    elif sale.outcome == "known":
        assert (entry.status, entry.source_order_code, at) == ("raised", f"OLD{sale.number}", None), where
    else:
        assert (entry.status, entry.source_order_code) == ("raised", f"SO{at}"), (entry.reason, where)
        assert entry.reason == "", where


def test_random_orders_are_raised_whole_or_wait(any_erp: Erp) -> None:
    """Those that are wrong wait, for what is wrong with them; of all others every line and every value is there."""
    settings, foreign_lines = SETTINGS[any_erp.dialect]
    serial = {"sqlite": "integer", "postgres": "serial", "mysql": "integer auto_increment"}[any_erp.dialect]
    run(any_erp, *(table.format(serial=f"{serial} primary key") for table in TABLES))
    items = ", ".join(f"('{code}', 1000)" for code in (*(each.replace("'", "''") for each in ITEMS[2:]),))
    run(any_erp, f"insert into erp_item values {items}", "insert into erp_customer values ('ÖÄ 2', 'Two')")
    configured = f'default_customer = "CASH"\ntimezone = "Africa/Johannesburg"\n{settings}'
    any_erp.write(configured, statements=statements(any_erp.dialect))
    sales, documents = histories(COUNT, foreign_lines=foreign_lines)
    ids: dict[int, int] = {}
    with any_erp.ledger() as ledger, closing(OrderProcessor(any_erp.project)) as processor:
        for number, raw in documents:
            with pytest.raises(OrderError):
                parse_document(spoil(raw, number))
            order_id = processor.receive(ledger, parse_document(raw), via="serve").order_id
            assert ids.setdefault(number, order_id) == order_id, f"order {number} has two ids"
        entries = {number: ledger.get_entry(order_id) for number, order_id in ids.items()}
    headers = table(
        any_erp, "sale", ["id", "s2s_id", "customer", "placed", *(f"t{each}" for each, _ in enumerate(TEXTS))]
    )
    lines: dict[int, list[dict[str, Any]]] = {}
    for row in table(any_erp, "sale_line", ["sale_id", "n", "sku", "qty", "price", "taxes", *LINE_TEXTS, *MONEY]):
        lines.setdefault(row["sale_id"], []).append(row)
    by_id = {header["s2s_id"]: header for header in headers}
    assert len(by_id) == len(headers), "an order lies there twice"
    prices, shipping = ("including" if "including" in settings else "excluding"), SHIPPING_ITEM in settings
    for number, sale in sales.items():
        header = by_id.pop(ids[number], None)
        check_entry(sale, entries[number], at=None if header is None else header["id"])
        if header is not None:
            found = sorted(lines.pop(header["id"]), key=lambda row: (row["sku"] == SHIPPING_ITEM, row["n"]))
            check_sale(sale, header, found, prices=prices, shipping=shipping)
    assert (by_id, lines) == ({}, {}), "what nobody ordered"


def table(erp: Erp, name: str, columns: list[str]) -> list[dict[str, Any]]:
    """The rows of a table, by column."""
    return [dict(zip(columns, row, strict=True)) for row in erp.rows(f"select {', '.join(columns)} from {name}")]
