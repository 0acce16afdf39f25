"""Make HTML of templates and values. All text is escaped; no page carries a script or a style of its own."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from engine.clock import local_text, now
from engine.html_templates import HtmlTemplates
from engine.orders.plan import display_value
from engine.status.collect import age_text
from engine.text import plural, short

TEMPLATE_FOLDER = Path(__file__).parent / "html"

NONE = "\u2013"
"""What stands for a number that there is none of."""

FILES = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}
"""The files that pages load, and their types."""


@cache
def load_file(name: str) -> bytes:
    """A file that pages load."""
    return (TEMPLATE_FOLDER / name).read_bytes()


@cache
def file_version(name: str) -> str:
    """What a file's address ends with: another one once it has changed."""
    return hashlib.sha256(load_file(name)).hexdigest()[:12]


def render(template: str, **values: Any) -> str:
    """Render a template."""
    return _templates().render(template, **values)


@cache
def _templates() -> HtmlTemplates:
    filters = {
        "number": _number,
        "seconds": _seconds,
        "when": _when,
        "whole": lambda moment: local_text(_moment(moment)),
        "machine": _machine_text,
        "age": lambda moment: age_text(now() - _moment(moment)),
        "part": lambda text: quote(str(text), safe="", errors="replace"),
        "shortened": short,
        "value": display_value,
    }
    functions = {"plural": plural, "file_version": file_version}
    return HtmlTemplates(TEMPLATE_FOLDER, filters=filters, functions=functions)


def _number(value: float | None) -> str:
    """A count as it is read: 1,234; a dash where there is none."""
    return NONE if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    """How long something took.

    >>> _seconds(0.25), _seconds(75), _seconds(7200)
    ('0.3 s', '75 s', '120 min')
    """
    if value is None:
        return NONE
    if value < 10:  # noqa: PLR2004 - tenths matter
        return f"{value:,.1f} s"
    return age_text_of_seconds(value)


def age_text_of_seconds(seconds: float) -> str:
    """Seconds, or minutes from two of them on."""
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"  # noqa: PLR2004 - two minutes


def _when(moment: datetime | str) -> str:
    """A time in UTC as people read it, in this machine's zone: ``14:02``, ``27 Nov 14:02``, ``27 Nov 2025``."""
    local = _moment(moment).replace(tzinfo=timezone.utc).astimezone()
    today = datetime.now(timezone.utc).astimezone()
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local.day} {local:%b %H:%M}" if local.year == today.year else f"{local.day} {local:%b %Y}"


def _machine_text(moment: datetime | str) -> str:
    """A time in UTC as machines read it."""
    return _moment(moment).replace(tzinfo=timezone.utc).isoformat(timespec="seconds")


def _moment(moment: datetime | str) -> datetime:
    """A time in UTC without a zone; ledgers and the audit log have it as text."""
    if not isinstance(moment, str):
        return moment
    found = datetime.fromisoformat(moment)
    return found if found.tzinfo is None else found.astimezone(timezone.utc).replace(tzinfo=None)
