"""What is a blank, what is invisible, and when two texts count as the same: one definition for Python and for DuckDB.

The sets follow Unicode's properties White_Space and Default_Ignorable_Code_Point. Python uses :func:`clean` and
:func:`fold`; the macros of the same names in ``sync/sql/canonical.sql`` are written with the classes here, and a
property test holds both equal.
"""

from __future__ import annotations

import re
import unicodedata

_Ranges = tuple[tuple[int, int], ...]

_HTML_LINES = ((0x09, 0x0A), (0x0D, 0x0D))
"""Tabs and line ends as HTML has them."""

_ODD_LINES = ((0x0B, 0x0C), (0x85, 0x85), (0x2028, 0x2029))
"""Other line ends."""

_BLANKS: _Ranges = ((0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x202F, 0x202F), (0x205F, 0x205F))
_BLANKS = (*_BLANKS, (0x3000, 0x3000))

_CONTROLS = ((0x00, 0x08), (0x0E, 0x1F), (0x7F, 0x84), (0x86, 0x9F))
_FORMATS: _Ranges = ((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180E, 0x180E))
_FORMATS = (*_FORMATS, (0x200B, 0x200B), (0x200E, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164))
_FORMATS = (*_FORMATS, (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A))
_FORMATS = (*_FORMATS, (0xE0000, 0xE001F))
"""What has no width and no meaning in a value: soft hyphens, marks of direction, byte order marks."""

_JOINERS = ((0x200C, 0x200D),)
_SELECTORS = ((0x180B, 0x180D), (0x180F, 0x180F), (0xFE00, 0xFE0F), (0xE0020, 0xE007F), (0xE0100, 0xE01EF))
"""What chooses between two shapes of the character before it, as of an emoji."""

_COMPLEX = ((0x300, 0x1FFF), (0x2190, 0x10FFFF))
"""Scripts and emoji in which joiners and selectors have a meaning; beside Latin letters and digits they have none."""


def _members(ranges: _Ranges) -> str:
    return "".join(
        rf"\x{{{first:x}}}" if first == last else rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in ranges
    )


_SIMPLE = f"[^{_members((*_JOINERS, *_COMPLEX))}]"

SQL_CLASSES = {
    "unclean": f"[{_members((*_HTML_LINES, *_ODD_LINES, *_CONTROLS, *_FORMATS, *_JOINERS, *_SELECTORS))}]",
    "unclean_html": f"[{_members((*_ODD_LINES, *_CONTROLS, *_FORMATS, *_JOINERS, *_SELECTORS))}]",
    "line_breaks": f"[{_members((*_HTML_LINES, *_ODD_LINES))}]+",
    "line_breaks_in_html": f"[{_members(_ODD_LINES)}]+",
    "invisible": f"[{_members((*_CONTROLS, *_FORMATS))}]+",
    "stray_shaping": f"(^|{_SIMPLE})[{_members((*_JOINERS, *_SELECTORS))}]+",
    "stray_joiners": f"[{_members(_JOINERS)}]+($|{_SIMPLE})",
    "shaping": f"[{_members((*_JOINERS, *_SELECTORS))}]+",
    "blanks": f"[{_members(_BLANKS)}]+",
}
"""Regular expressions as DuckDB's RE2 writes them, by their names in the engine's SQL."""


def _python(pattern: str) -> str:
    return re.sub(r"\\x\{([0-9a-f]+)\}", lambda code: rf"\U{int(code[1], 16):08x}", pattern)


_PATTERNS = {name: re.compile(_python(pattern)) for name, pattern in SQL_CLASSES.items()}

_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
"""Letters and digits of full width, as East Asian keyboards write them."""

WIDE_LETTERS = ("".join(map(chr, _WIDE)), "".join(map(chr, _WIDE.values())))
"""The letters of full width, and the plain ones in their order."""


def clean(text: str) -> str:
    r"""``text`` without what cannot be seen: control characters, marks without a width, and stray joiners.

    Tabs and line ends become one blank. Joiners and selectors stay inside of scripts and emoji that need them.

    >>> clean("AB\u200b-1\r\n")
    'AB-1 '
    """
    if not _PATTERNS["unclean"].search(text):
        return text
    text = _PATTERNS["invisible"].sub("", _PATTERNS["line_breaks"].sub(" ", text))
    return _PATTERNS["stray_joiners"].sub(r"\1", _PATTERNS["stray_shaping"].sub(r"\1", text))


def trim(text: str) -> str:
    """``text`` without blanks at its ends, Unicode's blanks among them."""
    return text.strip("".join(chr(code) for first, last in _BLANKS for code in range(first, last + 1)))


def without_case(text: str) -> str:
    """``text`` in lower case by way of upper case, by Unicode's simple folding: a character for a character.

    >>> without_case("AKTİF"), without_case("ς") == without_case("Σ")
    ('aktif', True)
    """
    return "".join(_lower(_upper(letter)) for letter in text)


def fold(text: str) -> str:
    r"""The form in which texts are compared that must be unique: cleaned and trimmed, without case.

    Letters are composed (NFC) and of plain width, each run of blanks is one blank, and nothing is left that shapes the
    character before it. Case is as in :func:`without_case`: ``ß`` is not ``ss``.

    >>> fold(" Ab\u00a0 1\u200e") == fold("AB 1")
    True
    """
    shaped = _PATTERNS["shaping"].sub("", clean(text))
    plain = unicodedata.normalize("NFC", shaped).translate(_WIDE)
    return trim(_PATTERNS["blanks"].sub(" ", without_case(plain)))


def _upper(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 else letter


def _lower(letter: str) -> str:
    return letter.lower()[0]


VISIBLE_CODES = {
    code: f"\\u{code:04x}"
    for first, last in (*_CONTROLS, *_ODD_LINES, *_FORMATS, *_JOINERS, *_BLANKS[1:], (0x0D, 0x0D))
    for code in range(first, last + 1)
    if code <= 0xFFFF  # noqa: PLR2004 - JSON writes more than four digits as a pair
}
"""Every character that cannot be seen, or that looks like a plain blank, with its number as JSON writes it."""
