"""How proposed SQL spells what it is made of: names, comments, and braces that are no template's."""

from __future__ import annotations

import re

from engine.quoting import ident
from engine.scaffold.vocabulary import CASE_FOLDING, RESERVED_WORDS


def on_one_line(text: str) -> str:
    """A text for a comment: a name with a line break in it would go on as SQL behind it."""
    return " ".join(text.split())


def without_jinja(sql: str) -> str:
    """SQL as a template that renders to it, whatever braces are in its names."""
    return re.sub(r"\{(?=[{%#])", "{% raw %}{{% endraw %}", sql)


def spell_name(name: str, dialect: str) -> str:
    """Quote a name for SQL where the database would not find it unquoted."""
    folded = CASE_FOLDING.get(dialect, str)(name)
    bare = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and folded == name and name.lower() not in RESERVED_WORDS
    return name if bare else ident(name, dialect)
