"""Batches to Stock2Shop, refused ones halved until the bad rows are alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from engine.errors import AnswerError, RefusedError, ServerError
from engine.model.fields import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from engine.stock2shop.api import Api, Receipt

NOT_THE_ROWS = frozenset({402, 404, 405, 406, 410, 411, 414, 415, 417, 421, 423, 426, 428, 431, 451})
"""Answers that speak of the account, the address or the form of a request, never of what is in it."""

MAX_BODY_BYTES = 8_000_000
"""Bytes a request, as far as rows can be parted: PHP's usual ``post_max_size``. Stock2Shop's own limit is not public;
where it is lower, the answer 413 halves the batch further."""

MAX_CONSECUTIVE_REFUSALS = 10
"""So many rows refused one after the other, and none accepted, and it is not the rows."""

MAX_CONSECUTIVE_SERVER_ERRORS = 20
"""So many answers of 500 one after the other, and it is not the rows: one bad row among 500 is alone after ten."""

SINGLE_ROW_RETRIES = 2
"""How often a row that is alone with a 500 is tried again before it is blamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of some rows: acknowledged with a receipt, or one row refused for a reason.

    ``rows`` are a part of what was handed over, in its order and without a gap. ``taken`` says of a refused row that it
    may have been taken all the same: the answer was a success that complains.
    """

    rows: Sequence[Mapping[str, Any]]
    receipt: Receipt | None = None
    reason: str = ""
    taken: bool = False


def batches(groups: Iterable[int], *, limit: int) -> Iterator[int]:
    """Where to cut, as running totals: batches of at most ``limit`` rows, a group whole where it fits in one.

    ``groups`` are their numbers of rows, in the order of sending.

    >>> list(batches([2, 2, 7], limit=4))
    [4, 8, 11]
    """
    done = size = 0
    for count in groups:
        if size and size + count > limit:
            done += size
            yield done
            size = 0
        size += count
        while size > limit:
            done += limit
            yield done
            size -= limit
    if size:
        yield done + size


def deliver(
    api: Api,
    path: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    document: Callable[[Sequence[Mapping[str, Any]]], bytes],
    accepted_before: bool,
    personal: Sequence[str] = (),
) -> Iterator[Delivery]:
    """Send ``rows`` to ``path``; yield what became of them, piece by piece, as soon as it is known.

    What a refusal repeats of the columns ``personal`` is masked before anybody reads it. A batch that Stock2Shop keeps
    answering with 500 is halved too: one row that breaks it would hold up all others for good. Such a row is blamed
    only where others of its batch were accepted since.

    Raises :class:`ServerError` where none was; :class:`RefusedError` when Stock2Shop refuses so many rows one after the
    other, accepting none, that the fault is not in the rows; :class:`AnswerError` when it refuses the request's address
    or form.
    """
    waiting: list[Delivery] = []
    accepted = accepted_before
    stack = [list(rows)]
    broken: ServerError | None = None
    stumbles = 0
    recovered = False
    while stack:
        part = stack.pop()
        body = document(part)
        if len(body) > MAX_BODY_BYTES and len(part) > 1:
            stack += _halves(part)
            continue
        try:
            receipt = api.queue(
                path,
                body,
                items=len(part),
                retries=None if broken is None else 0 if len(part) > 1 else SINGLE_ROW_RETRIES,
            )
        except ServerError as error:
            broken = broken or error
            stumbles += 1
            if stumbles >= MAX_CONSECUTIVE_SERVER_ERRORS:
                raise broken from None
            if len(part) > 1:
                stack += _halves(part)
            else:
                waiting.append(Delivery(rows=part, reason="Stock2Shop answers 500 for it alone", taken=True))
            continue
        except RefusedError as error:
            reason = _without(error.reason, part, personal)
            if error.status in NOT_THE_ROWS:
                raise AnswerError(
                    f"Stock2Shop does not take requests at {path} ({error.status}): {reason}",
                    hint="Check `url` under [stock2shop], and `path` under [customers], in project.toml, and the"
                    " account in Stock2Shop's console. Nothing was quarantined; the next run tries again.",
                ) from None
            if len(part) > 1:
                stack += _halves(part)
                continue
            waiting.append(Delivery(rows=part, reason=reason, taken=error.status < HTTPStatus.BAD_REQUEST))
            if not accepted and len(waiting) >= MAX_CONSECUTIVE_REFUSALS:
                raise RefusedError(
                    f"Stock2Shop refused {len(waiting)} rows one after the other and accepted none. It says: {reason}",
                    reason=reason,
                    status=error.status,
                    hint="The fault is probably not in the rows: check source_id and the user's rights."
                    " Nothing was quarantined; the next run tries again.",
                ) from None
            continue
        accepted = True
        recovered = broken is not None
        stumbles = 0
        yield from waiting
        waiting.clear()
        yield Delivery(rows=part, receipt=receipt)
    if broken is not None and not recovered:
        raise broken from None
    yield from waiting


def _halves(rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The second half of ``rows`` and the first, cut between two products where there are any."""
    middle = len(rows) // 2
    cuts = [place for place in range(1, len(rows)) if rows[place]["_group"] != rows[place - 1]["_group"]]
    cut = min(cuts, key=lambda place: abs(place - middle), default=middle)
    return [list(rows[cut:]), list(rows[:cut])]


def _without(reason: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """``reason`` without what the rows hold in ``columns``; the longest first, since one may hold another."""
    values = {str(row[column]) for row in rows for column in columns if row.get(column) not in {None, ""}}
    for value in sorted(values, key=len, reverse=True):
        reason = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, reason, flags=re.IGNORECASE)
    return reason
