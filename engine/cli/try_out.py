"""The commands to try things out with, on this machine alone: ``sandbox`` and ``demo``."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import Annotated

import typer

from engine.cli.session import session_of


def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port on this machine; 0 for a free one.")] = 8057,
    state: Annotated[Path | None, typer.Option(help="Keep what is received in this file; otherwise in memory.")] = None,
    pace: Annotated[float, typer.Option(min=0, help="Requests a second before 429; 0 for no limit.")] = 0.0,
    source_id: Annotated[int, typer.Option(min=1, help="The source's number, as in your project.toml.")] = 57,
) -> None:
    """Serve a local Stock2Shop to try a mapping against; user and password are `sandbox`."""
    from engine.sandbox.server import serve
    from engine.sandbox.settings import SandboxSettings

    terminal = session_of(context).terminal

    def ready(url: str) -> None:
        terminal.print_text(f"A Stock2Shop sandbox listens on {url}; Ctrl-C stops it.")
        terminal.print_text(f"User and password are `sandbox`, the source is {source_id}.")
        terminal.print_text(f"What it holds, and the faults that it can play: {url.removesuffix('/v1')}/_sandbox")

    serve(SandboxSettings(port=port, path=state, pace=pace, source_id=source_id), ready=ready)


def demo(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="Where to put the demo's workspace; a new folder otherwise.")
    ] = None,
) -> None:
    """Show the story: an example client, a local Stock2Shop, a few runs, an order."""
    from engine.demo import run_demo

    run_demo(folder, say=session_of(context).terminal.print_text)
