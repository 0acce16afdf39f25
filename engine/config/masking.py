"""Passwords and tokens that are written out in ``project.toml``, kept out of everything that shows the file."""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"""(?i)([\w-]*(?:password|token|secret)[\w-]*\s*=\s*)("(?!\$\{)[^"]+"|'(?!\$\{)[^']+')""")

_WRITTEN_IN_CONNECTION = re.compile(
    r"""(?i)\b((?:pwd|password)\s*=\s*)(?!\$\{)(\{(?:[^}]|\}\})*\}|[^;{}\s"'][^;"']*)"""
)


def without_passwords(text: str) -> str:
    """Lines of a ``project.toml`` with ``***`` for the passwords and tokens that are written out in them."""
    return _WRITTEN_IN_CONNECTION.sub(r"\1***", _WRITTEN.sub(r'\1"***"', text))
