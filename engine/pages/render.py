"""Reviews and mappings as HTML: pages that stand in one file, ask nothing of a network, and print.

A page holds its style and its drawings itself, and says by its content security policy that it loads nothing. Texts
are escaped by the template engine, whoever wrote them.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.pages.diagram import SPAN, VALUE, drawing
from engine.review.text import differing, impact_sentence, review_summary, to_decide
from engine.text import plural, short

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = Path(__file__).parent / "html"


def render_page(name: str, **values: Any) -> str:
    """The page ``name`` of the engine's templates."""
    return page_environment().get_template(name).render(**values)


def long_values(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """A value before and after; of long ones what is around the first and the last difference."""
    if max(len(before or ""), len(after or "")) <= VALUE:
        return before, after
    return differing(before or "", after or "")


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """A unified diff as its lines, each with what it is: ``file``, ``place``, ``added``, ``removed`` or ``same``."""
    kinds = {"+++": "file", "---": "file", "@@ ": "place"}
    signs = {"+": "added", "-": "removed"}
    return [(kinds.get(line[:3]) or signs.get(line[:1], "same"), line) for line in diff.splitlines()]


def _hashed(text: str) -> str:
    """What a content security policy calls an inline script or style that it lets through."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def page_environment() -> Environment:
    """The templates of the pages, with escaping on and the functions that they call."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "drawing": drawing,
        "diff_lines": diff_lines,
        "differing": differing,
        "long_values": long_values,
        "sentence": impact_sentence,
        "summary": review_summary,
        "to_decide": to_decide,
        "plural": plural,
        "style": (FOLDER / "page.css").read_text("utf-8"),
        "script": (FOLDER / "search.js").read_text("utf-8"),
        "hashed": _hashed,
        "span": SPAN,
        "value_length": VALUE,
    }
    environment.filters["zip"] = zip
    environment.globals["dict"] = dict
    environment.filters["as_json"] = lambda value: json.dumps(value, ensure_ascii=False, default=str)
    environment.filters["shortened"] = short
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment
