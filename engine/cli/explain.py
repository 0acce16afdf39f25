"""The command that tells everything known of one code: a row's key, its SKU, its barcode, or an order's number."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.failures import exit_code, gravest, report_error
from engine.cli.fleet_state import order_ledgers, state_at_hand
from engine.cli.options import OutputFormat, Reveal  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, check_reveal, selected_entities, session_of
from engine.cli.stored import read_stored, zoned_rows
from engine.clock import local_text
from engine.errors import StateLockedError, SyncError, UnknownKeyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from engine.cli.session import Session
    from engine.model.settings import Project
    from engine.orders.ledger import Ledger
    from engine.sync.explain import Story


MAX_STORED_CHANGES = 20
"""How many changes are shown of what the last runs stored of a key."""


def explain(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            help="The project, and a row's key, its SKU, its barcode, or an order's number; with --all the code alone.",
            metavar="[PROJECT] CODE",
        ),
    ],
    all_projects: Annotated[bool, typer.Option("--all", help="Look in every project of the workspace.")] = False,
    entity: Annotated[str | None, typer.Option(help="Look only among these: products, customers or orders.")] = None,
    stored: Annotated[
        bool,
        typer.Option("--stored", help="Only what the last runs stored of a key: reads no source, needs no password."),
    ] = False,
    reveal: Reveal = False,
    output: OutputFormat = Output.text,
) -> None:
    """Show everything known of one code: its row, what holds it back since when, what is published and sent."""
    session = session_of(context)
    if len(words) != (1 if all_projects else 2):
        raise UsageError(
            "Name a project and a code, or a code alone with --all.",
            hint="For example `s2s explain acme HAM-500`, or `s2s explain HAM-500 --all`.",
        )
    search = _Search(session, words[-1].strip(), entity, reveal=check_reveal(reveal=reveal), output=output)
    load = session.load_stored if stored else session.load
    if not all_projects:
        session.subject = words[0]
        if not search.look_in(load(words[0]), stored=stored):
            assert search.unknown is not None
            raise search.unknown
        search.finish()
        return
    code, known = 0, False
    for name in session.project_names():
        try:
            known = search.look_in(load(name), stored=stored) or known
        except (SyncError, OSError) as error:
            code = gravest(code, exit_code(error))
            report_error(session, error, project=name, lead=True)
    search.finish()
    if not known:
        report_error(session, UnknownKeyError(f"No project knows {search.code!r}.", key=search.code))
        code = gravest(code, 2)
    raise typer.Exit(code)


class _Search:
    """Looks for one code in projects, and prints what it finds."""

    def __init__(self, session: Session, code: str, entity: str | None, *, reveal: bool, output: Output) -> None:
        self.code = code
        self.unknown: UnknownKeyError | None = None
        self._session = session
        self._entity = entity
        self._reveal = reveal
        self._output = output
        self._found: dict[str, list[dict[str, Any]]] = {"rows": [], "stored": [], "orders": []}

    def look_in(self, project: Project, *, stored: bool = False) -> bool:
        """Print each story of the code that a project knows; gives whether it knows one.

        With ``stored``, and while a run holds the state, it is what the last runs stored of a key.
        """
        from engine.sync.explain import explain as explain_key

        known = False
        for order_id in self._orders(project):
            from engine.cli.orders import order_json, print_order

            if self._output is Output.json:
                order = order_json(self._session, project, order_id, reveal=self._reveal)
                self._found["orders"].append({"project": project.name, **order})
            else:
                print_order(self._session, project, order_id, reveal=self._reveal)
            known = True
        if self._entity == "orders":
            if not known:
                message = f"{project.name} knows no order {self.code!r}."
                self.unknown = UnknownKeyError(message, key=self.code, hint=self._former_hint(project))
            return known
        if stored:
            return self._look_at_stored(project) or known
        unknown = []
        for name in selected_entities(project, self._entity):
            try:
                with state_at_hand(self._session, project) as (at_hand, _):
                    story = explain_key(at_hand, name, self.code, reveal=self._reveal)
            except UnknownKeyError as error:
                unknown.append(error)
                continue
            except StateLockedError:
                return self._look_at_stored(project) or known
            known = True
            if self._output is Output.json:
                self._found["rows"].append({"project": project.name, **_story_json(story)})
            else:
                _print_story(self._session, project, story, self.code)
        if not known:
            hint = self._former_hint(project) or unknown[0].hint
            self.unknown = UnknownKeyError(unknown[0].message, key=self.code, hint=hint)
        return known

    def _look_at_stored(self, project: Project) -> bool:
        """Print what the last runs stored of the code as a key: why it is held, and what was acknowledged."""
        from engine.sync import history
        from engine.sync.rules import RULES

        entity = None if self._entity is None else selected_entities(project, self._entity)[0]

        def of_key(held: list[dict[str, Any]], changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
            reasons = [
                {**row, "since": row["first_seen_at"], "remedy": RULES[row["rule"]].remedy}
                for row in held
                if row["key"] == self.code
            ]
            return [{"key": self.code, "held": reasons, "history": changes}] if reasons or changes else []

        limits: dict[str, Any] = {"limit": MAX_STORED_CHANGES, "entity": entity, "key": self.code}
        found = read_stored(
            self._session,
            project,
            lambda state: of_key(
                history.quarantine(state, entity=entity, reveal=self._reveal),
                history.changes(state, **limits, reveal=self._reveal),
            ),
            lambda log: of_key(log.quarantine(project.name, entity), log.changes(project.name, **limits)),
        )
        if not found:
            self.unknown = UnknownKeyError(
                f"No run of {project.name} stored anything of the key {self.code!r}.",
                key=self.code,
                hint="Without --stored, and while no run is under way, it is looked for in the source, by SKU and"
                " barcode, too.",
            )
            return False
        if self._output is Output.json:
            self._found["stored"] += [
                {
                    "project": project.name,
                    "key": each["key"],
                    "held": zoned_rows(each["held"]),
                    "history": zoned_rows(each["history"]),
                }
                for each in found
            ]
        else:
            _print_stored(self._session, project, found[0])
        return True

    def finish(self) -> None:
        """Give what was found, for JSON."""
        self._session.answer.give(self._found)

    def _orders(self, project: Project) -> list[int]:
        """The orders with this number that a project's ledger knows."""
        with self._viewed(project) as ledger:
            return [] if ledger is None else [entry.order_id for entry in ledger.find_entries(self.code)]

    def _former_hint(self, project: Project) -> str:
        """Where to look for an order with this number that was put aside; blank where there is none."""
        with self._viewed(project) as ledger:
            return "" if ledger is None else ledger.former.whereabouts(project.name, self.code)

    @contextmanager
    def _viewed(self, project: Project) -> Iterator[Ledger | None]:
        """A project's ledger; None where there is none, or orders are not looked for."""
        ledgers = order_ledgers(self._session)
        if self._entity not in {None, "orders"} or project.orders is None or not ledgers.has_ledger(project.name):
            yield None
            return
        with ledgers.viewed(project.name) as ledger:
            yield ledger


def _story_json(story: Story) -> dict[str, Any]:
    """A story whose times have their zone."""
    own = {"held": zoned_rows(story.held), "history": zoned_rows(story.history)}
    return {**asdict(story), **own, "published": story.published and zoned_rows([story.published])[0]}


def _print_story(session: Session, project: Project, story: Story, code: str) -> None:
    terminal = session.terminal
    found = "" if story.key == code else f", whose {story.found_by} is {code}"
    terminal.print_text(f"{project.name} · {story.entity} · {story.key}{found}: {_headline(story)}")
    if story.also:
        terminal.print_text(f"  {story.found_by} {code} is also that of {', '.join(story.also)}")
    for each in story.held:
        _print_reason(session, each)
    for title, rows in (("source row", story.source), ("staged", story.staged)):
        for row in rows:
            terminal.print_row(title, row)
        if not rows:
            terminal.print_text(f"\n{title}: none")
    for fault in story.faults:
        terminal.print_text(
            f"\n{fault['severity']} {fault['rule']} in {fault['column_name']}: {fault['reason']}\n  {fault['remedy']}"
        )
    if story.published:
        terminal.print_row("published", story.published)
    else:
        terminal.print_text("\npublished: nothing: Stock2Shop has not acknowledged this key")
    for change in story.changes:
        terminal.print_text(f"\nwould send: {change['kind']} {change['cause']}".rstrip())
        for column in change["columns"]:
            terminal.print_text(f"  {column['column']}: {column['old']} → {column['new']}")
    if story.document:
        terminal.print_text("\nas this document:\n" + terminal.json_text(story.document))
    for entry in story.history:
        _print_receipt(session, entry)


def _print_stored(session: Session, project: Project, stored: dict[str, Any]) -> None:
    print_text = session.terminal.print_text
    state = "held back" if stored["held"] else "not held back"
    print_text(f"{project.name} · {stored['key']}: {state} by the last run; the source was not read")
    for each in stored["held"]:
        _print_reason(session, each)
    for entry in stored["history"]:
        _print_receipt(session, entry)


def _print_reason(session: Session, held: dict[str, Any]) -> None:
    value = "" if held["value"] in {None, ""} else f" = {held['value']}"
    session.terminal.print_text(
        f"\nheld back since {local_text(held['since'])}: {held['column_name']}{value}: {held['reason']}\n"
        f"  {held['remedy']}"
    )


def _print_receipt(session: Session, entry: dict[str, Any]) -> None:
    at = local_text(entry["acknowledged_at"])
    session.terminal.print_text(f"\n{at}: {entry['kind']} acknowledged ({entry['status']}), run {entry['run_id']}")


def _headline(story: Story) -> str:
    """The verdict, with the first reason and since when where the row is held back."""
    if not story.held:
        return story.verdict
    first = story.held[0]
    return f"{story.verdict}, held back since {local_text(first['since'])}: {first['reason']}"
