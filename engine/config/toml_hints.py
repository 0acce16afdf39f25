"""What to write where a ``project.toml`` is not TOML: the usual slips, told by the line where the parser stopped."""

from __future__ import annotations

import re
import unicodedata

_LOOKALIKES = {
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),  # curly, low and angle quotes
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
    **dict.fromkeys("\u2013\u2014\u2212", "-"),
    "\uff1d": "=",
    **dict.fromkeys("\u00a0\u2007\u202f\u3000", " "),
}
"""Characters that word processors and web pages put in place of others."""

_SLIPS = (
    (r"\\", "A Windows path needs \\\\ for each \\, or single quotes: 'C:\\ERP'."),
    (r"[=\[,]\s*[+-]?0\d", 'A number has no leading zeros. A code such as 001 is a string: "001".'),
    (r"[=\[,]\s*\d[\d.]*\s*%", 'A percentage is a string: "10%".'),
    (r"[=\[]\s*\d+,\d", "A decimal number has a point: 1.5."),
    (r"[=\[,]\s*(True|False|TRUE|FALSE|yes|no|on|off|Yes|No)\b", "Booleans are true and false, in lower case."),
    (r"=\s*(None|null|NULL|nil)\b", "TOML has no null: leave the key out."),
)


def describe_character(text: str) -> str | None:
    """What to write instead of the first character of ``text`` that only looks right; None where there is none."""
    for character in text:
        plain = _LOOKALIKES.get(character)
        if plain is None and unicodedata.category(character) != "Cf":
            continue
        name = unicodedata.name(character, "unnamed").lower()
        code = f"U+{ord(character):04X}, {name}"
        if plain is None:
            return f"There is an invisible character ({code}): delete it."
        if plain == " ":
            return f"There is a special space ({code}): write a plain one."
        return f"There is a {character} ({code}): write {plain} instead."
    return None


def toml_hint(text: str, *, line: int | None, column: int | None) -> str:
    """What to write, for a text that is not TOML from a line and a column on, both counted from 1."""
    lines = text.split("\n")
    wrong = lines[line - 1] if line is not None and line <= len(lines) else ""
    rest = wrong[max(0, (column or 1) - 1) :]
    found = describe_character(rest[:1]) or describe_character(_without_strings(wrong))
    if found:
        return found
    for pattern, hint in _SLIPS:
        if re.search(pattern, wrong):
            return hint
    return 'Strings must be in double quotes: key = "value".'


def _without_strings(line: str) -> str:
    """A line without its strings and its comment, in which any character may stand."""
    return re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*$", "", line)
