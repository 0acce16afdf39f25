"""Keep what a request held of people out of what is printed of its answer.

Stock2Shop's words are worth reading, and they may repeat a customer's name or address in another spelling than it was
sent in: with other escapes, without accents, in capitals, in part. So a word is printed only where it cannot be one of
the values that were sent, and where that cannot be told, only the words that are known to be Stock2Shop's own.
"""

from __future__ import annotations

import html
import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

from engine.model.fields import ENTITIES, MASK

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_TEXT_CHARACTERS = 5_000
"""Characters of an answer that are looked at; far fewer are printed."""

_SENTENCES = """
    a accept accepted accepts account active add address addresses again allowed already an and any are as at
    bad be been before blocked but by can cannot character characters check code codes column contact could
    create created customer customers data database date delete deleted denied did disabled do does due
    duplicate e-mail each either else email empty enabled error errors exist exists expected failed field fields
    first for forbidden format found from given group had has have id if ignored in internal into invalid is it
    item items its json key last least length limit list login long longer mail malformed many maximum may meta
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

_CODED = re.compile(r"[A-Za-z0-9+/_-]{4,}={1,2}|\b(?:\w{1,2}\b\W+){3,}\w{1,2}\b")
"""Base64 with its padding, and letters that are set apart."""

_MIN_PART_CHARACTERS = 2
"""A shorter word is a part of nearly every value."""

_MIN_WHOLE_CHARACTERS = 4
"""A shorter value is found in nearly every text whose blanks are left out."""

_MIN_CODED_CHARACTERS = 6
"""A word of letters and digits that is as long may be a value in a code such as Base64."""

_MIN_SHARED_DIGITS = 5
"""Numbers that share so many digits in a row may be the same telephone number, with another prefix."""


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
    numbers = {"".join(filter(str.isdigit, value)) for value in texts} - {""}

    def hide(match: re.Match[str]) -> str:
        word = match.group()
        return MASK if any(_may_be(form, whole, parts, numbers) for form in _forms(word)) or _is_code(word) else word

    hidden = _WORD.sub(hide, _CODED.sub(MASK, _decode(text[:MAX_TEXT_CHARACTERS])))
    hidden = re.sub(rf"{re.escape(MASK)}(?:[\s'\u2019-]+{re.escape(MASK)})+", MASK, hidden)
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
    if form.isdigit() and any(_share_digits(form, number) for number in numbers):
        return True
    if form in _OWN_WORDS or len(form) < _MIN_PART_CHARACTERS:
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


def _decode(text: str) -> str:
    """``text`` without escapes of JSON, addresses and HTML, and without UTF-8 that was read as Latin-1."""
    for _ in range(4):
        before = text
        text = re.sub(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})", _unescape, text)
        text = re.sub(r"\\([/\"'\\])", r"\1", text)
        text = html.unescape(unquote(text, errors="replace"))
        text = re.sub(r"[\u0080-\u00ff]{2,}", _repair, text)
        if text == before:
            break
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match.group(1) or match.group(2), 16))


def _repair(match: re.Match[str]) -> str:
    try:
        return match.group().encode("latin-1").decode()
    except UnicodeDecodeError:
        return match.group()
