"""Checks of single values of ``project.toml``, each a plain function that pydantic calls.

A value goes in as TOML has it and comes out as the settings have it. One that breaks a rule raises
:class:`InvalidValueError`, whose messages and hints reach the user as they are.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.characters import clean, trim, without_case
from engine.model.fields import ACTIVE_WORDS
from engine.model.settings import Limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.settings import Flag

DIALECTS = {
    "tsql": "tsql",
    "sqlserver": "tsql",
    "mssql": "tsql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "postgres": "postgres",
    "postgresql": "postgres",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "oracle": "oracle",
    "snowflake": "snowflake",
    "redshift": "redshift",
    "bigquery": "bigquery",
    "access": "access",
    "pervasive": "pervasive",
    "hana": "hana",
    "firebird": "firebird",
}
"""What a project may call its database's SQL, and the name that the engine goes by."""

FLAGS: tuple[Flag, ...] = ("Active", "Delete", "Ignore")
"""What a row of a view can be."""

STOCK2SHOP_URL = "https://app.stock2shop.com/v1"
"""Stock2Shop's own address, from its developer pages."""

PATH_PATTERN = r"^/[\w./-]+$"
"""A path below Stock2Shop's address."""

URL_PATTERN = r"^([Hh][Tt]{2}[Pp][Ss]://[^@/]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/.*)?$"
"""What :func:`check_url` accepts, for editors."""

ODBC_KEYS = {
    "duckdb": ("encoding", "decoding", "wide_decoding", "attributes", "connect_timeout"),
    "sqlite": ("encoding", "wide_decoding", "attributes"),
}
"""Keys of ``[source]`` that have no effect on a ``database`` file, by its dialect."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine itself."""


class InvalidValueError(ValueError):
    """A value breaks one rule or several; ``problems`` are pairs of a message and a hint."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__(problems[0][0])
        self.problems = problems


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"Did you mean NAME? "`` for the closest of ``known`` in any case, or nothing where none is close."""
    close = get_close_matches(word.lower(), {name.lower(): name for name in known}, n=1)
    return next((f"Did you mean {name}? " for name in known if close and name.lower() == close[0]), "")


def check_encoding(word: str | None) -> str | None:
    """A text encoding that Python knows, or None."""
    if word is not None:
        try:
            codecs.lookup(word)
        except LookupError:
            raise InvalidValueError(
                (
                    f"{word!r} is not an encoding that Python knows.",
                    'Write one such as "utf-8", "cp1252" or "utf-16le".',
                )
            ) from None
    return word


def check_dialect(word: str) -> str:
    """A name of :data:`DIALECTS`."""
    if word not in DIALECTS:
        raise InvalidValueError(
            (
                f"{word!r} is not a dialect that s2s knows.",
                f"{did_you_mean(word, DIALECTS)}Known are: {', '.join(DIALECTS)}.",
            )
        )
    return word


def check_optional_dialect(word: str | None) -> str | None:
    """A name of :data:`DIALECTS`, or None."""
    return None if word is None else check_dialect(word)


def check_words(text: str) -> str:
    """A text that says something: a blank one is a part of every text."""
    if not text.strip():
        raise InvalidValueError(
            ("A blank text is a part of every message.", "Write words that such messages alone have, or leave it out.")
        )
    return text


def check_timezone(name: str) -> str:
    """A time zone of the IANA database."""
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # an unknown one is a KeyError, a folder an OSError
        raise InvalidValueError((f"{name!r} is not a time zone.", 'Write one such as "Africa/Johannesburg".')) from None
    return name


def check_optional_timezone(name: str | None) -> str | None:
    """A time zone of the IANA database, or None."""
    return None if name is None else check_timezone(name)


def check_url(text: str) -> str:
    """A web address without a login in it: https, or http on this machine."""
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in {"http", "https"} or not host:
        raise InvalidValueError(("This is not a web address.", "Leave it out to use Stock2Shop's own."))
    if "@" in url.netloc:
        raise InvalidValueError(
            (
                "The address holds a user name.",
                "Write username and password as keys of their own, with ${NAME} for each.",
            )
        )
    if url.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise InvalidValueError(("Plain http would send the password unencrypted.", "Write https://."))
    return text


def check_path(text: str | None) -> str | None:
    """A path below Stock2Shop's address, or None."""
    if text is not None and not re.fullmatch(PATH_PATTERN, text):
        raise InvalidValueError(
            (f"{text!r} is not a path below Stock2Shop's address.", 'Write it as "/customers/queue".')
        )
    return text


def flag_word(word: str) -> str:
    """``word`` as the rows' words are compared with it: clean, trimmed, without case, and 1.00 as 1.

    The macro of the same name in ``sync/sql/canonical.sql`` does so to what a row has, once that is clean.
    """
    return re.sub(r"^(-?[0-9]+)\.0+$", r"\1", without_case(trim(clean(word))))


def active_words(table: dict[str, list[str]]) -> dict[str, Flag]:
    """Each word of the active flag with its meaning: the project's own words over the default ones.

    Words come out as they are compared, see :func:`flag_word`: ``{"Delete": [" No "]}`` adds ``{"no": "Delete"}``.
    """
    problems: list[tuple[str, str]] = []
    own: dict[str, Flag] = {}
    for name, words in table.items():
        flag = next((flag for flag in FLAGS if flag == name), None)
        if flag is None:
            problems.append((f"{name!r} is not Active, Delete or Ignore.", did_you_mean(name, FLAGS).strip()))
            continue
        for word in words:
            other = own.setdefault(flag_word(word), flag)
            if other != flag:
                problems.append((f"The word {word!r} means both {other} and {flag}.", "Remove one of them."))
    if problems:
        raise InvalidValueError(*problems)
    return {**ACTIVE_WORDS, **own}


def limit(value: object, *, default: Limit) -> Limit:
    """A guard's limit from ``250``, ``"10%"`` or ``{ share = "10%", floor = 20 }``.

    A share without a floor has the floor of ``default``, but 0% is no row at all.
    """
    wrong = InvalidValueError(
        (
            f"{value!r} is neither a number of rows nor a percentage.",
            'Write 250, "10%" or { share = "10%", floor = 20 }.',
        )
    )
    floor: object = None
    if isinstance(value, dict):
        floor = value.get("floor")
        share = value.get("share")
        if set(value) - {"share", "floor"} or not isinstance(share, str):
            raise wrong
        if "floor" in value and (type(floor) is not int or floor < 0):
            raise wrong
        value = share
    if type(value) is int and value >= 0:
        return Limit(rows=value)
    percent = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*%\s*", value) if isinstance(value, str) else None
    if percent and float(percent[1]) <= 100:  # noqa: PLR2004 - per cent
        fraction = float(percent[1]) / 100
        if isinstance(floor, int):
            return Limit(share=fraction, floor=floor)
        return replace(default, share=fraction) if fraction else Limit(share=0.0)
    rows = re.fullmatch(r"\s*\d+\s*", value) if isinstance(value, str) else None
    if rows:
        return Limit(rows=int(rows[0]))
    raise wrong


def reject_boolean(value: object) -> object:
    """Any value but true and false, which Python takes for the numbers 1 and 0."""
    if isinstance(value, bool):
        raise InvalidValueError((f"{str(value).lower()} stands where a number is required.", ""))
    return value
