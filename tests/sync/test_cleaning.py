"""What cannot be seen in a value, and what counts as the same: for every type, in DuckDB and in Python."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.client import VIEW

from engine.characters import clean, fold, trim
from engine.config.values import flag_word
from engine.stock2shop.sent_values import prices
from engine.sync import adopt
from engine.sync.email_addresses import is_email_address
from engine.sync.explain import explain
from engine.sync.layout import canonical_macros
from engine.text import escape_controls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.client import Client

INVISIBLE = (
    *("\x00", "\x07", "\x7f", "\x9f", "\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e"),
    *("\u200f", "\u202a", "\u202e", "\u2060", "\u2066", "\u2069", "\u3164", "\ufeff", "\ufe0f"),
)
LINE_ENDS = ("\t", "\n", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")
BLANKS = (" ", "\u00a0", "\u1680", "\u2000", "\u2007", "\u2009", "\u202f", "\u205f", "\u3000")

TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "aAbZ19-_ ß\u017f\u03c2\u03a3\u03c3\u00b5\u0130\u0131\u212a\u212béÅ\u0301\u0308äФфأक्षㅏＡ９〜👨👩❤🏴"
        ),
        st.sampled_from([character for each in (*INVISIBLE, *LINE_ENDS, *BLANKS) for character in each]),
        st.sampled_from([chr(0xE0067), chr(0xE007F), chr(0xE0001), "\ufe0e", "\u180b"]),
        # Up to the Unicode of the oldest Python: later characters have no case there.
        st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"]),
    ),
    max_size=12,
)

VIEW_OF_ALL_TYPES = VIEW.replace("true as", "vendor as").replace("    vendor,\n", "    'image' as image1,\n")


@pytest.fixture(scope="module")
def macros() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the engine's macros."""
    with duckdb.connect() as connection:
        connection.execute(canonical_macros())
        yield connection


@settings(max_examples=400, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=40))
def test_duckdb_and_python_clean_and_fold_alike(macros: duckdb.DuckDBPyConnection, texts: list[str]) -> None:
    """Rows are compared in DuckDB, names of columns and words of project.toml in Python: there is one definition."""
    texts = [text for text in texts if all(unicodedata.category(letter) != "Cn" for letter in text)]
    found = macros.execute(
        "select list(struct_pack("
        "c := clean(x), t := trim(clean(x)), f := fold(rtrim(clean(x))), w := flag_word(clean(x))) order by n)"
        " from (select unnest($1::varchar[]) as x, generate_subscripts($1::varchar[], 1) as n)",
        [texts],
    ).fetchone()
    assert found is not None
    assert (found[0] or []) == [
        {"c": clean(text), "t": trim(clean(text)), "f": fold(text), "w": flag_word(text)} for text in texts
    ]


@given(TEXTS)
def test_what_is_clean_stays_as_it_is(text: str) -> None:
    """What Stock2Shop gives back is cleaned as well, and must be the same."""
    assert clean(clean(text)) == clean(text)
    assert fold(fold(text)) == fold(text) == fold(clean(text))


@pytest.mark.parametrize("text", ["👨‍👩‍👧 set", "❤️ mug", "क्‍ष", "می‌خواهم", "Café", "5 %"])
def test_joiners_that_a_script_needs_stay(text: str) -> None:
    """Between letters of scripts that join, and in emoji, they change what is read; blanks within stay."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("word", "seen"),
    [("AKTİF", "AKTİF"), ("Ενεργός", "ΕΝΕΡΓΌΣ"), ("ΕΝΕΡΓΌΣ", "ΕΝΕΡΓΌΣ"), ("2.00", "2"), ("2", "2.000")],
)
def test_a_word_of_the_flag_is_known_in_any_alphabet(client: Client, word: str, seen: str) -> None:
    """In any case, and a number with and without decimals: as it stands in project.toml it is known in the source."""
    client.write(settings=f'active = {{ Delete = ["{word}"] }}')
    client.item("A")
    client.run()
    client.sql(f"update item set active = '{seen}'")
    assert client.run(approve_deletes=1).plan.quarantine_rules == {}
    assert client.held() == {}


def test_every_type_loses_what_cannot_be_seen(client: Client) -> None:
    """With one warning for all of them; nothing is held for it."""
    client.write(view=VIEW_OF_ALL_TYPES)
    for number, hidden in enumerate((*INVISIBLE, *LINE_ENDS)):
        columns = {
            "code": f"A{number}",
            "product": f"P{number}",
            "title": f"Chair {number}",
            "active": "Yes",
            "price": "10,Trade:8",
            "qty": "5",
            "sku": f"S{number}",
            "size": "M",
            "trade": "9.5",
            "tags": "a,b",
            "barcode": f"{600 + number}",
            "vendor": "yes",
            "html": "<p>x</p>",
        }
        client.item(**{name: f"{value}{hidden}" for name, value in columns.items()})
    count = len((*INVISIBLE, *LINE_ENDS))
    plan = client.run(everything=True).plan
    assert (plan.quarantine_rules, plan.warning_rules) == ({}, {"control_characters": count})
    noted = Counter(problem.column for problem in plan.warnings)
    html_keeps = 3  # tabs, line ends and Windows' line ends
    assert noted == dict.fromkeys(noted, count) | {"body_html": count - html_keeps}
    assert len(noted) == len(columns)
    held = client.held()
    assert sorted(held) == sorted(f"A{number}" for number in range(count))
    for number in range(count):
        one = held[f"A{number}"]
        assert (one["title"], one["qty"], one["inventory_management"], one["price"]) == (
            f"Chair {number}",
            5,
            "true",
            10,
        )
        assert (one["source_product_code"], one["sku"], one["option1"]) == (f"P{number}", f"S{number}", "M")
        assert (one["barcode"], one["body_html"].strip(), one["tags"]) == (f"{600 + number}", "<p>x</p>", "a,b")


def test_a_blank_is_a_blank_whichever_it_is(client: Client) -> None:
    """At the ends of a value it goes without a word, and a value of blanks alone is blank."""
    client.write(view=VIEW_OF_ALL_TYPES)
    for number, blank in enumerate(BLANKS):
        client.item(
            f"{blank}A{number}{blank}",
            product=f"{blank}P",
            title="Chair",
            price=f"{blank}10{blank},Trade :{blank}8",
            qty=f"5{blank}\t",
            trade=f"{blank}9.5",
            active=f"{blank}Yes{blank}",
            vendor=f"no{blank}",
            tags=f"a{blank},{blank},b",
            colour=f"{number}",
            size=blank,
            html=f"{blank}\r\n",
        )
    plan = client.run().plan
    assert (plan.quarantine_rules, plan.counts.inserts) == ({}, len(BLANKS))
    held = client.held()
    assert sorted(held) == [f"A{number}" for number in range(len(BLANKS))]
    for one in held.values():
        assert (one["source_product_code"], one["qty"], one["price"], one["tags"]) == ("P", 5, 10, "a,b")
        assert (one["option1"], one["inventory_management"], one["body_html"]) == (None, "false", "")


def test_codes_that_look_equal_are_one_code_twice(client: Client) -> None:
    """All are held: which of them is meant nobody can tell."""
    codes = ["AB-1", *(f"AB-1{hidden}" for hidden in (*INVISIBLE, *LINE_ENDS, *BLANKS))]
    for code in codes:
        client.item(code, product="P", title="Chair", sku="S")
    assert client.run().plan.quarantine_rules == {"repeated_key": len(codes)}


TWINS = {
    "case": ("Ab 1é", "aB 1É"),
    "another blank": ("AB 1", "AB\u00a01"),
    "more blanks": ("AB 1", "AB  1"),
    "an accent as a letter of its own": ("CAF\u00c9", "CAFE\u0301"),
    "letters of full width": ("AB1", "\uff21\uff22\uff11"),
    "the end of a Greek word": ("ΚΑΦΕΣ", "καφες"),
}


@pytest.mark.parametrize(
    ("column", "rule", "name"),
    [
        ("code", "similar_key", "source_variant_code"),
        ("product", "similar_value", "source_product_code"),
        ("sku", "similar_value", "variants.sku"),
        ("barcode", "similar_value", "variants.barcode"),
        ("size", "similar_value", "variants.option1_value"),
    ],
)
def test_twins_are_named_together(client: Client, column: str, rule: str, name: str) -> None:
    """All are sent, with a warning that has both of a pair: also when one of them was sent long before."""
    for late in (0, 1):
        for number, pair in enumerate(TWINS.values()):
            columns: dict[str, object] = {"title": f"T{number}{late}", "colour": f"{number}{late}", "size": f"{number}"}
            columns |= {"product": f"P{number}" if column == "size" else f"P{number}{late}", "sku": f"S{number}{late}"}
            columns["title"] = f"T{number}" if column == "size" else columns["title"]
            columns[column] = f"{pair[late]} {number}"
            client.item(str(columns.pop("code", f"C{number}{late}")), **columns)
        plan = client.run(everything=True).plan
        assert (plan.quarantine_rules, plan.warning_rules) == ({}, {rule: 2 * len(TWINS)} if late else {})
    assert {(problem.rule, problem.column) for problem in plan.warnings} == {(rule, name)}
    expected = [
        " | ".join(sorted(f"{spelling} {number}" for spelling in pair)) for number, pair in enumerate(TWINS.values())
    ]
    assert Counter(problem.value for problem in plan.warnings) == dict.fromkeys(expected, 2)


@pytest.mark.parametrize(
    ("columns", "name"),
    [({"tags": "Red,red"}, "tags"), ({"price": "Trade:1,TRADE:2"}, "csv_price_tiers")],
)
def test_tags_and_tiers_that_are_twins_are_named(client: Client, columns: dict[str, str], name: str) -> None:
    """Within the list where they stand."""
    client.item("A", **columns)
    plan = client.run().plan
    assert [(problem.rule, problem.column) for problem in plan.warnings] == [("similar_value", name)]


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    """Else a report would show two codes that look the same."""
    shown = {character: escape_controls(character) for each in (*INVISIBLE, *BLANKS[1:]) for character in each}
    del shown["\ufe0f"]  # it shows in the emoji before it
    assert shown == {character: f"\\u{ord(character):04x}" for character in shown}


LOCAL = st.text(st.sampled_from("ab1.+'-_"), min_size=1, max_size=8)


@given(LOCAL, LOCAL, st.sampled_from(["com", "co.za", "c0m", "local", "test"]))
def test_an_address_beside_another_is_none(local: str, domain: str, top: str) -> None:
    """One address is wanted, whatever parts a list of them."""
    address = f"{local}@{domain}.{top}"
    for text in (f"{address};{address}", f"{address}, {address}", f"Thandi <{address}>", f"{address} {address}"):
        assert not is_email_address(text)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        *((text, True) for text in ("a@b.co", "o'neil+x@mail.example.co.za", "ü@exämple.com", "till@shop.local")),
        *((text, False) for text in ("a@b", ".a@b.co", "a..b@c.co", "a@-b.co", "a@b-.co", "a@1.2.3.4", "a@b_c.co")),
        *((text, False) for text in ("a@x..local", "@shop.local", "a@localhost", "@b.co", "a\u00a0b@c.co")),
    ],
)
def test_the_syntax_of_addresses_is_that_of_mail(text: str, *, valid: bool) -> None:
    """As the library has it, which follows the standards; no network is asked."""
    assert is_email_address(text) is valid


def test_prices_with_odd_blanks_are_read(client: Client) -> None:
    """A tier is called what it is called without them."""
    client.item("A", price="\u00a0Trade\u3000:\u20078\u200b")
    client.run()
    assert client.held()["A"]["price_tiers"] == [{"tier": "Trade", "price": 8}]
    assert prices("Trade:8")[1].keys() == {"Trade"}


def test_a_tier_in_quotes_is_trimmed_as_any_other(client: Client) -> None:
    """So that it is no tier beside the same without them, and Stock2Shop gives back what was sent."""
    client.item("A", price='" Trade ":8," Retail, incl\u00a0":9')
    client.run()
    assert client.held()["A"]["price_tiers"] == [{"tier": "Retail, incl", "price": 9}, {"tier": "Trade", "price": 8}]
    assert adopt.verify(client.project, "products") == ()


@pytest.mark.parametrize("tier", ["trade", "TRADE", "Tra\u0301de"])
def test_a_tier_in_a_list_that_is_the_twin_of_a_column_is_named(client: Client, tier: str) -> None:
    """Both are sent, and a shop may take them for one."""
    client.write(view=VIEW.replace("price_Trade", "price_Tráde") if "\u0301" in tier else VIEW)
    client.item("A", price=f"10,{tier}:9", trade="8")
    client.item("B", price=f"10,{tier}:9")
    client.item("C", price="10,Retail:9", trade="8")
    warnings = client.plan().warnings
    assert [(each.key, each.rule, each.column) for each in warnings] == [("A", "similar_value", "csv_price_tiers")]


def test_option_values_that_differ_by_a_blank_before_them_are_named(client: Client) -> None:
    """As those are that differ by one within."""
    client.shirt("S", "XL", " XL")
    client.shirt("T", "X L", "X  L")
    assert {(each.key, each.rule, each.value) for each in client.plan().warnings} == {
        *((f"S-{size}", "similar_value", " XL | XL") for size in ("XL", " XL")),
        *((f"T-{size}", "similar_value", "X  L | X L") for size in ("X L", "X  L")),
        *((f"T-{size}", "similar_key", "T-X  L | T-X L") for size in ("X L", "X  L")),
    }


def test_a_code_is_explained_as_it_looks_and_as_it_is(client: Client) -> None:
    """What cannot be seen in it is nothing that somebody could type; the source's own row is shown all the same."""
    client.item("A\u200b-1", sku="S\u00ad-1")
    client.item("B")
    client.run()
    for code in ("A-1", "A\u200b-1", "S-1", " A-1\u00a0"):
        story = explain(client.project, "products", code)
        assert (story.key, story.verdict) == ("A-1", "unchanged")
        assert [row["source_variant_code"] for row in story.source] == ["A\u200b-1"]
