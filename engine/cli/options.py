"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli.session import Output

ProjectName = Annotated[
    str, typer.Argument(help="The project: its name, or the path of its folder.", metavar="PROJECT")
]
EntityName = Annotated[str | None, typer.Option("--entity", help="Only this entity; otherwise all of the project's.")]
Reveal = Annotated[bool, typer.Option("--reveal", help="Show personal data; on a terminal only.")]
OutputFormat = Annotated[Output, typer.Option("--output", help="How to print the result.")]
