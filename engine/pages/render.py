"""Render HTML pages that consist of one file, load nothing from a network, and can be printed.

Style, script and diagrams are part of the page, and its content security policy forbids everything else. The template
engine escapes all text.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import Any

from engine.html_templates import HtmlTemplates
from engine.pages.chart import BAR_HEIGHT, LABEL_WIDTH, change_chart
from engine.pages.diagram import COLUMN_GAP, MAX_VALUE_LETTERS, lineage_diagram, lineage_list
from engine.review.decisions import decisions, no_decisions, verdict
from engine.review.samples import changed_part
from engine.review.text import impact_sentence, review_summary
from engine.text import plural, short

TEMPLATE_FOLDER = Path(__file__).parent / "html"


def render_page(name: str, **values: Any) -> str:
    """Render the template ``name`` with ``values``."""
    return _templates().render(name, **values)


def changed_values(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """A value before and after; long ones are cut to what is around the difference."""
    if max(len(before or ""), len(after or "")) <= MAX_VALUE_LETTERS:
        return before, after
    return changed_part(before or "", after or "")


def diff_lines(diff: str) -> list[tuple[str, str]]:
    """The lines of a unified diff, each with its kind: ``file``, ``place``, ``added``, ``removed`` or ``same``."""
    kinds = {"+++": "file", "---": "file", "@@ ": "place"}
    signs = {"+": "added", "-": "removed"}
    return [(kinds.get(line[:3]) or signs.get(line[:1], "same"), line) for line in diff.splitlines()]


def _csp_hash(text: str) -> str:
    """The source expression of a content security policy that allows this inline script or style."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _templates() -> HtmlTemplates:
    functions = {
        "lineage_diagram": lineage_diagram,
        "lineage_list": lineage_list,
        "change_chart": change_chart,
        "label_width": LABEL_WIDTH,
        "bar_height": BAR_HEIGHT,
        "diff_lines": diff_lines,
        "changed_part": changed_part,
        "changed_values": changed_values,
        "sentence": impact_sentence,
        "summary": review_summary,
        "decisions": decisions,
        "no_decisions": no_decisions,
        "verdict": verdict,
        "plural": plural,
        "style": (TEMPLATE_FOLDER / "page.css").read_text("utf-8"),
        "script": (TEMPLATE_FOLDER / "search.js").read_text("utf-8"),
        "csp_hash": _csp_hash,
        "span": COLUMN_GAP,
        "value_length": MAX_VALUE_LETTERS,
        "dict": dict,
    }
    filters = {
        "zip": zip,
        "as_json": lambda value: json.dumps(value, ensure_ascii=False, default=str),
        "shortened": short,
        "number": lambda value: f"{value:,}",
    }
    return HtmlTemplates(TEMPLATE_FOLDER, filters=filters, functions=functions)
