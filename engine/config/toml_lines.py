"""toml_lines."""

from __future__ import annotations

import re


class TomlLines:
    """Where each table and key of a TOML text stands. TOML parsers do not say; headers and keys are easy to see."""

    _HEADER = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]")
    _KEY = re.compile(r"""^\s*(?P<name>"[^"]+"|'[^']+'|[\w-]+(?:\s*\.\s*[\w-]+)*)\s*=""")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        inside = ""
        for number, line in enumerate(text.split("\n"), 1):
            if inside:
                # A line of a text over several lines is neither header nor key.
                inside = "" if line.count(inside) % 2 else inside
                continue
            inside = next((quotes for quotes in ('"""', "'''") if line.count(quotes) % 2), "")
            header, key = self._HEADER.match(line), self._KEY.match(line)
            if header:
                table = tuple(part.strip(" \"'") for part in header["name"].split("."))
                self._found.setdefault(table, number)
            elif key:
                names = tuple(part.strip(" \"'") for part in key["name"].split("."))
                self._found.setdefault((*table, *names), number)

    def of(self, at: tuple[str, ...]) -> int | None:
        """The line of the longest part of ``at`` that is written out."""
        while at:
            if at in self._found:
                return self._found[at]
            at = at[:-1]
        return None
