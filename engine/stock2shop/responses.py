"""What Stock2Shop's answers say, read leniently where their shape is not public.

Pure functions over parsed JSON: the list that an answer holds, the number of items that it queued, the errors that
it names, its token.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timezone
from decimal import Decimal
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DENIED_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

MAX_SYNC_TOKEN_CHARACTERS = 255
"""A longer sync token is not one: it is echoed with every item and stored with every row."""

_INSTRUCTION = re.compile(r"(sync|add|delete)_(product|customer)(s|_\w+)?")

_FAILURE_WORDS = frozenset({"error", "fail", "failed", "failure", "rejected", "denied"})

_FAILURE_COUNT = re.compile(r"(?i)(\w*_)?(failed|failures|rejected|invalid|skipped|ignored)(_\w*)?")

_UNSTORABLE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse_date(text: str) -> datetime | None:
    """The UTC time of an HTTP date, or None."""
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def parse_retry_after(text: str, now: datetime) -> float | None:
    """The seconds that a ``Retry-After`` asks for, given as a number or as an HTTP date; None without one."""
    if re.fullmatch(r"\d+(\.\d+)?", text.strip()):
        return float(text)
    date = parse_date(text)
    return max(0.0, (date - now).total_seconds()) if date else None


def parse_json(body: bytes, *, exact: bool) -> tuple[bool, Any]:
    r"""Whether ``body`` is JSON, and what it holds; with ``exact``, numbers with a fraction as Decimals.

    Texts lose NUL and lone surrogates, which neither a database nor UTF-8 can hold.

    >>> parse_json(b'{"title": "A\u0000B \ud83d\ude00"}', exact=False)
    (True, {'title': 'AB 😀'})
    """

    def refuse(name: str) -> None:
        raise ValueError(name)

    try:
        data = json.loads(body, parse_float=Decimal if exact else None, parse_constant=refuse)
        return True, _storable(data) if _UNSTORABLE_ESCAPE.search(body) else data
    except (ValueError, RecursionError):
        return False, None


def _storable(data: Any) -> Any:
    if isinstance(data, str):
        return _UNSTORABLE.sub("", data)
    if isinstance(data, list):
        return [_storable(value) for value in data]
    if isinstance(data, dict):
        return {_storable(name): _storable(value) for name, value in data.items()}
    return data


def parse_sync_token(value: Any) -> str | None:
    """A source's sync token as text; "0", the documented one, where there is none; None where it cannot be one."""
    if value is None:
        return "0"
    token = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return token if 0 < len(token) <= MAX_SYNC_TOKEN_CHARACTERS and token.isprintable() else None


def whole_number(value: object) -> int | None:
    """A count or an id, which Stock2Shop also writes as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    return None


def find_list(data: Any, *names: str) -> list[dict[str, Any]] | None:
    """The list of objects that ``data`` is or holds under one of ``names``."""
    places = [data.get(name) for name in names] if isinstance(data, dict) else [data]
    for place in places:
        if isinstance(place, list) and all(isinstance(entry, dict) for entry in place):
            return place
    return None


def hits(data: Any) -> list[dict[str, Any]]:
    """The hits beside ``system_products``: a product that was deleted since it was indexed is only among them."""
    hits = data.get("hits") if isinstance(data, dict) else None
    return find_list(hits, "hits") or [] if isinstance(hits, dict) else []


def item_id(entry: Mapping[str, Any]) -> int | None:
    """The id of a product, a customer or a search hit, or None."""
    return whole_number(entry.get("id", entry.get("_id")))


def find_token(data: Any) -> str:
    """The token in the answer to a login, empty where it holds none."""
    user = data.get("system_user") if isinstance(data, dict) else None
    token = user.get("token") if isinstance(user, dict) else None
    return token if isinstance(token, str) else ""


def token_is_valid(data: Any) -> bool:
    """Whether an answer about a token speaks for it: by its user, as a public client reads it, or by no denial."""
    if isinstance(data, dict) and "system_user" in data:
        return bool(data["system_user"])
    denied = data is False or (isinstance(data, dict) and data.get("valid") is False)
    return not denied and not error_messages(data)


def _nested(data: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Every name and value in ``data``, down to ``depth`` objects or lists."""
    if depth and isinstance(data, dict):
        for name, value in data.items():
            yield name, value
            yield from _nested(value, depth - 1)
    elif depth and isinstance(data, list):
        for value in data:
            yield from _nested(value, depth - 1)


def error_messages(data: Any) -> str:
    """The errors that an answer names, as text; empty where it names none."""
    found = [
        _words(value)
        for name, value in _nested(data)
        if name.lower() in {"error", "errors"} and str(value).lower() not in {"", "0", "false", "none", "null"}
    ]
    words = "; ".join(text for text in found if text)
    if not words and isinstance(data, dict) and data.get("success") is False:
        words = _words(data.get("message")) or "success is false"
    return words


def top_message(data: Any) -> str:
    """The message that an answer gives without calling it an error; empty where there is none."""
    return _words(data.get("message")) if isinstance(data, dict) else ""


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(text for text in map(_words, value) if text)
    return json.dumps(value, ensure_ascii=False, default=str) if value else ""


def queued_count(data: Any) -> int | None:
    """How many items an answer says were queued, or None.

    A bare number, ``queued``, counts by instruction added up, or the list of the queued items themselves.
    """
    if isinstance(data, (int, str)):
        return whole_number(data)
    numbers = [(key.lower(), whole_number(value)) for key, value in _nested(data)]
    totals = [number for key, number in numbers if number is not None and "queued" in key]
    by_instruction = [number for key, number in numbers if number is not None and _INSTRUCTION.fullmatch(key)]
    if totals:
        return totals[0]
    if by_instruction:
        return sum(by_instruction)
    items = find_list(data, "system_products", "system_customers") if isinstance(data, dict) else None
    return len(items) if items else None


def contradiction(data: Any) -> str:
    """What in a 2xx answer says that the request failed, without naming an error; empty where nothing does.

    >>> contradiction({"status": "error", "message": "no such source"})
    'status is error'
    >>> contradiction({"system_products": {"sync_product": 5, "failed": 2}})
    'failed is 2'
    """
    for name, value in _nested(data, depth=2):
        key = name.lower()
        if key in {"status", "state", "result"} and isinstance(value, str) and value.lower() in _FAILURE_WORDS:
            return f"{key} is {value.lower()}"
        number = whole_number(value)
        if number and (
            _FAILURE_COUNT.fullmatch(key)
            or (key in {"code", "status", "status_code", "http_code", "httpcode"} and number >= HTTPStatus.BAD_REQUEST)
        ):
            return f"{key} is {number}"
    return ""


def says_success(data: Any) -> bool:
    """Whether an answer says outright that the request succeeded."""
    return isinstance(data, dict) and (data.get("success") is True or data.get("status") in {"success", "ok"})
