"""Which rows a view reads, in words that a client understands."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.mapping.row_rules import TOO_DEEP, row_rules
from engine.model.query import Query


def sentences(sql: str, dialect: str = "postgres") -> list[str]:
    """The sentences on a view."""
    return [*row_rules(Query(sql=sql, path=Path("views/products.sql")), dialect=dialect)]


def only(condition: str) -> str:
    """A condition in words."""
    first, sentence = sentences(f"select a from item where {condition}")
    assert first == "Rows are those of item."
    return sentence.removeprefix("Only rows where ").removesuffix(".")


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("item.web = 'Yes'", 'item.web is "Yes"'),
        ("web <> 'No'", 'web is not "No"'),
        ("qty > 0", "qty is more than 0"),
        ("qty <= 2.5", "qty is at most 2.5"),
        ("a is null", "a has no value"),
        ("a is not null", "a has a value"),
        ("a in ('x', 'y')", 'a is one of "x", "y"'),
        ("a not in (1, 2)", "a is none of 1, 2"),
        ("qty between 1 and 5", "qty is from 1 to 5"),
        ("qty not between 1 and 5", "qty is not from 1 to 5"),
        ("code like 'A%'", 'code begins with "A"'),
        ("code not like '%-old'", 'code does not end with "-old"'),
        ("code like '%x%'", 'code contains "x"'),
        ("code like 'A_%'", "code LIKE 'A_%'"),
        ("a = 1 or b = 2", "a is 1 or b is 2"),
        ("(a = 1 and b = 2) or c = 3", "(a is 1 and b is 2) or c is 3"),
        ("not (a = 1 or b = 2)", "not (a is 1 or b is 2)"),
        ("not a = 1", "not (a is 1)"),
        ("not a is not null", "a has no value"),
        ("not (code not like 'A_%')", "not (code NOT LIKE 'A_%')"),
        (
            "exists (select 1 from stock s where s.code = item.code)",
            "there is a row of stock (as s) where s.code is item.code",
        ),
        (
            "not exists (select 1 from hidden where hidden.code = item.code)",
            "there is no row of hidden where hidden.code is item.code",
        ),
        ("code in (select code from web where live = 1)", "code is among code of web where live is 1"),
        ("lower(a) = 'x'", 'LOWER(a) is "x"'),
    ],
)
def test_a_filter_stands_in_words_and_what_has_none_as_sql(condition: str, words: str) -> None:
    """Nothing is left out."""
    assert only(condition) == words


def test_conditions_that_must_all_hold_are_sentences_of_their_own() -> None:
    """So that a review marks the one that is new."""
    assert sentences("select a from item where a = 1 and (b = 2 and c is null)")[1:] == [
        "Only rows where a is 1.",
        "Only rows where b is 2 and c has no value.",
    ]


def test_a_join_says_what_becomes_of_rows_without_a_partner() -> None:
    """They stay, or they are left out: this is what a client must know."""
    assert sentences(
        "select 1 as a from item left join price p on p.code = item.code join brand using (brand_id), unit"
    ) == [
        "Rows are those of item.",
        (
            "Each row gets the row of price (as p) where p.code is item.code."
            " Without one it stays, and what comes from price (as p) is blank."
        ),
        "Each row needs a row of brand with the same brand_id. Rows without one are left out.",
        "Each row is combined with every row of unit.",
    ]


def test_queries_inside_a_view_are_told_by_their_names_before_it() -> None:
    """WITH, a query in FROM, and the parts of a UNION."""
    assert sentences(
        "with s as (select code, sum(n) as n from stock group by code having sum(n) > 0)"
        " select a from s where n < 9 union all select distinct a from (select a from kit where b = 1) as k"
    ) == [
        "In s: rows are those of stock.",
        "In s: rows that have the same code become one.",
        "In s: of these, only where SUM(n) is more than 0.",
        "Part 1 of 2: rows are those of s.",
        "Part 1 of 2: only rows where n is less than 9.",
        "In k: rows are those of kit.",
        "In k: only rows where b is 1.",
        "Part 2 of 2: rows are those of k.",
        "Part 2 of 2: rows that are equal are read once.",
    ]


def test_rows_that_are_taken_out_or_cut_off_are_said() -> None:
    """EXCEPT and TOP."""
    assert sentences("select a from item except select a from hidden")[-1] == (
        "Rows of the first part that the other part also gives are left out."
    )
    assert sentences("select top 5 a from item", "tsql")[-1] == "At most 5 rows."
    assert sentences("select top 5 percent a from item", "tsql")[-1].startswith("Not all rows are read: ")
    assert sentences("select a from item union select a from kit limit 3")[-2:] == [
        "Rows that several parts give are read once.",
        "At most 3 rows.",
    ]
    assert sentences("select a from item anti join sold on sold.code = item.code", "duckdb")[-1].startswith(
        "Rows are joined: ANTI JOIN"
    )


def test_a_query_that_is_nested_too_deeply_is_named_and_not_a_crash() -> None:
    """A stranger's branch may have one."""
    (*_, last) = sentences(f"select a from item where {'not (a = 1 or ' * 9}b = 2{')' * 9}")
    assert last
    deep = sentences(f"select a from item where {' and '.join(f'a <> {n}' for n in range(3000))}")
    assert len(deep) == 3001 or deep == [TOO_DEEP]
