"""The documents that DuckDB makes are those that plain Python makes of the same rows, to the last digit."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.documents import document

from engine.model.fields import ENTITIES
from engine.model.settings import EntitySettings, PriceSettings
from engine.state.store import State, open_state
from engine.sync.documents import Documents
from engine.sync.layout import STAGING_TYPES, StagingLayout, Window, build_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = int(os.environ.get("S2S_EXAMPLES", "12"))
"""How many mappings are tried; for more set S2S_EXAMPLES."""

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co")), min_size=1, max_size=12) | st.sampled_from(
    ['"price":1.50}', "a\\b/c", "\u2028é😀", "1.5000000000", "}}}", '{"tier":"x"}']
)
DECIMAL = st.decimals(min_value=0, max_value=Decimal(10) ** 27, places=10) | st.sampled_from(
    [Decimal(0), Decimal("19.90"), Decimal(100), Decimal("9007199254740993.0000000001")]
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("code", "text", "html", "tags", "url", "email"), TEXT),
    "integer": st.integers(0, 2**63 - 1),
    "number": DECIMAL,
    "boolean": st.booleans(),
}

COLUMNS = {
    "products": (
        *("title", "body_html", "collection", "vendor", "tags", "variants.sku", "variants.qty", "variants.barcode"),
        *("variants.inventory_management", "variants.grams", "variants.option1_value", "option1_name"),
        *("variants.option2_value", "csv_price_tiers", "variants.price", "price_Trade", 'price_a "b", ü:', "price_A"),
        *("qty_JHB", "qty_main store", "meta_colour", "meta_ö"),
    ),
    "customers": (
        *("email", "first_name", "accepts_marketing", "price_tier", "qty_availability", "meta_rep", "address1.type"),
        *("address1.default", "address1.city", "address2.zip", "address2.first_name", "address12.address_code"),
    ),
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A state with a working set, which the examples share."""
    with open_state(tmp_path_factory.mktemp("documents") / "state.duckdb") as opened:
        yield opened


def digits(price: Decimal) -> str:
    """``price`` as csv_price_tiers has it."""
    return f"{price:f}".rstrip("0").rstrip(".") if "." in f"{price:f}" else f"{price:f}"


@st.composite
def price_lists(draw: st.DrawFn) -> str | None:
    """A canonical csv_price_tiers: the default price, and tiers in their order."""
    default = draw(st.none() | DECIMAL)
    names = st.sampled_from(["Trade", "A", 'a "b", ü:', "Zoë", "x,y", "ends\\"])
    tiers = draw(st.dictionaries(names, DECIMAL, max_size=3))
    items = [] if default is None else [digits(default)]
    for tier, price in sorted(tiers.items()):
        quoted = '"' + tier.replace('"', '""') + '"' if set(tier) & set(',":') else tier
        items.append(f"{quoted}:{digits(price)}")
    return ",".join(items) or None


@st.composite
def mappings(draw: st.DrawFn, entity: str) -> tuple[StagingLayout, PriceSettings]:
    """A view's columns, and what stands for blank prices."""
    optional = [name for name in COLUMNS[entity] if name != "title"]
    columns = draw(st.lists(st.sampled_from(optional), unique=True, max_size=len(optional)))
    catalogue = ENTITIES[entity]
    special = [name for name in (catalogue.group, catalogue.key, catalogue.flag) if name]
    layout = build_layout(
        catalogue,
        [*special, *columns],
        settings=EntitySettings(name=entity, view=Path()),
        version="v",
    )
    blank = st.none() | st.sampled_from([Decimal(0), Decimal("9.90")])
    tier = draw(st.none() | st.sampled_from(["Trade", "Zoë", "missing"]))
    return layout, PriceSettings(default_tier=tier, blank=draw(blank), blank_tier=draw(blank))


@st.composite
def rows(draw: st.DrawFn, layout: StagingLayout) -> list[dict[str, Any]]:
    """Canonical rows of the delta, the removals first."""
    made = []
    removals = draw(st.integers(0, 2))
    for position in range(1, draw(st.integers(1, 8)) + 1):
        row: dict[str, Any] = {
            "position": position,
            "_key": draw(TEXT),
            "_group": draw(TEXT),
            "kind": "delete" if position <= removals else draw(st.sampled_from(["insert", "update", "resend"])),
            "is_doubted": False,
        }
        for field in layout.fields:
            value = price_lists() if field.type == "prices" else VALUES[field.type]
            row[field.name] = draw(st.none() | value)
        made.append(row)
    return made


def load(state: State, layout: StagingLayout, made: list[dict[str, Any]]) -> None:
    """Have ``made`` as the rows of the window."""
    types = {"bigint": pa.int64(), "boolean": pa.bool_(), "decimal(38, 10)": pa.decimal128(38, 10)}
    columns = {"position": pa.int64(), "_key": pa.string(), "_group": pa.string(), "kind": pa.string()}
    columns |= {"is_doubted": pa.bool_()}
    columns |= {field.name: types.get(STAGING_TYPES[field.type], pa.string()) for field in layout.fields}
    table = pa.table({name: pa.array([row[name] for row in made], kind) for name, kind in columns.items()})
    with state.registered("made", table):
        state.run("create or replace table run.window_rows as select * from made")


def parsed(body: bytes) -> Any:
    """A body, its numbers as the text that they are written in."""
    return json.loads(body, parse_float=lambda text: ("number", text), parse_int=lambda text: ("number", text))


@pytest.mark.parametrize("entity", ["products", "customers"])
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_document_is_what_its_rows_say(state: State, entity: str, data: st.DataObject) -> None:
    """Every field in its place, every text whole, every price with all its digits and no more."""
    layout, prices = data.draw(mappings(entity))
    made = data.draw(rows(layout))
    load(state, layout, made)
    documents = Documents(layout=layout, source_id=57, sync_token="t'1\"", prices=prices)
    found = documents.rows(state, Window(0, len(made)))
    expected = document(entity, made, fields=layout.fields, source_id=57, sync_token="t'1\"", price_settings=prices)
    assert parsed(documents.body(row["item"] for row in found)) == parsed(expected)
    assert [row["_key"] for row in found] == [row["_key"] for row in made]
