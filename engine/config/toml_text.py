"""Read TOML files: ``project.toml``, ``workspace.toml`` and those of fixtures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.config.toml_hints import toml_hint
from engine.errors import ConfigError, Diagnostic
from engine.files import WorkspaceFiles, exists

if TYPE_CHECKING:
    from pathlib import Path


def read_settings_text(path: Path, folder: Path) -> str | None:
    """The text of a file of settings in ``folder``; None where there is none.

    Raises :class:`ConfigError` where it cannot be read, or is not UTF-8.
    """
    try:
        return WorkspaceFiles((folder,)).read_utf8(path) if exists(path) else None
    except OSError as error:
        raise ConfigError([Diagnostic(path=path, message=f"The file cannot be read: {error.strerror}.")]) from None


def parse_toml(text: str, *, path: Path) -> dict[str, Any]:
    """What the text of the file ``path`` says. Raises :class:`ConfigError` with its line where it is no TOML."""
    import tomli

    try:
        return tomli.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers with thousands of digits, and of deep brackets, too
        line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
        said = re.sub(r" \(at .*\)$|; use sys\..*$", "", str(error))
        hint = toml_hint(text, line=line, column=column)
        raise ConfigError(
            [Diagnostic(path=path, line=line, column=column, message=f"This is not TOML: {said}.", hint=hint)]
        ) from None
