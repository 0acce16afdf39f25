"""Read the text of a TOML file other than ``project.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import ConfigError, Diagnostic

if TYPE_CHECKING:
    from pathlib import Path


def parse_toml(text: str, *, path: Path, hint: str) -> dict[str, Any]:
    """Return what the text of the file ``path`` says. Raises :class:`ConfigError` with its line where it is no TOML."""
    import tomli

    try:
        return tomli.loads(text)
    except (ValueError, RecursionError) as error:  # of numbers with thousands of digits, and of deep brackets, too
        line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
        raise ConfigError(
            [Diagnostic(path=path, line=line, column=column, message="This is not TOML.", hint=hint)]
        ) from None
