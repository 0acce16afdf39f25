"""What people see on a terminal: tables that fit, colours where they are wanted, and how far a command is."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from support.command import run_command

from engine.cli.colour import paint_findings, paint_plan, paint_review, paint_table, wants_colour
from engine.cli.progress import StepProgress
from engine.cli.tables import cut, display_width, table_text, wrap
from engine.cli.terminal import Terminal
from engine.clock import local_text

if TYPE_CHECKING:
    from support.client import Client

HEADERS = ("key", "title", "reason", "seen_at", "note")
ROWS = [
    (
        "HAM-500",
        "锤子 锤子 锤子 锤子 锤子 锤子",
        "a required field is blank and nothing else",
        "2026-03-01 09:14:02 SAST",
        "",
    ),
    ("VARIANTS.OPTION1_VALUE_OF_A_LONG_KEY", "Hammer 🔨🔨🔨", "", "2026-03-01 09:14:02 SAST", None),
]


@pytest.mark.parametrize("text", ["Ham", "锤子", "ハンマー", "망치", "🔨 x", "❤️", "e\u0301", "ﾊﾝﾏｰ", ""])
def test_a_width_is_what_a_terminal_displays(text: str) -> None:
    """As rich measures it: letters of East Asia and emoji take two columns, what is put on a letter none."""
    assert display_width(text) == cell_len(text)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_a_table_fits_the_terminal(width: int) -> None:
    """Nothing is cut off, columns stay below their headers, and one without a value is left out."""
    lines = table_text(ROWS, HEADERS, width=width).splitlines()
    assert max(map(display_width, lines)) <= width
    assert "note" not in lines[0]
    assert "".join(lines).count("锤") == 6
    if lines[1].startswith("-"):
        begins = [display_width(lines[0][: lines[0].index(name)]) for name in ("title", "reason")]
        rest = {(line[:1] == " ", display_width(line[: line.find("锤")]) in begins) for line in lines if "锤" in line}
        assert {found for _, found in rest} == {True}


def test_a_table_on_a_terminal_is_as_wide_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is masked is masked before it is laid out, and times are those of this machine."""
    terminal = Terminal()
    terminal.hide(["hunter2"])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    moment = datetime(2026, 3, 1, 7, 14, 2, tzinfo=timezone.utc)
    terminal.print_table([("hunter2", moment, "x " * 40)], ("password", "seen_at", "reason"))
    said = capsys.readouterr().out
    assert ("***" in said, max(map(len, said.splitlines())) <= 40) == (True, True)
    assert local_text(moment).split()[1] in said


def test_a_table_that_no_word_would_fit_is_a_block_a_row() -> None:
    """A blank value takes no line."""
    text = table_text([("A", 1234, "x" * 30, ""), ("B", 5, "y", "z")], ("key", "rows", "reason", "note"), width=24)
    first, second = text.split("\n\n")
    assert first.splitlines() == ["key     A", "rows    1,234", "reason  " + "x" * 24, "        xxxxxx"]
    assert second.endswith("note    z")


def test_a_table_in_a_pipe_has_a_line_a_row() -> None:
    """Whatever its width: grep and awk read it."""
    lines = table_text(ROWS, HEADERS).splitlines()
    assert (len(lines), lines[0].split()) == (4, [*HEADERS])
    assert lines[2].index("a required") > display_width("VARIANTS")


def test_a_long_word_is_parted_where_it_may_be() -> None:
    """Behind dots and underscores, not inside of a date or a SKU; what cannot be parted is cut."""
    assert wrap("variants.option1_value", 14) == ["variants.", "option1_value"]
    assert wrap("at 2026-03-01", 10) == ["at", "2026-03-01"]
    assert wrap("x SHIRT-01", 8) == ["x", "SHIRT-01"]
    assert wrap("锤子锤子锤", 4) == ["锤子", "锤子", "锤"]
    assert cut("锤子锤子", 5) == "锤子…"


@pytest.mark.parametrize(
    ("environ", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colour_is_for_terminals_and_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], *, terminal: bool, wanted: bool
) -> None:
    """NO_COLOR counts before FORCE_COLOR, and neither where it is empty."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert wants_colour(stream, environ) == wanted


def test_changes_are_coloured_by_their_kind(client: Client) -> None:
    """Where colour is wanted; the text is the same without it."""
    client.item("A")
    plain = run_command("plan", "acme", folder=client.workspace, variables=client.environment).stdout
    variables = {**client.environment, "NO_COLOR": "", "FORCE_COLOR": "1"}
    coloured = run_command("plan", "acme", folder=client.workspace, variables=variables).stdout
    assert "\x1b[32m  + A\x1b[0m\n" in coloured
    assert coloured.replace("\x1b[32m", "").replace("\x1b[0m", "") == plain
    assert paint_plan("  - A\n      x: - → b\nSTOPPED BY max_deletes: 9") == (
        "\x1b[31m  - A\x1b[0m\n      x: - → b\n\x1b[1;31mSTOPPED BY max_deletes: 9\x1b[0m"
    )
    assert paint_findings("bad   x: ok").startswith("\x1b[1;31mbad\x1b[0m   x")
    table = "kind    why\n------  ------\ninsert  insert it\ndelete"
    assert paint_table(table) == (
        "kind    why\n------  ------\n\x1b[32minsert\x1b[0m  insert it\n\x1b[31mdelete\x1b[0m"
    )
    assert paint_review("    + vendor\n  SQL") == "\x1b[32m    + vendor\x1b[0m\n  SQL"


def test_progress_has_share_rate_and_time_left() -> None:
    """As far as they are known: nothing is guessed in the first second, or without a total."""
    progress = StepProgress("sending", 1000, 50.0)
    assert progress.text(0, 5000, 50.0) == "sending"
    assert progress.text(1000, 5000, 50.0) == "sending 1,000 of 5,000, 20 %"
    assert progress.text(2000, 5000, 60.0) == "sending 2,000 of 5,000, 40 %, 100/s, 30 s left"
    assert progress.text(5000, 5000, 90.0) == "sending 5,000 of 5,000, 100 %, 100/s"
    assert progress.text(1010, None, 70.0) == "sending 1,010, 30/min"
