"""What people read of a problem: its place, the line of the template, and a caret under it."""

from __future__ import annotations

from pathlib import Path

from engine.errors import Diagnostic
from engine.files import read_sql_line
from engine.text import diagnostics_text


def test_a_problem_shows_its_line_and_a_caret_under_its_place(tmp_path: Path) -> None:
    """A tab counts as one character, as editors count columns; what is wrong elsewhere has no line."""
    view = tmp_path / "products.sql"
    view.write_text("select\n\tage(made)\tas x\n", "utf-8")
    problems = [
        Diagnostic(message="The view has age().", hint="Write a macro.", path=view, line=2, column=2),
        Diagnostic(message="It is not there.", path=view),
    ]
    assert diagnostics_text(problems, read_line=read_sql_line).splitlines() == [
        f"{view}:2:2: error: The view has age().",
        "     2 |  age(made) as x",
        "       |  ^",
        "  Write a macro.",
        f"{view}: error: It is not there.",
    ]


def test_a_long_line_is_shown_around_the_place(tmp_path: Path) -> None:
    """At most a hundred characters, with the caret under the right one."""
    view = tmp_path / "products.sql"
    view.write_text("a" * 400 + "!" + "b" * 400, "utf-8")
    problem = Diagnostic(message="That.", path=view, line=1, column=401)
    _, source, caret = diagnostics_text([problem], read_line=read_sql_line).splitlines()
    assert len(source) < 120
    assert source[caret.index("^")] == "!"


def test_only_sql_is_shown(tmp_path: Path) -> None:
    """A line of project.toml may hold a password."""
    settings = tmp_path / "project.toml"
    settings.write_text('password = "secret"\n', "utf-8")
    problem = Diagnostic(message="That.", path=settings, line=1, column=1)
    assert "secret" not in diagnostics_text([problem], read_line=read_sql_line)
    assert read_sql_line(Path("nowhere.sql"), 1) is None
