"""What an answer repeats of a person is not printed, in whatever spelling; what Stock2Shop says itself is."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.stock2shop.personal_data import hide_personal, own_words

if TYPE_CHECKING:
    from collections.abc import Callable

PERSON = (
    "Zoë",
    "van der Merwe",
    "zoë.vdm@example.co.za",
    "12 Loop Street, Gardens",
    "+27 82 555 1234",
    "Müller & Söhne",
)

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON in JSON": lambda text: json.dumps(json.dumps(text))[1:-1],
    "address": quote,
    "address twice": lambda text: quote(quote(text)),
    "form": lambda text: quote(text).replace("%20", "+"),
    "HTML": lambda text: "".join(f"&#{ord(letter)};" if ord(letter) > 127 else html.escape(letter) for letter in text),
    "HTML in hexadecimal": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "capitals": str.upper,
    "small letters": str.lower,
    "without accents": lambda text: text.replace("ë", "e").replace("ü", "u").replace("ö", "o"),
    "two letters for one": lambda text: text.replace("ü", "ue").replace("ö", "oe"),
    "decomposed": lambda text: text.replace("ë", "e\u0308").replace("ü", "u\u0308").replace("ö", "o\u0308"),
    "Latin-1": lambda text: text.encode().decode("latin-1"),
    "without blanks": lambda text: re.sub(r"\W", "", text),
    "with dashes": lambda text: re.sub(r"\W+", "-", text),
    "cut": lambda text: text[: len(text) * 2 // 3],
    "its end": lambda text: text[len(text) // 3 :],
    "JavaScript": lambda text: "".join(f"%u{ord(letter):04x}" for letter in text),
    "code points": lambda text: "".join(f"\\u{{{ord(letter):x}}}" for letter in text),
    "named code points": lambda text: " ".join(f"U+{ord(letter):04X}" for letter in text),
    "octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "quoted-printable": lambda text: "".join(f"={byte:02X}" for byte in text.encode()),
    "quoted-printable blanks": lambda text: text.replace(" ", "=20"),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal bytes": lambda text: text.encode().hex(" "),
    "decimal bytes": lambda text: " ".join(map(str, text.encode())),
    "Windows-1252": lambda text: text.encode().decode("cp1252", "replace"),
    "full width": lambda text: "".join(
        chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text
    ),
    "backwards": lambda text: text[::-1],
    "over lines": lambda text: text.replace(" ", "\n"),
    "over lines in a word": lambda text: f"{text[: len(text) // 2]}\n{text[len(text) // 2 :]}",
    "divided at the end of a line": lambda text: f"{text[: len(text) // 2]}-\r\n{text[len(text) // 2 :]}",
    "in pieces": lambda text: '" "'.join(text[start : start + 3] for start in range(0, len(text), 3)),
    "letter by letter": ".".join,
    "invisible characters": "\u200b".join,
    "Base64 without padding": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "Base64 over lines": lambda text: re.sub("(.{6})", r"\1\n", base64.b64encode(text.encode()).decode()),
    "Base64": lambda text: base64.b64encode(text.encode()).decode(),
}

TELLTALE = re.compile(r"(?i)zo[eë]|merwe|vdm|example|loop|gardens|555|1234|m[uü]|s[oö]hn|soeh")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", PERSON)
def test_a_value_is_hidden_in_every_spelling(spelling: str, value: str) -> None:
    """With what is around it kept."""
    shown = hide_personal(f"The customer {SPELLINGS[spelling](value)} is already taken.", PERSON)
    assert TELLTALE.search(shown) is None
    assert shown.startswith("The customer ")
    assert "***" in shown
    assert shown.endswith("is already taken.")


@pytest.mark.parametrize(
    "text",
    [
        "email is not valid",
        'The field "source_customer_code" is missing: 3 items were not queued.',
        "Customer C0815 was blocked by support on 2026-03-02",
        "Quota exceeded, please upgrade your plan",
    ],
)
def test_what_stock2shop_says_itself_is_kept(text: str) -> None:
    """It is what somebody needs to find the fault."""
    assert hide_personal(text, PERSON) == text


def test_a_telephone_number_is_hidden_with_another_prefix() -> None:
    """As it may be stored."""
    assert hide_personal("0825551234 and 27825551234 exist", PERSON) == "*** and *** exist"


@pytest.mark.parametrize(
    "number", ["082-555-1234", "(082) 555 12 34", "0 8 2 5 5 5 1 2 3 4", "0825\n551234", "00278255 51234"]
)
def test_a_telephone_number_is_hidden_with_other_blanks(number: str) -> None:
    """However it is set."""
    assert re.search(r"[0-9]{2}", hide_personal(f"Call {number} first", PERSON)) is None


@pytest.mark.parametrize("spelling", ["JSON", "HTML in hexadecimal", "hexadecimal", "Base64", "Base64 without padding"])
@pytest.mark.parametrize("name", ["Jo", "Li", "\u738b\u5c0f\u660e", "\u0418\u0432\u0430\u043d"])
def test_a_short_name_is_hidden_too(name: str, spelling: str) -> None:
    """Two letters, or three that are a whole name."""
    assert hide_personal(f"Not so: {SPELLINGS[spelling](name)}!", [name]) == "Not so: ***!"


def test_letters_that_are_set_apart_are_hidden() -> None:
    """Nobody writes four words of one letter in a row."""
    assert hide_personal("no plan for l o o p s t r e e t 12", PERSON) == "no plan for ***"


def test_nothing_is_hidden_where_nothing_is_personal() -> None:
    """A product's refusal is Stock2Shop's own, whatever it repeats."""
    text = r"Bad SKU %41 \u0041 &amp; QWxhZGRpbjpvcGVu"
    assert hide_personal(text, [None, "", True]) == text


def test_only_known_words_are_kept_where_the_values_are_not_known() -> None:
    """What is read back of customers may hold anybody's name."""
    assert own_words("The customer Thandi Example has no email") == "The customer *** has no email"


@given(st.text(min_size=4, max_size=30), st.sampled_from(sorted(SPELLINGS)), st.text(max_size=20))
def test_no_value_is_to_be_read_in_what_is_shown(value: str, spelling: str, around: str) -> None:
    """Of any text in any script: not whole, with the blanks left out of both."""
    shown = hide_personal(f"{around} {SPELLINGS[spelling](value)} {around}", [value])
    folded = "".join(letter for letter in value.casefold() if letter.isalnum())
    if len(folded) >= 4 and folded not in "".join(letter for letter in around.casefold() if letter.isalnum()):
        assert folded not in "".join(letter for letter in shown.casefold() if letter.isalnum())
