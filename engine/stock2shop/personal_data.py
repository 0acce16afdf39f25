"""Keep what a request held of people out of what is printed of its answer.

Stock2Shop's words are worth reading, and they may repeat a customer's name or address in another spelling than it was
sent in: with other escapes, without accents, in capitals, in part. So a word is printed only where it cannot be one of
the values that were sent, and where that cannot be told, only the words that are known to be Stock2Shop's own.
"""

from __future__ import annotations

import base64
import html
import re
import sys
import unicodedata
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote

from engine.model.fields import ENTITIES, MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_TEXT_CHARACTERS = 5_000
"""Characters of an answer that are looked at; far fewer are printed."""

_SENTENCES = """
    a accept accepted accepts account active add address addresses again allowed already an and any are as at
    bad be been before blocked but by can cannot character characters check code codes column contact could
    create created customer customers data database date delete deleted denied did disabled do does due
    duplicate e-mail each either else email empty enabled error errors exist exists expected failed field fields
    first for forbidden format found from given group had has have id if ignored in internal into invalid is it
    item items its json key last least length limit list login long longer mail malformed many maximum may message meta
    method minimum missing more most must name need needs no none not null number of on one only or order orders
    other our out over param parameter payload permission phone please price product products queue queued
    refused reject rejected request required rights row rows rules same server short should so source sources
    status stock2shop support sync system taken text than that the their there these this tier to token too try
    type unauthorized unexpected unique unknown up update updated use used user valid validation value values
    warehouse was were when which while with without wrong you your zip
"""

_OWN_WORDS = frozenset(_SENTENCES.split()) | {
    part
    for entity in ENTITIES.values()
    for name in entity.names()
    for part in re.findall(r"[a-z]+", name.replace("NAME", " ").lower())
}
"""Words that Stock2Shop's messages are made of, and the names of its fields."""

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"})

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")

_PADDED = re.compile(r"[A-Za-z0-9+/_-]{4,}={1,2}")
"""Base64 with its padding."""

_SET_APART = re.compile(r"\b(?:\w{1,2}\b\W+){3,}\w{1,2}\b")
"""Letters that are set apart."""

_MIN_PART_CHARACTERS = 2
"""A shorter word is a part of nearly every value."""

_FIRST_IDEOGRAPH = "\u2e80"
"""From here on a single character is a part of a name."""

_MIN_WHOLE_CHARACTERS = 4
"""A shorter value is found in nearly every text whose blanks are left out."""

_MIN_CODED_CHARACTERS = 6
"""A word of letters and digits that is as long may be a value in a code such as Base64."""

_MIN_SHARED_DIGITS = 5
"""Numbers that share so many digits in a row may be the same telephone number, with another prefix."""


_MOJIBAKE = "\u0080-\u00ff" + bytes({*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("cp1252")
"""Characters that UTF-8 becomes where it is read as Latin-1 or as Windows-1252."""

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{2,}=*(?:\r?\n[A-Za-z0-9+/_-]+=*)*")

_HEXADECIMAL = re.compile(r"\b(?:0x)?[0-9A-Fa-f]{2}(?:[\s:,.-]*[0-9A-Fa-f]{2})+\b")

_DECIMAL = re.compile(r"\b\d{2,3}(?:[\s:,.-]+\d{2,3}\b)+")

_MAX_PIECES = 6
"""A value that is spread over more words is found whole, with the blanks left out."""


def hide_personal(text: str, values: Iterable[object]) -> str:
    r"""``text`` with ``***`` in place of every word that may be a part of one of ``values``.

    >>> hide_personal(r"zo\u00eb%40example.com is taken, ZOE!", ["Zoë", "zoë@example.com"])
    '***@***.*** is taken, ***!'
    """
    texts = {str(value) for value in values if value not in {None, "", True, False}}
    if not texts:
        return text
    whole = {form for value in texts for form in _forms(value)}
    parts = {form for value in texts for word in _WORD.findall(value) for form in _forms(word)}
    parts |= {form[::-1] for form in whole | parts if len(form) > _MIN_PART_CHARACTERS}
    numbers = {"".join(filter(str.isdigit, value)) for value in texts} - {""}

    def is_personal(word: str) -> bool:
        return any(_may_be(form, whole, parts, numbers) for form in _forms(word))

    def hide(match: re.Match[str]) -> str:
        return MASK if is_personal(match.group()) or _is_code(match.group()) else match.group()

    def hide_code(match: re.Match[str]) -> str:
        decoded = [word for each in _decodings(match.group()) for word in _WORD.findall(each)]
        told = any(is_personal(word) for word in decoded if len(word) >= _MIN_PART_CHARACTERS or not word.isascii())
        return MASK if told else match.group()

    hidden = _decode(text[:MAX_TEXT_CHARACTERS])
    for codes in (_BASE64, _HEXADECIMAL, _DECIMAL):
        hidden = codes.sub(hide_code, hidden)
    hidden = _hide_pieces(_SET_APART.sub(_hide_letters, _PADDED.sub(MASK, hidden)), whole | parts)
    hidden = _WORD.sub(hide, hidden)
    # A letter or the end of a line beside what is hidden is a part of it.
    hidden = re.sub(
        rf"(?<!\w)[^\W_][\W_]{{0,2}}(?={re.escape(MASK)})|(?<={re.escape(MASK)})[\W_]{{0,2}}[^\W_]\b", MASK, hidden
    )
    hidden = re.sub(rf"{re.escape(MASK)}(?:[\s'\u2019-]*{re.escape(MASK)})+", MASK, hidden)
    left = {"".join(forms) for forms in zip(*(_forms(word) for word in _WORD.findall(hidden)), strict=True)}
    if any(len(value) >= _MIN_WHOLE_CHARACTERS and value in rest for value in whole for rest in left):
        return own_words(hidden)
    return hidden


def own_words(text: str) -> str:
    """``text`` with ``***`` in place of every word that is not known to be Stock2Shop's own."""
    hidden = _WORD.sub(
        lambda match: match.group() if match.group().lower() in _OWN_WORDS else MASK,
        _decode(text[:MAX_TEXT_CHARACTERS]),
    )
    return re.sub(rf"{re.escape(MASK)}(?:[^\w]+{re.escape(MASK)})+", MASK, hidden)


def _may_be(form: str, whole: set[str], parts: set[str], numbers: set[str]) -> bool:
    """Whether a word of the form ``form`` may be one of the values, a part of one, or hold one."""
    if form in whole or form in parts:
        return True
    if form.isdigit():
        form = form.lstrip("0") or form
    if form.isdigit() and any(_share_digits(form, number) for number in numbers):
        return True
    if form in _OWN_WORDS or (len(form) < _MIN_PART_CHARACTERS and form < _FIRST_IDEOGRAPH):
        return False
    return any(form in value for value in whole) or any(
        len(value) >= _MIN_WHOLE_CHARACTERS and value in form for value in whole | parts
    )


def _share_digits(one: str, other: str) -> bool:
    length = _MIN_SHARED_DIGITS
    return any(one[place : place + length] in other for place in range(len(one) - length + 1))


def _is_code(word: str) -> bool:
    """Whether ``word`` reads like a value in a code: letters and digits mixed, or capitals inside, or what was lost."""
    if "\ufffd" in word:
        return True
    mixed = any(letter.isdigit() for letter in word) and any(letter.isalpha() for letter in word)
    inner = any(letter.isupper() for letter in word[1:]) and any(letter.islower() for letter in word)
    return len(word) >= _MIN_CODED_CHARACTERS and (mixed or inner)


def _forms(text: str) -> tuple[str, str]:
    """``text`` in letters and digits alone, without case and accents; umlauts as one letter, and as two."""
    lower = unicodedata.normalize("NFC", text).casefold()
    return _plain(lower.translate(_LETTERS)), _plain(lower.translate(_UMLAUTS).translate(_LETTERS))


def _plain(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if letter.isalnum())


def _hide_letters(match: re.Match[str]) -> str:
    """Hide letters that are set apart, without the short words of a sentence before and after them."""
    words = [word for word in _WORD.finditer(match.group()) if word.group().lower() not in _OWN_WORDS]
    if len(words) < _MIN_WHOLE_CHARACTERS:
        return match.group()
    return match.group()[: words[0].start()] + MASK + match.group()[words[-1].end() :]


def _hide_pieces(text: str, forms: set[str]) -> str:
    """``text`` with what is one of ``forms`` once a few words that follow one another are joined."""
    words = list(_WORD.finditer(text))
    plain = [_forms(word.group())[0] for word in words]
    hidden: set[int] = set()
    for first in range(len(words)):
        for last in range(first + 1, min(first + _MAX_PIECES, len(words))):
            joined = "".join(plain[first : last + 1])
            if len(joined) >= _MIN_PART_CHARACTERS and joined in forms and joined not in _OWN_WORDS:
                hidden.update(range(first, last + 1))
    for number in sorted(hidden, reverse=True):
        text = text[: words[number].start()] + MASK + text[words[number].end() :]
    return text


def _decodings(text: str) -> Iterator[str]:
    """What ``text`` says where it is a code of bytes: Base64, on one line or from one of its lines on, or numbers."""
    lines = text.split()
    bodies = {"".join(lines[first:]) for first in range(len(lines))} | set(lines)
    for body in bodies:
        letters = body.rstrip("=").translate(str.maketrans("-_", "+/"))
        with suppress(ValueError):
            yield base64.b64decode(letters + "=" * (-len(letters) % 4)).decode()
    with suppress(ValueError):
        yield bytes.fromhex(re.sub(r"0x|[^0-9A-Fa-f]", "", text)).decode()
    with suppress(ValueError):
        yield bytes(map(int, re.findall(r"\d+", text))).decode()


def _decode(text: str) -> str:
    """``text`` without escapes of any language that is common, and without UTF-8 that was read as Latin-1."""
    for _ in range(4):
        before = text
        text = re.sub(
            r"(?:\\+|%)[uU]\{?([0-9a-fA-F]{4,8})\}?|\\+u\{([0-9a-fA-F]{1,6})\}|\\+x([0-9a-fA-F]{2})", _unescape, text
        )
        text = re.sub(r"U\+([0-9A-Fa-f]{4,6})(?:\s(?=U\+))?", _unescape, text)
        text = re.sub(r"(?:\\[0-3][0-7]{2})+", lambda match: _bytes_text(match, 8), text)
        text = re.sub(r"(?:=[0-9A-F]{2}){2,}", lambda match: _bytes_text(match, 16), text).replace("=20", " ")
        text = re.sub(r"\\([/\"'\\])", r"\1", text)
        text = html.unescape(unquote(text, errors="replace"))
        text = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
        text = re.sub(rf"[{_MOJIBAKE}]{{2,}}", _repair, text)
        if text == before:
            break
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape(match: re.Match[str]) -> str:
    number = int(next(filter(None, match.groups())), 16)
    return chr(number) if number <= sys.maxunicode else "\ufffd"


def _bytes_text(match: re.Match[str], base: int) -> str:
    numbers = re.findall(r"[0-9A-F]+", match.group())
    return bytes(int(number, base) for number in numbers).decode(errors="replace")


def _repair(match: re.Match[str]) -> str:
    for encoding in ("latin-1", "cp1252"):
        with suppress(UnicodeError):
            return match.group().encode(encoding).decode()
    return match.group()
