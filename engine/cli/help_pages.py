"""The command that prints the documentation, which is installed with the engine: ``s2s help TOPIC``."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.session import session_of
from engine.errors import UsageError
from engine.files import is_dir, list_paths

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIRST_TOPICS = ("tutorial", "go-live", "mapping", "templates", "replace", "schedule", "orders", "runbook", "install")
"""The pages that come first in the list: those that somebody on site wants."""

MAX_MENTIONS = 8
"""How many pages are named that write of a word which is no page's name."""

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def show_help(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(help="A page, such as tutorial or sql-server; all when left out.")
    ] = None,
) -> None:
    """Print a page of the documentation, which is installed with s2s; without a topic, list the pages."""
    terminal = session_of(context).terminal
    found = pages()
    if topic is None:
        known = [name for name in FIRST_TOPICS if name in found]
        rows = [(name, _title(found[name])) for name in (*known, *(each for each in found if each not in known))]
        terminal.print_table(rows, ("topic", "what it is about"))
        terminal.print_text("\ns2s help TOPIC prints one; s2s COMMAND --help says what a command takes.")
        return
    terminal.print_text(page_text(found[_named(topic, found)].read_text("utf-8")))


def pages() -> Mapping[str, Path]:
    """The documentation's pages by topic: the path below its folder, without ``.md``."""
    from engine.mapping.render import ENGINE_FOLDER

    own = ENGINE_FOLDER / "docs"
    folder = own if is_dir(own) else ENGINE_FOLDER.parent / "docs"
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_paths(folder, "**/*.md")}
    changes = folder / "CHANGELOG.md" if folder == own else folder.parent / "CHANGELOG.md"
    return {**{name: found[name] for name in sorted(found) if name != "CHANGELOG"}, "changelog": changes}


def _named(topic: str, found: Mapping[str, Path]) -> str:
    """The page that a topic means: by its path, or by the last part of it. Raises :class:`UsageError` for none."""
    wanted = topic.lower().removeprefix("docs/").removesuffix(".md").strip("/")
    names = {name.lower(): name for name in found}
    last = {name.rpartition("/")[2].lower(): name for name in found}
    if wanted in names or wanted in last:
        return names.get(wanted) or last[wanted]
    mentions = [
        name for name, path in found.items() if name != "changelog" and wanted in path.read_text("utf-8").lower()
    ]
    close = get_close_matches(wanted, [*names, *last], n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    if mentions:
        hint += f"These pages write of it: {', '.join(mentions[:MAX_MENTIONS])}."
    raise UsageError(f"There is no page {topic!r}.", hint=f"{hint or 'List them: s2s help'}")


def page_text(markdown: str) -> str:
    """A page for a terminal: links become the command that prints where they lead."""

    def spelt(link: re.Match[str]) -> str:
        text, target = link.groups()
        page = target.partition("#")[0]
        if target.startswith(("http:", "https:")):
            return f"{text} <{target}>"
        if not page.endswith(".md"):
            return text
        return f"{text} (s2s help {page.rpartition('/')[2].removesuffix('.md').lower()})"

    return _LINK.sub(spelt, markdown).rstrip()


def _title(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].lstrip("# ")
