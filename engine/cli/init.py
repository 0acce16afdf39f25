"""The command that creates a project: it takes options, or asks on a terminal, and may inspect the database."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.introspection import Decided, Inspection, look
from engine.cli.options import OutputFormat  # noqa: TC001 - typer reads annotations at run time
from engine.cli.session import Output, session_of
from engine.errors import UsageError
from engine.files import WorkspaceFiles, is_file
from engine.scaffold.answers import SourceAnswers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli.session import Session


@dataclass(kw_only=True)
class Answers(SourceAnswers):
    """The answers that a new project is created from."""

    template: str | None = None
    introspect: bool = False
    statement: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the command wrote, and what the new view means otherwise than the statement that it was taken from."""

    written: tuple[Path, ...] = ()
    differences: tuple[str, ...] = ()
    inspected: Inspection = field(default_factory=Inspection)

    def as_json(self, name: str) -> dict[str, object]:
        """The command's result."""
        return {
            "project": name,
            "written": [*dict.fromkeys((*self.written, *self.inspected.written))],
            "kept": self.inspected.kept,
            "differences": self.differences,
            "proposals": [asdict(each) for each in self.inspected.proposals],
        }


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The new project's name.")],
    template: Annotated[
        str | None, typer.Option(help="The system that the client has, such as sap_business_one.")
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="The SQL dialect of the client's database; otherwise that of the connection's driver, else tsql."
        ),
    ] = None,
    connection: Annotated[
        str | None,
        typer.Option(help="The ODBC connection string, without a password: ${NAMES} come from the environment."),
    ] = None,
    database: Annotated[str | None, typer.Option(help="A DuckDB or SQLite file instead.")] = None,
    source_id: Annotated[int, typer.Option(help="The source's number in Stock2Shop.")] = 0,
    statement: Annotated[
        Path | None,
        typer.Option("--from", help="A file with the SQL statement that an agent runs today: take it over."),
    ] = None,
    introspect: Annotated[
        bool,
        typer.Option(
            "--introspect", help="Inspect the database and propose the views; also for a project that exists."
        ),
    ] = False,
    table: Annotated[
        list[str] | None,
        typer.Option(help="With --introspect: the table of the products, or customers=NAME for that of the customers."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="With --introspect: FIELD=COLUMN, or TABLE.COLUMN, or SQL, such as title=descr."),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --introspect: take what is likeliest, and ask nothing.")
    ] = False,
    output: OutputFormat = Output.text,
) -> None:
    """Create a project: its folder, project.toml, first views and a .env to fill in. Without options it asks."""
    session = session_of(context)
    session.subject = name
    base = session.options.workspace or Path(os.environ.get("S2S_WORKSPACE") or Path.cwd())
    given = Answers(
        template=template,
        dialect=dialect,
        connection=connection,
        database=database,
        source_id=source_id,
        introspect=introspect or bool(table or column),
        statement=statement,
    )
    decided = Decided(tables=tuple(table or ()), columns=tuple(column or ()), yes=yes)
    decided.choices()  # what is written wrongly is said before anything is created
    _refuse_password(name, connection)
    there = is_file(base / "projects" / name / "project.toml")
    if there and given.introspect:
        if given != Answers(introspect=True):
            raise UsageError(
                f"{name} exists already: its project.toml says how to reach its database.",
                hint=f"Inspect it with `s2s init {name} --introspect` alone.",
            )
        made = Made(inspected=look(session, base, name, decided))
    else:
        if given == Answers() and not there and session.may_ask:
            given = _ask(session, base, name)
        made = _create(session, base, name, given, decided)
    if output is Output.json:
        session.answer.give(made.as_json(name))


def _refuse_password(name: str, connection: str | None) -> None:
    """Raise :class:`UsageError` where ``--connection`` has a password, which others see in the list of processes."""
    from engine.config.masking import written_secrets
    from engine.scaffold.scaffold import variable_prefix

    if connection is not None and written_secrets(connection, ("source", "connection")):
        variable = f"{variable_prefix(name)}_PASSWORD"
        raise UsageError(
            "--connection holds a password: other users of this machine see it in the list of processes, and the shell"
            " keeps it.",
            hint=f"Change it where it is in use. Write PWD=${{{variable}}} here, and {variable} in the environment or,"
            f" once it is there, in projects/{name}/.env; or run `s2s init {name}` alone, which asks.",
        )


def _create(session: Session, base: Path, name: str, given: Answers, decided: Decided) -> Made:
    from engine.mapping.mdbtools import NOTICE, uses_mdbtools
    from engine.scaffold.introspect import dialect_of
    from engine.scaffold.scaffold import create_from_template, create_project

    template = given.template
    if given.statement is not None:
        return _take_over(session, base, name, given)
    if template is not None:
        if given.database is not None or given.introspect:
            raise UsageError(
                "A template has views for the system's own database.",
                hint="Leave --database and --introspect out, or leave --template out.",
            )
        created = create_from_template(base, name, template, given)
    else:
        dialect = given.dialect or dialect_of(given.connection, given.database)
        database = _from_project(base / "projects" / name, given.database)
        created = create_project(base, name, replace(given, dialect=dialect, database=database))
    for path in created:
        session.print_text(f"wrote {path}")
    if uses_mdbtools(given.connection):
        session.print_text(f"\n{NOTICE}")
    if template is not None:
        created += _write_first_snapshots(session, base, name)
    inspected = look(session, base, name, decided) if given.introspect else Inspection()
    test = f"  s2s test {name}            its views on the template's fixtures\n" if template else ""
    todo = "answer the questions in its README.md, " if template else ""
    todo += "look at the TODOs in its views, " if given.introspect else ""
    session.print_text(
        f"\nNext: {todo}fill in projects/{name}/.env, then\n"
        f"{test}"
        f"  s2s check {name}           the mapping, without a database\n"
        f"  s2s doctor {name}          drivers, login, Stock2Shop\n"
        f"  s2s plan {name}            what a run would send"
    )
    return Made(written=created, inspected=inspected)


def _take_over(session: Session, base: Path, name: str, given: Answers) -> Made:
    """Create a project from the statement of the agent that runs today, and say what differs in meaning."""
    from engine.scaffold.introspect import dialect_of
    from engine.scaffold.scaffold import create_from_statement
    from engine.scaffold.take_over import take_over

    assert given.statement is not None
    if given.template is not None or given.introspect:
        raise UsageError(
            "The statement of an agent is the view.", hint="Leave --template and --introspect out, or leave --from out."
        )
    root = base / "projects" / name
    dialect = given.dialect or dialect_of(given.connection, given.database)
    if is_file(root / "project.toml"):
        if replace(given, statement=None) != Answers(dialect=given.dialect):
            raise UsageError(
                f"{name} exists already: its project.toml says how to reach its database.",
                hint=f"Add a view to it with `s2s init {name} --from {given.statement}` alone.",
            )
        found = re.search(r'(?m)^dialect\s*=\s*"(\w+)"', WorkspaceFiles((base,)).read_utf8(root / "project.toml"))
        dialect = dialect or (found[1] if found else None)
    file = given.statement.name
    taken = take_over(_read_script(given.statement), file=file, dialect=dialect or "tsql")
    answers = replace(given, dialect=dialect, database=_from_project(root, given.database))
    created = create_from_statement(base, name, taken, file, answers)
    for path in created:
        session.print_text(f"wrote {path}")
    session.print_text("\nWhat differs in meaning:")
    for each in taken.differences:
        session.print_text(f"  - {each}")
    todos = taken.sql.count("-- TODO")
    look = f"decide the {todos} {'TODO' if todos == 1 else 'TODOs'} in its view, " if todos else ""
    session.print_text(
        f"\nNext: {look}fill in projects/{name}/.env, then\n"
        f"  s2s check {name}           the mapping, without a database\n"
        f"  s2s doctor {name}          drivers, login, Stock2Shop\n"
        f"  s2s adopt {name}           take what Stock2Shop holds as published; nothing is sent\n"
        f"  s2s plan {name}            what a run would send"
    )
    return Made(written=created, differences=taken.differences)


def _read_script(path: Path) -> str:
    """The text of a script. Management Studio saves UTF-8, UTF-16 or Windows' own code page."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", hint="Name the file that holds the statement."
        ) from None
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _ask(session: Session, base: Path, name: str) -> Answers:
    """The answers of the engineer at the terminal; nothing is written before the last one."""
    from engine.config.values import DIALECTS
    from engine.scaffold.introspect import dialect_of
    from engine.scaffold.scaffold import (
        default_connection,
        extract_login,
        required_variables,
        template_dialects,
        templates,
        variable_prefix,
    )

    print_text = session.terminal.print_text
    print_text("Enter takes the value in brackets; Ctrl-C quits without writing anything.\n")
    known = [*templates(base), "none"]
    given = Answers()
    answer = _choose(session, "Which system does the client have", known, "none", "none: views from scratch")
    given.template = None if answer == "none" else answer
    reach = ""
    if given.template is None:
        print_text(
            "\nHow is the database reached? The path of a DuckDB or SQLite file, an ODBC connection string, or Enter"
        )
        print_text("to be asked for server and login.")
        reach = _ask_text("File or connection")
        if reach and "=" not in reach:
            given.database = reach
        elif reach:
            given.connection, given.values = extract_login(reach, variable_prefix(name))
    dialects = template_dialects(base, given.template) if given.template else sorted(set(DIALECTS.values()))
    guess = dialect_of(given.connection, given.database) or ("tsql" if "tsql" in dialects else dialects[0])
    certain = given.database is not None or len(dialects) == 1
    given.dialect = guess if certain else _choose(session, "How does the database write SQL", dialects, guess)
    if given.database is None and given.connection is None:
        given.connection = default_connection(name, given.dialect)
    print_text("\nThese go to .env, which git ignores. Enter leaves one open.")
    for variable in required_variables(name, given.connection):
        if variable not in given.values:
            given.values[variable] = _ask_text(variable, hidden=variable.endswith("PASSWORD"))
    given.source_id = int(typer.prompt("The source's number in Stock2Shop", default=0, type=int))
    reachable = all(given.values[each] for each in required_variables(name, given.connection) if "_S2S_" not in each)
    if given.template is None and reachable:
        given.introspect = typer.confirm("Inspect the database now, and propose the views?", default=True)
    print_text("")
    return given


def _ask_text(question: str, *, hidden: bool = False) -> str:
    return str(typer.prompt(question, default="", show_default=False, hide_input=hidden)).strip()


def _choose(session: Session, question: str, known: Sequence[str], default: str, default_text: str = "") -> str:
    choices = [default_text if each == default and default_text else each for each in known]
    session.print_text(f"{question}? {', '.join(choices)}")
    while True:
        answer = str(typer.prompt("One of them", default=default)).strip()
        if answer in known:
            return answer
        session.print_text(f"{answer} is not one of them.")


def _from_project(root: Path, database: str | None) -> str | None:
    """A file that was named from here, as project.toml names it: from the project's folder."""
    if database is None or Path(database).is_absolute() or not is_file(Path(database)):
        return database
    try:
        return Path(os.path.relpath(database, root)).as_posix()
    except ValueError:  # it is on another drive of Windows
        return Path(database).absolute().as_posix()


def _write_first_snapshots(session: Session, workspace: Path, name: str) -> tuple[Path, ...]:
    """Write the snapshots that a new project's tests are compared with; gives their files."""
    from engine.config.loader import load
    from engine.testing.fixture_run import fixture_session
    from engine.testing.snapshots import build_snapshots, update_snapshots

    project = load(name, workspace=workspace, environ=os.environ, offline=True)
    with fixture_session([project]) as fixtures:
        written = update_snapshots(build_snapshots(fixtures, project))
    for each in written:
        session.print_text(f"wrote {each.path}")
    return tuple(each.path for each in written)
