"""Arguments and options that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.session import Output
from engine.errors import ConfigError


def complete_projects(incomplete: str) -> list[str]:
    """The names of the projects that begin so, for the completion of a shell."""
    from engine.config.workspace import discover, find_workspace

    try:
        names = discover(find_workspace(Path.cwd(), environ=os.environ))
    except (ConfigError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


ProjectName = Annotated[
    str,
    typer.Argument(
        help="The project: its name, or the path of its folder.", metavar="PROJECT", autocompletion=complete_projects
    ),
]
ProjectNames = Annotated[
    list[str] | None,
    typer.Argument(help="The projects; all when none is named.", autocompletion=complete_projects),
]
EntityName = Annotated[str | None, typer.Option("--entity", help="Only this entity; otherwise all of the project's.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show personal data; on a terminal only.")]
OutputFormat = Annotated[Output, typer.Option("--output", help="How to print the result.")]
