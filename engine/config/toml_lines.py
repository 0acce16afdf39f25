"""On which line of a TOML text each table and key stands, for error messages."""

from __future__ import annotations

import re


class TomlLines:
    r"""The line of each table and key of a TOML text, counted from 1. The parser does not give it.

    >>> TomlLines('[source]\ndialect = "tsql"').of(("source", "dialect"))
    2
    """

    _HEADER = re.compile(r"^\s*\[\s*(?P<name>[^\[\]]+?)\s*\]")
    _KEY = re.compile(r"""^\s*(?P<name>"[^"]+"|'[^']+'|[\w-]+(?:\s*\.\s*[\w-]+)*)\s*=""")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        inside = ""
        for number, line in enumerate(text.split("\n"), 1):
            if inside:
                # A line of a multi-line string is neither header nor key.
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
        """The line of the key at ``at``, or of the nearest table around it that is written out."""
        while at:
            if at in self._found:
                return self._found[at]
            at = at[:-1]
        return None
