"""The words of a command line, put in order before typer reads them, and what its help shows beside the options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

from engine.cli.examples import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

GLOBAL_OPTIONS = {"--workspace": True, "--log-format": True, "--log-file": True, "--debug": False}
"""The options that every command has, which typer knows in front of the command only, and whether one has a value."""

_NEVER_CUT = 10_000
"""More letters than a sentence of help has."""

_PLAIN_TYPES = {"<str>": "<text>", "<int>": "<number>", "<float>": "<number>"}
_PLAIN_TYPES |= {
    "<int range>": "<number>",
    "<float range>": "<number>",
    "<list[str]>": "<text>",
    "<list[int]>": "<number>",
}
"""What help calls the types of values, in place of Python's names for them."""

PANELS = ("Set up", "Look at a mapping", "Sync", "Orders", "Keep it running", "Learn")
"""The groups of commands in ``s2s --help``, in their order."""


class CommandGroup(TyperGroup):
    """Lists its commands with the whole sentence that each begins its help with."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section of all commands; typer would cut what is longer than a line."""
        commands = [command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))]
        with formatter.section("Commands"):
            formatter.write_dl([(command.name or "", command.get_short_help_str(_NEVER_CUT)) for command in commands])


class PanelGroup(TyperGroup):
    """Lists its commands under the headings that they were registered with."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each heading."""
        commands = [command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))]
        width = max(len(command.name or "") for command in commands)
        for panel in PANELS:
            rows = [
                ((command.name or "").ljust(width), command.get_short_help_str(formatter.width))
                for command in commands
                if getattr(command, "rich_help_panel", None) == panel
            ]
            if rows:
                with formatter.section(panel):
                    formatter.write_dl(rows)


def arrange_words(words: Sequence[str]) -> list[str]:
    """``words`` with the options of every command in front, and ``--output`` behind the command.

    So both may stand on either side of it. What follows a ``--`` stays as it is.

    >>> arrange_words(["--output", "json", "plan", "acme", "--debug"])
    ['--debug', 'plan', 'acme', '--output', 'json']
    """
    front: list[str] = []
    own: list[str] = []
    behind: list[str] = []
    left = list(words)
    while left and left[0] != "--":
        word = left.pop(0)
        name, equals, _ = word.partition("=")
        before_command = all(each.startswith("-") for each in own)
        if name in GLOBAL_OPTIONS:
            target, has_value = front, GLOBAL_OPTIONS[name]
        elif name == "--output" and before_command:
            target, has_value = behind, True
        else:
            target, has_value = own, False
        target.append(word)
        if has_value and not equals and left:
            target.append(left.pop(0))
    return [*front, *own, *behind, *left]


def option_value(words: Sequence[str], option: str) -> str | None:
    """The value that an option has last among ``words``; None where it is not there."""
    found = None
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if name == option:
            found = value if equals else next(iter(words[position + 1 :]), None)
    return found


def words_of_command(words: Sequence[str]) -> Iterator[str]:
    """Those of ``words`` that are no options: the command and what it is about; an option's own value may be one."""
    left = iter(words)
    for word in left:
        if not word.startswith("-"):
            yield word
        elif GLOBAL_OPTIONS.get(word):
            next(left, None)


def command_name(tree: Any, words: Sequence[str]) -> str:
    """The command that ``words`` call, such as ``orders list``; empty where there is none of that name."""
    names: list[str] = []
    for word in words_of_command(words):
        tree = (getattr(tree, "commands", None) or {}).get(word)
        if tree is None:
            break
        names.append(word)
    return " ".join(names)


def walk_commands(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every command and group below ``tree``, each with its path, such as ``orders list``."""
    for name, command in (getattr(tree, "commands", None) or {}).items():
        own = f"{path} {name}".strip()
        yield own, command
        yield from walk_commands(command, own)


def add_examples(tree: Any) -> None:
    """Write examples below the help of each command that has some."""
    for path, command in walk_commands(tree):
        if path in EXAMPLES:
            command.epilog = "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[path])])


def name_types(tree: Any) -> None:
    """Have help call the types of values by plain words, and leave them out where an argument is any text."""
    for _, command in walk_commands(tree):
        for parameter in command.params:
            plain = _plain_type(parameter.display_type, is_argument=parameter.param_type_name == "argument")
            parameter.display_type = plain


def _plain_type(display_type: Callable[[Any], str], *, is_argument: bool) -> Callable[[Any], str]:
    def shown(context: Any) -> str:
        label = display_type(context)
        plain = _PLAIN_TYPES.get(label, label)
        return "" if is_argument and plain == "<text>" else plain

    return shown


def note_project(command: Any, note: Callable[[Any, str | None], None]) -> None:
    """Have ``note`` called, before a command runs, with its context and the one project it is about, or None."""
    invoke = command.invoke

    def invoke_noted(context: Any) -> Any:
        named = context.params.get("projects") or [context.params.get("project")]
        note(context, named[0] if len(named) == 1 else None)
        return invoke(context)

    command.invoke = invoke_noted
