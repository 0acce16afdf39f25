"""Markdown for a pull request: what comes from databases and projects is displayed, and does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.output import read_result

from engine.review.markdown import NO_WIDTH, escape

if TYPE_CHECKING:
    from support.branch import Branch


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("Hammer, 2 kg (blue)", "Hammer, 2 kg (blue)"),
        ("csv_price_tiers", "csv_price_tiers"),
        ("_very_ *bold* ~old~", r"\_very\_ \*bold\* \~old\~"),
        ("<img src=x>", r"\<img src=x\>"),
        ("a | b\nc", r"a \| b c"),
        ("[free](https://evil.example)", rf"\[free\](https://{NO_WIDTH}evil.example)"),
        ("![x](y) &lt;", r"\!\[x\](y) \&lt;"),
        ("@octocat a@b.example #1", f"@{NO_WIDTH}octocat a@{NO_WIDTH}b.example #{NO_WIDTH}1"),
        ("www.evil.example", f"www{NO_WIDTH}.evil.example"),
        ("# heading", rf"\#{NO_WIDTH} heading"),
        ("1. first", r"1\. first"),
        ("a\\b `c`", r"a\\b \`c\`"),
    ],
)
def test_foreign_text_is_displayed_as_it_is(text: str, escaped: str) -> None:
    """It is no markup, no link, and mentions nobody."""
    assert escape(text) == escaped


def test_keys_and_titles_of_a_branch_neither_mention_nor_link(branch: Branch) -> None:
    """Wherever they stand: new, changed, removed, held back and no longer held back."""
    bad = "@octocat <b> https://evil.example #7"
    fixture = branch.root / "fixtures" / "item.csv"
    rows = f"{bad} 1,{bad},Yes,5,Karoo\n{bad} 2,,Yes,5,Karoo\n{bad} 3,{bad},No,5,Karoo\n"
    fixture.write_text(fixture.read_text("utf-8") + rows, "utf-8")
    branch.view("item.descr as title", "case when item.qty = 5 then item.descr else item.descr || '!' end as title")
    branch.commit("Second")
    branch.view("item.qty as", "item.qty + 1 as")
    branch.view("item.web as", "case item.web when 'No' then 'Yes' else item.web end as")
    branch.view(
        "case when item.qty = 5 then item.descr else",
        "case when item.qty = 5 then coalesce(item.descr, item.code) else",
    )
    (reviewed,) = read_result(branch.s2s("--output", "json").stdout)
    impact = reviewed["entities"][0]["impact"]
    assert impact["freed"]
    assert impact["inserted"]
    said = branch.s2s("--output", "markdown").stdout
    prose = "\n".join(part for part in said.split("```")[::2])
    outside_of_code = "".join(prose.split("`")[::2])
    assert "octocat" in outside_of_code
    for live in ("@octocat", "<b>", "https://evil", "#7"):
        assert live not in outside_of_code.replace("\\<b\\>", ""), outside_of_code
