"""Inspect a project's database for ``s2s init``: ask what is unsure, show what was found, write the views."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from engine.cli.session import Output
from engine.cli.tables import display_width, pad
from engine.errors import UsageError
from engine.files import WorkspaceFiles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.cli.session import Session
    from engine.cli.terminal import Terminal
    from engine.scaffold.introspect import Choices, Option, Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What the command line decides of a proposal: ``--table``, ``--column`` and ``--yes`` as they were written."""

    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    yes: bool = False

    def choices(self) -> Choices:
        """Tables by entity and columns by field. Raises :class:`UsageError` for an entity or a field that is none."""
        from engine.model.fields import ENTITIES
        from engine.scaffold.introspect import Choices

        tables: dict[str, str] = {}
        for text in self.tables:
            entity, equals, table = text.partition("=")
            if not equals:
                entity, table = "products", text
            if entity not in ENTITIES or not table:
                raise UsageError(
                    f"--table {text} names no table.", hint="Write --table NAME, or --table customers=NAME."
                )
            tables[entity] = table
        columns: dict[str, str] = {}
        for text in self.columns:
            name, _, column = text.partition("=")
            found = next((field for each in ENTITIES.values() if (field := each.resolve(name)) is not None), None)
            if found is None or not column.strip():
                close = [each for entity in ENTITIES.values() for each in entity.suggest(name)]
                raise UsageError(
                    f"--column {text} names no field and column.",
                    hint=f"Write --column title=NAME.{f' Fields: {chr(44).join(close)}.' if close else ''}",
                )
            columns[found.name] = column
        return Choices(tables=tables, columns=columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What became of a look at a database: the views written, those kept that somebody edited, and what was found."""

    written: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    proposals: tuple[Proposal, ...] = ()


def look(session: Session, base: Path, name: str, decided: Decided) -> Inspection:
    """Inspect a project's database, show what was found, and write the views that do not exist yet."""
    from engine.config.loader import load
    from engine.config.plain_secrets import named_secrets
    from engine.config.variables import read_variables
    from engine.scaffold.introspect import introspect, table_names
    from engine.scaffold.scaffold import known_system, leave_out_products, write_views

    choices = decided.choices()
    root = base / "projects" / name
    text = WorkspaceFiles((base,)).read_utf8(root / "project.toml")
    values, _ = read_variables(root, workspace=base, environ=os.environ)
    # A database without a password is one thing, a server without a name another.
    empty = [
        each
        for each, value in values.items()
        if not value and f"${{{each}}}" in text and "_S2S_" not in each and not each.endswith("PASSWORD")
    ]
    if empty:
        raise UsageError(
            f"To inspect the database, these variables need a value: {', '.join(empty)}.",
            hint=f"Write them in {root / '.env'}, then: s2s init {name} --introspect",
        )
    # Neither Stock2Shop's login nor a login that writes is needed to look.
    project = load(name, workspace=base, environ=os.environ, offline={"stock2shop", "orders"})
    session.terminal.hide((*project.secrets, *named_secrets(root, workspace=base, environ=os.environ)))
    asking = not decided.yes and session.may_ask

    def choose(question: str, options: Sequence[Option]) -> int:
        return _choose(session, question, options)

    system = known_system(base, table_names(project.source))
    if system is not None:
        session.print_text(
            f"\nThese are the tables of {system[1]}, whose views a template has: s2s init ANOTHER_NAME --template"
            f" {system[0]}"
        )
    proposals = introspect(project.source, choices, choose if asking else None)
    for proposal in proposals:
        if session.output is Output.text:
            _print_proposal(session.terminal, proposal)
    written = write_views(project, {each.entity: each.sql for each in proposals})
    session.print_text("")
    for proposal in proposals:
        path = project.root / "views" / f"{proposal.entity}.sql"
        if path in written:
            todos = proposal.sql.count("-- TODO")
            session.print_text(f"wrote {path}, with {todos} {'TODO' if todos == 1 else 'TODOs'}")
        else:
            session.print_text(
                f"{path} was edited by somebody, so it is kept. This would have been proposed:\n\n{proposal.sql}"
            )
    if all(each.entity != "products" for each in proposals):
        removed = " The example in views/products.sql is removed." if leave_out_products(project) else ""
        session.print_text(
            f"No table looks like products.{removed} Name it where you know it:"
            f" s2s init {name} --introspect --table NAME"
        )
    paths = [project.root / "views" / f"{each.entity}.sql" for each in proposals]
    return Inspection(
        written=tuple(path for path in paths if path in written),
        kept=tuple(path for path in paths if path not in written),
        proposals=tuple(proposals),
    )


def _choose(session: Session, question: str, options: Sequence[Option]) -> int:
    """Let somebody choose an option by its number."""
    session.print_text(f"\n{question}")
    widths = [max(display_width(each.label) for each in options), len(f"{len(options)}")]
    for number, each in enumerate(options, 1):
        session.print_text(f"{number:>{widths[1]}}  {pad(each.label, widths[0])}  {each.detail}".rstrip())
    while True:
        number = int(typer.prompt("Number", default=1, type=int))
        if 1 <= number <= len(options):
            return number - 1
        session.print_text(f"{number} is not one of them.")


def _print_proposal(terminal: Terminal, proposal: Proposal) -> None:
    from engine.text import plural

    counted = "" if proposal.rows is None else f", {proposal.rows:,} {plural(proposal.rows, 'row')}"
    terminal.print_text(f"\n{proposal.entity}: {proposal.table}{counted}")
    if proposal.reasons:
        terminal.print_text(f"  because {'; '.join(proposal.reasons)}")
    for each in proposal.others:
        which = each.label if proposal.entity == "products" else f"{proposal.entity}={each.label}"
        terminal.print_text(f"  or {each.label} ({each.detail}): --table {which}")
    rows = [
        ("?" if each.doubt else "", each.field, each.expression, " · ".join(each.samples))
        for each in proposal.candidates
    ]
    terminal.print_table(rows, ("", "field", "from", "for example"))
