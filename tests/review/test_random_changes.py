"""Changes to a mapping that are drawn at random: a review says what the next run then does.

The oracle is Stock2Shop: what the sandbox holds before the run and after it. ``CHANGES=500 pytest`` draws so many
(``just changes``), and ``SEED=7`` draws others.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from support.client import COLUMNS as ITEM_COLUMNS
from support.client import VIEW
from support.live_review import Live

from engine.errors import ConfigError, GuardError
from engine.model.fields import ENTITIES
from engine.review.decisions import decisions, verdict
from engine.sync import pipeline as sync

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.client import Client

    from engine.review.model import Review

CHANGES = int(os.environ.get("CHANGES", "8"))
SEED = int(os.environ.get("SEED", "1"))

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "missing": ("", '"delete"', '"keep"'),
    "max_deletes": ("", "0", "3", '"50%"'),
    "max_changes": ("", "0", "3", '"50%"', '"100%"'),
    "min_rows": ("", "", "0", "8"),
    "active": ("", "", '{ Active = ["Yes", "perhaps"], Delete = ["Delete"], Ignore = ["No", ""] }'),
    "expect.min_rows": ("", "", "5"),
    "expect.severity": ("", "", '"warning"'),
}
"""The values of settings of an entity; a blank leaves one out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An entity whose mapping is drawn.

    ``columns`` has what each may be, first what is sound; None leaves it out. ``filters`` and ``tests`` are WHEREs and
    data tests. ``seen`` has the fields, as Stock2Shop has them, of which no change may go untold, and what decisions
    call them.
    """

    entity: str
    table: Mapping[str, str]
    columns: Mapping[str, tuple[str | None, ...]]
    settings: Mapping[str, tuple[str, ...]]
    filters: tuple[str, ...]
    tests: tuple[str, ...]
    seen: Mapping[tuple[str, ...], str]
    always: tuple[str, ...]

    @property
    def row(self) -> str:
        """The table that the view reads."""
        return "item" if self.entity == "products" else "customer"


PRODUCTS = Kind(
    entity="products",
    table=ITEM_COLUMNS,
    columns={
        "source_product_code": ("product", "code", "upper(product)", "nullif(product, 'P1')"),
        "source_variant_code": ("code", "lower(code)", "nullif(code, 'C02')", "replace(code, 'C01', 'C02')"),
        "title": ("title", "title || '!'", "nullif(title, 'Item 3')", "case when code < 'C05' then title end"),
        "product_active": (
            "active",
            "'Yes'",
            "case when code > 'C12' then 'Delete' else active end",
            "case when code = 'C04' then 'perhaps' else active end",
            "case when qty = '0' then 'No' else active end",
        ),
        "csv_price_tiers": (
            "price",
            "try_cast(price as decimal(12, 2)) * 1.1",
            "price || ',Gold:7'",
            "nullif(price, '10')",
            "case when code = 'C03' then 'dear' else price end",
            "case when code = 'C03' then '-1' else price end",
        ),
        "variants.qty": (
            "qty",
            "try_cast(qty as int) + 1",
            "nullif(qty, '0')",
            "case when code = 'C03' then '1.5' else qty end",
        ),
        "variants.sku": ("sku", "code || '-s'", "nullif(sku, 'C05')", "'same'"),
        "variants.inventory_management": ("true", "false", "code > 'C03'"),
        "variants.option1_value": ("size", None, "coalesce(size, 'one')"),
        "variants.option2_value": ("colour", None),
        "price_Trade": ("trade", None, "coalesce(trade, price)", "try_cast(trade as decimal(12, 2)) + 1"),
        "price_Gold": (None, None, "'7'"),
        "tags": ("tags", None, "'a,' || coalesce(tags, '')"),
        "variants.barcode": ("barcode", None, "coalesce(barcode, code)"),
        "vendor": ("vendor", None, "upper(vendor)"),
        "body_html": ("html", None),
        "qty_Main": (None, "qty", "try_cast(qty as int) + 1"),
        "meta_colour": (None, "colour", "coalesce(vendor, 'none')"),
        "variants.grams": (None, "qty", "'250'"),
    },
    settings={
        **SETTINGS,
        "blank_price": ("", "", "0", "5"),
        "blank_tier_price": ("", "", "3"),
        "default_price_tier": ("", "", '"Trade"'),
        "expect.not_null": ("", "", '["vendor"]', '["title"]'),
    },
    filters=("", "where code > 'C02'", "where code <> 'C06'", "where coalesce(qty, '0') <> '0'", "where false"),
    tests=(
        "",
        "",
        "select source_variant_code from products where csv_price_tiers = '10'",
        "-- severity: warning\nselect source_variant_code from products where csv_price_tiers = '10'",
        "select source_variant_code from products where vendor is null",
        "select source_variant_code from products where nothing = 1",
    ),
    seen={
        ("price", "price_tiers"): r"(?:csv_price_tiers|price_\w+|price)",
        ("qty",): "variants.qty",
        ("qty_availability",): "qty_Main",
        ("grams",): "variants.grams",
        ("sku",): "variants.sku",
        ("barcode",): "variants.barcode",
        ("inventory_management",): "variants.inventory_management",
    },
    always=("source_product_code", "source_variant_code", "title", "product_active", "variants.sku"),
)

CUSTOMERS = Kind(
    entity="customers",
    table=dict.fromkeys(("code", "active", "email", "first", "last", "tier", "place", "letters", "street"), "varchar"),
    columns={
        "source_customer_code": ("code", "lower(code)", "nullif(code, 'C02')", "replace(code, 'C01', 'C02')"),
        "customer_active": (
            "active",
            "'Yes'",
            "case when code > 'C12' then 'Delete' else active end",
            "case when code = 'C04' then 'perhaps' else active end",
        ),
        "email": (
            "email",
            "upper(email)",
            "nullif(email, 'c03@example.com')",
            "case when code = 'C04' then 'nobody' else email end",
            "replace(email, 'c05', 'c06')",
        ),
        "first_name": ("first", "first || '!'", "nullif(first, 'Ann')"),
        "last_name": ("last", None),
        "price_tier": ("tier", None, "coalesce(tier, 'Retail')", "nullif(tier, 'Trade')"),
        "qty_availability": ("place", None, "upper(place)"),
        "accepts_marketing": ("letters", None, "'true'", "case when code = 'C03' then 'maybe' else letters end"),
        "address1.address1": ("street", None),
    },
    settings={**SETTINGS, "expect.not_null": ("", "", '["price_tier"]', '["first_name"]')},
    filters=("", "where code > 'C02'", "where code <> 'C06'", "where tier is not null", "where false"),
    tests=(
        "",
        "",
        "select source_customer_code from customers where price_tier = 'Trade'",
        "-- severity: warning\nselect source_customer_code from customers where price_tier = 'Trade'",
        "select source_customer_code from customers where nothing = 1",
    ),
    seen={
        ("email",): "email",
        ("price_tier",): "price_tier",
        ("qty_availability",): "qty_availability",
        ("accepts_marketing",): "accepts_marketing",
    },
    always=("source_customer_code", "customer_active", "email"),
)


DRAWN: Mapping[str, tuple[Kind, ...]] = {
    "products": (PRODUCTS,),
    "customers": (CUSTOMERS,),
    "both": (PRODUCTS, CUSTOMERS),
}
"""Which mappings of a client are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMapping:
    """A drawn view with its settings and its data test."""

    kind: Kind
    columns: dict[str, str | None] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    filter: str = ""
    test: str = ""

    @property
    def view(self) -> str:
        """The view's SQL."""
        outputs = ",\n    ".join(f'{sql} as "{name}"' for name, sql in self.columns.items() if sql is not None)
        return f"select\n    {outputs}\nfrom {self.kind.row}\n{self.filter}\n"

    @property
    def toml(self) -> str:
        """What stands under the entity's settings."""
        return "\n".join(f"{name} = {value}" for name, value in self.settings.items() if value)


def first_mapping(random: Random, kind: Kind) -> DrawnMapping:
    """A sound mapping of most columns with few settings."""
    columns = {name: random.choice((choices[0], choices[0], *choices[1:2])) for name, choices in kind.columns.items()}
    plain = {name: kind.columns[name][0] for name in kind.always}
    settings = {name: random.choice(values) for name, values in kind.settings.items() if random.random() < 0.2}
    return DrawnMapping(kind=kind, columns={**columns, **plain}, settings=settings)


def changed(random: Random, mapping: DrawnMapping) -> DrawnMapping:
    """The mapping with one to three changes."""
    kind = mapping.kind
    for _ in range(random.choice((1, 1, 2, 3))):
        what = random.random()
        if what < 0.55:
            name = random.choice(tuple(kind.columns))
            mapping = replace(mapping, columns={**mapping.columns, name: random.choice(kind.columns[name])})
        elif what < 0.85:
            name = random.choice(tuple(kind.settings))
            mapping = replace(mapping, settings={**mapping.settings, name: random.choice(kind.settings[name])})
        elif what < 0.95:
            mapping = replace(mapping, filter=random.choice(kind.filters))
        else:
            mapping = replace(mapping, test=random.choice(kind.tests))
    return mapping


def write(client: Client, mappings: Sequence[DrawnMapping]) -> None:
    """Make them the client's mappings."""
    drawn = {each.kind.entity: each for each in mappings}
    products, customers = drawn.get("products"), drawn.get("customers")
    client.write(
        settings=products.toml if products else "",
        view=products.view if products else VIEW,
        more=f'[customers]\nsearch_path = "/customers/elastic_search"\n{customers.toml}\n' if customers else "",
    )
    tests = client.root / "tests"
    tests.mkdir(exist_ok=True)
    if customers:
        (client.root / "views" / "customers.sql").write_text(customers.view, "utf-8")
    for mapping in mappings:
        test = tests / f"drawn_{mapping.kind.entity}.sql"
        test.unlink(missing_ok=True)
        if mapping.test:
            test.write_text(mapping.test, "utf-8")


def write_rows(client: Client, random: Random, kind: Kind) -> None:
    """Six to twenty items or customers, a few of them faulty or ignored."""
    client.sql(f"create or replace table {kind.row} ({', '.join(map(' '.join, kind.table.items()))})")
    for number in range(random.randint(6, 20)):
        code = f"C{number:02}"
        active = random.choice(("Yes",) * 8 + ("No", "Delete", "", "perhaps"))
        if kind is PRODUCTS:
            write_item(client, random, code, active)
            continue
        row = {
            "code": code,
            "active": active,
            "email": random.choice((f"{code.lower()}@example.com",) * 12 + ("c05@example.com", None, "nobody")),
            "first": random.choice(("Ann", "Bee")),
            "last": "Example",
            "tier": random.choice((None, "Trade", "Gold")),
            "place": random.choice((None, "Main")),
            "letters": random.choice((None, "true", "false")),
            "street": "1 Sample Street",
        }
        values = ", ".join("null" if value is None else f"'{value}'" for value in row.values())
        client.sql(f"insert into customer values ({values})")


def write_item(client: Client, random: Random, code: str, active: str) -> None:
    """A simple product or a variant of one of two, perhaps without a price."""
    product = random.choice((code, code, code, "P1", "P2"))
    client.item(
        code,
        product=product,
        title=f"Item {product}" if product != code else f"Item {int(code[1:])}",
        active=active,
        price=random.choice(("10", "100.00", "12.5", "10,Gold:9", "Gold:8,Trade:7", None, "", "0")),
        qty=random.choice(("0", "5", "7.0", None, "-1") if random.random() < 0.3 else ("0", "5", "12")),
        sku=random.choice((code,) * 12 + ("C05", None)),
        size=f"s{code}" if product != code else None,
        trade=random.choice((None, "9", "7.5")),
        tags=random.choice((None, "b,a")),
        barcode=random.choice((None, f"60{code}")),
        vendor=random.choice((None, "Veld")),
    )


def capture_all(client: Client, kinds: Sequence[Kind]) -> None:
    """Make fixtures of all rows."""
    fixtures = client.root / "fixtures"
    fixtures.mkdir()
    tables = [f"create table {kind.row} ({', '.join(map(' '.join, kind.table.items()))});\n" for kind in kinds]
    (fixtures / "schema.sql").write_text("".join(tables), "utf-8")
    client.sql(*(f"copy {kind.row} to '{fixtures}/{kind.row}.csv' (header)" for kind in kinds))


def stopped_by(client: Client, kind: Kind) -> str:
    """Run; gives why the run was stopped, and nothing where it was not."""
    try:
        sync.run(client.project, kind.entity)
    except (GuardError, ConfigError) as error:
        return f"{kind.entity}: {error}"
    return ""


def held(client: Client, kind: Kind) -> dict[str, dict[str, Any]]:
    """What the sandbox holds, by code: customers with what their users see beside their own fields."""
    if kind is PRODUCTS:
        return client.held()
    return {code: {**each, **each.get("user", {})} for code, each in client.sandbox.customers(57).items()}


def sent_items(client: Client, kind: Kind) -> int:
    """How many items the sandbox was sent."""
    return sum(each.items for each in client.sandbox.requests if each.path.endswith(f"/{kind.entity}/queue"))


def flags(client: Client, mapping: DrawnMapping) -> dict[str, set[str]]:
    """The flags of the view's rows as they are in the client's database, by code."""
    entity = ENTITIES[mapping.kind.entity]
    found: dict[str, set[str]] = {}
    with duckdb.connect(str(client.root / "erp.duckdb")) as connection:
        for key, flag in connection.execute(f'select "{entity.key}", "{entity.flag}" from ({mapping.view})').fetchall():
            found.setdefault(key, set()).add(flag)
    return found


def counted(kind: Kind, sentences: list[str], words: str) -> int:
    """The number of rows of an entity of which a sentence says ``words``."""
    found = [re.match(rf"([\d,]+) rows? of {kind.entity} {words}", each) for each in sentences]
    return sum(int(each[1].replace(",", "")) for each in found if each)


def number_of_items(review: Review, kind: Kind) -> int:
    """How many items a review says that a run sends: a variant that is created again is sent twice."""
    (impact,) = [each.impact for each in review.entities if each.entity == kind.entity]
    if impact is None:
        return 0
    after = impact.after
    return (
        impact.inserts + after.updates + after.resends + impact.removals + impact.unsent_removals + 2 * after.replaced
    )


def shown(item: Mapping[str, Any], name: str) -> Any:
    """What is seen of a field: one that was never sent is as blank as one that was sent blank."""
    return item.get(name) or None if name != "qty" else item.get(name)


def no_longer_synced(
    kind: Kind, rows: Mapping[str, set[str]], before: Mapping[str, Any], after: Mapping[str, Any], sentences: list[str]
) -> Iterator[str]:
    """What stays in Stock2Shop without being synced, and is in no decision, or is there with another number of rows."""
    ignored = [key for key in before if rows.get(key, set()) & {"No", ""}]
    surely = [key for key in ignored if rows[key] <= {"No", ""}]  # a key may be ignored in one row and sent in another
    told = counted(kind, sentences, "(?:is|are) ignored by")
    if not len(surely) <= told <= len(ignored):
        yield f"{ignored} are ignored, and {told} are told"
    kept = [key for key in before if key in after and key not in rows]
    told = counted(kind, sentences, "(?:is|are) gone from the view and (?:kept|not removed)")
    if len(kept) != told:
        yield f"{kept} are gone from the view and stay, and {told} are told"


def untold(kind: Kind, before: Mapping[str, Any], after: Mapping[str, Any], sentences: list[str]) -> Iterator[str]:
    """What changed in Stock2Shop and is in no decision, or is there with another number of rows."""
    gone, fresh = before.keys() - after.keys(), after.keys() - before.keys()
    moved = counted(kind, sentences, "(is|are) removed and")
    removed, new = counted(kind, sentences, "(is|are) removed from"), counted(kind, sentences, "(is|are) new in")
    if removed != len(gone):
        yield f"{len(gone)} are gone, and {removed} are told: {sorted(gone)}"
    if new != len(fresh):
        yield f"{len(fresh)} are new, and {new} are told: {sorted(fresh)}"
    both = [(code, before[code], after[code]) for code in before.keys() & after.keys()]
    elsewhere = {code for code, was, now in both if was.get("source_product_code") != now.get("source_product_code")}
    if len(elsewhere) > moved:
        yield f"{len(elsewhere)} variants are of another product, and {moved} are told"
    lead = kind.entity.capitalize()
    for names, columns in kind.seen.items():
        other = sorted(code for code, was, now in both if any(shown(was, name) != shown(now, name) for name in names))
        # Of a field that is no longer mapped nothing is sent, or a blank in every row.
        told = len(both) * any(re.search(f"{lead}: {columns} is no longer mapped", each) for each in sentences)
        for each in sentences:
            found = re.match(rf"{lead}: {columns}( \(as sent\))? (?:changes|becomes blank) in ([\d,]+)", each)
            told += int(found[found.re.groups].replace(",", "")) if found else 0
        if len(other) > told:
            yield f"{names} changed in {len(other)} rows, of which {told} are told: {other}"


@pytest.mark.parametrize("drawn", DRAWN)
@pytest.mark.parametrize("number", range(CHANGES))
def test_a_review_says_what_the_next_run_does(client: Client, number: int, drawn: str) -> None:
    """It is stopped where the review says so and nowhere else, and no price, quantity or key changes untold."""
    random, kinds = Random(f"{SEED} {drawn} {number}"), DRAWN[drawn]
    if PRODUCTS not in kinds:
        client.item("A1")  # products have a view as well, which may not be empty
    for kind in kinds:
        write_rows(client, random, kind)
    capture_all(client, (PRODUCTS, *kinds) if PRODUCTS not in kinds else kinds)
    earlier = [first_mapping(random, kind) for kind in kinds]
    write(client, earlier)
    if any(stopped_by(client, kind) for kind in kinds):  # what is published now is of no mapping in use
        earlier = [replace(each, settings={}) for each in earlier]
        write(client, earlier)
        assert not any(stopped_by(client, kind) for kind in kinds)
    live = Live(client)
    later = [changed(random, each) for each in earlier]
    write(client, later)
    reviews = (live.reviewed(), live.reviewed_on_fixtures())
    was_held, sent_before = [held(client, kind) for kind in kinds], [sent_items(client, kind) for kind in kinds]
    stops = [stopped_by(client, kind) for kind in kinds]
    stopped = "\n".join(filter(None, stops))
    for review in reviews:
        sentences = decisions(review)
        drawn_sql = "\n".join(f"{each.view}{each.toml}\n{each.test}" for each in later)
        said = f"Over {review.rows}: {verdict(review)}: {sentences}\nThe run: {stopped or 'not stopped'}"
        context = f"{SEED} {number}\n{drawn_sql}\n{said}"
        # Of a limit in rows fixtures say nothing, and of a share they judge without its floor.
        exact = review.rows == "live" or not re.search("max_|min_rows|expected|wanted", f"{stopped} {sentences}")
        if exact:
            assert bool(stopped) == (verdict(review) == "a run would stop"), context
        if verdict(review) == "safe to merge":
            assert not stopped, context
        for mapping, before, sent_earlier, stop in zip(later, was_held, sent_before, stops, strict=True):
            kind = mapping.kind
            sent, after = sent_items(client, kind) - sent_earlier, held(client, kind)
            if verdict(review) == "safe to merge":
                assert not sent, context
            if not stop:
                assert list(untold(kind, before, after, sentences)) == [], context
                assert list(no_longer_synced(kind, flags(client, mapping), before, after, sentences)) == [], context
                assert number_of_items(review, kind) == sent, context
