"""The commands that keep a project's secrets in the operating system's own store: ``s2s secret set``, ``remove``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import OutputFormat, ProjectName  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, session_of
from engine.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.cli.session import Session

secret_app = typer.Typer(no_args_is_help=True, help="Keep a project's secrets in the operating system's own store.")

SecretName = Annotated[str, typer.Argument(help="The secret's name, such as PASSWORD.", metavar="NAME")]


@secret_app.command("set")
def set_secret(
    context: typer.Context, project: ProjectName, name: SecretName, output: OutputFormat = Output.text
) -> None:
    """Ask for a secret without showing it, and write it to the system's store, for the account that is logged on."""
    from engine.config.secret_store import write_secret

    session = session_of(context)
    reference = _reference(project, name)
    if sys.stdin.isatty():
        value = str(typer.prompt(f"{name} of {project}", hide_input=True, confirmation_prompt=True))
    else:
        value = sys.stdin.readline().rstrip("\r\n")
    if not value:
        raise UsageError("Nothing was typed, so nothing was written.", hint="Type the secret, or pipe it in as a line.")
    session.terminal.hide([value])
    store = write_secret(project, name, value)
    _print_stored(
        session,
        f"Written to {store}, where only this account reads it. In project.toml it is {reference}",
        {"project": project, "name": name, "reference": reference, "store": store},
        output,
    )


@secret_app.command("remove")
def remove_secret(
    context: typer.Context, project: ProjectName, name: SecretName, output: OutputFormat = Output.text
) -> None:
    """Remove a secret from the system's store."""
    from engine.config.secret_store import remove_secret as remove

    reference = _reference(project, name)
    if not remove(project, name):
        raise UsageError(f"This account's store has no {project}/{name.lower()}.", hint="Nothing was changed.")
    stored = {"project": project, "name": name, "reference": reference, "store": None}
    _print_stored(session_of(context), f"Removed; {reference} has no value now.", stored, output)


def _print_stored(session: Session, text: str, stored: Mapping[str, str | None], output: Output) -> None:
    if output is Output.json:
        session.answer.give(stored)
    else:
        session.terminal.print_text(text)


def _reference(project: str, name: str) -> str:
    """How project.toml names a secret. Raises :class:`UsageError` for what cannot be such a name."""
    from engine.config.secret_store import REFERENCE

    text = f"keyring:{project}/{name.lower()}"
    if not REFERENCE.fullmatch(text):
        raise UsageError(
            f"{project}/{name} cannot be a secret's name.", hint="Use letters, digits, dots, dashes and underscores."
        )
    return f"${{{text}}}"
