"""What to write where a ``project.toml`` is not TOML: the usual mistakes, seen in the line where the parser stopped."""

from __future__ import annotations

import re

from engine.text import describe_lookalike

_SLIPS = (
    (r"\\", "A Windows path needs \\\\ for each \\, or single quotes: 'C:\\ERP'."),
    (r"[=\[,]\s*[+-]?0\d", 'A number has no leading zeros. A code such as 001 is a string: "001".'),
    (r"[=\[,]\s*\d[\d.]*\s*%", 'A percentage is a string: "10%".'),
    (r"[=\[]\s*\d+,\d", "A decimal number has a point: 1.5."),
    (r"[=\[,]\s*(True|False|TRUE|FALSE|yes|no|on|off|Yes|No)\b", "Booleans are true and false, in lower case."),
    (r"=\s*(None|null|NULL|nil)\b", "TOML has no null: leave the key out."),
)


def toml_hint(text: str, *, line: int | None, column: int | None) -> str:
    """What to write, for a text that is not TOML from a line and a column on, both counted from 1."""
    lines = text.split("\n")
    wrong = lines[line - 1] if line is not None and line <= len(lines) else ""
    rest = wrong[max(0, (column or 1) - 1) :]
    found = describe_lookalike(rest[:1]) or describe_lookalike(_without_strings(wrong))
    if found:
        return found
    for pattern, hint in _SLIPS:
        if re.search(pattern, wrong):
            return hint
    return 'Strings must be in double quotes: key = "value".'


def _without_strings(line: str) -> str:
    """A line without its strings and its comment, in which any character may stand."""
    return re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*$", "", line)
