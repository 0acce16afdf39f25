"""Send batches to Stock2Shop, and find the rows that it refuses.

Batches of rows go in; what became of each row comes out as soon as it is known: acknowledged with a receipt, or
refused, with Stock2Shop's reason. Which parts of a refused batch are sent next is
:mod:`engine.stock2shop.isolation`'s matter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from engine.errors import AnswerError, RefusedError, ServerError
from engine.stock2shop.blame import find_named
from engine.stock2shop.exchange import Contents
from engine.stock2shop.isolation import Evidence, Search, runs
from engine.stock2shop.personal_data import hide_personal, own_words
from engine.stock2shop.transport import SINGLE_ITEM_RETRIES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence

    from engine.stock2shop.api import Api, Receipt

    Rows = Sequence[Mapping[str, Any]]

ACCOUNT_STATUSES = frozenset({402, 404, 405, 406, 410, 411, 414, 415, 417, 421, 423, 426, 428, 431, 451})
"""Answers that speak of the account, the address or the form of a request, never of what is in it."""

MAX_BODY_BYTES = 8_000_000
"""Bytes a request, as far as rows can be parted: PHP's usual ``post_max_size``. Stock2Shop's own limit is not public;
where it is lower, the answer 413 parts the batch further."""

MAX_BATCH_BYTES = MAX_BODY_BYTES * 3 // 4
"""Bytes of the texts of a batch: the names of fields, and the escapes of texts in JSON, come on top."""

MAX_SEARCH_REQUESTS = 250
"""Requests that a run spends on looking for refused rows: four minutes at the recommended pace. What is not found by
then waits for the next run."""

MAX_CONSECUTIVE_SERVER_ERRORS = 20
"""So many answers of 500 one after the other, and it is not the rows."""

MAX_PRODUCTS_WITH_SERVER_ERRORS = 3
"""Rows of so many products alone with a 500 one after the other, and it is not the rows."""

SERVER_ERROR_REASON = "Stock2Shop answers 500 for it alone"

MAX_TRAIT_CHARACTERS = 40
"""Longer values are no trait that refused rows have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of some rows: acknowledged with a receipt, or one row refused for a reason.

    ``rows`` are a part of what was handed over, in its order and without a gap. ``may_be_stored`` says of a refused row
    that Stock2Shop may have taken it all the same: it answered a success that names an error, or 500.
    """

    rows: Sequence[Mapping[str, Any]]
    receipt: Receipt | None = None
    reason: str = ""
    may_be_stored: bool = False


def batches(groups: Iterable[tuple[int, int]], *, limit: int) -> Iterator[tuple[int, int]]:
    """Batches of at most ``limit`` rows, a group whole where it fits in one: where each ends, and how large it is.

    ``groups`` are their numbers of rows and of bytes, in the order of sending. The ends are running totals of rows. A
    batch has more than :data:`MAX_BATCH_BYTES` only where one group has.

    >>> list(batches([(2, 0), (2, 0), (8, 80)], limit=4))
    [(4, 0), (8, 40), (12, 40)]
    >>> list(batches([(1, 5_000_000), (1, 5_000_000), (2, 9_000_000), (1, 0)], limit=4))
    [(1, 5000000), (2, 5000000), (4, 9000000), (5, 0)]
    """
    done = rows = size = 0
    for count, weight in groups:
        if rows and (rows + count > limit or size + weight > MAX_BATCH_BYTES):
            done += rows
            yield done, size
            rows = size = 0
        rows, size = rows + count, size + weight
        while rows > limit:
            done, part = done + limit, size * limit // rows
            yield done, part
            rows, size = rows - limit, size - part
    if rows:
        yield done + rows, size


class Sender:
    """Sends one run's batches to ``path``, one after the other; in each, the removals come first.

    ``document`` makes the body of a request from rows. What a refusal repeats of the columns ``personal`` is masked
    before anybody reads it, and so is what ``known_values`` gives: what Stock2Shop holds of people for some rows.
    ``blamable`` are the digests of bodies of one row that were alone with a 500 in enough earlier runs: such a row
    is refused now even if nothing else could be sent.

    A row that Stock2Shop refuses is refused here once anything was accepted, and so it is not the account that is
    refused. A row alone with a 500 is refused once anything was accepted after it.
    """

    def __init__(
        self,
        api: Api,
        path: str,
        *,
        document: Callable[[Sequence[Mapping[str, Any]]], bytes],
        personal: Sequence[str] = (),
        known_values: Callable[[Sequence[Mapping[str, Any]]], Iterable[object]] = lambda _: (),
        blamable: Collection[str] = (),
    ) -> None:
        self.rows_left = 0
        """Rows of refused batches that were not tried one by one: looking for them would have taken too long."""
        self._api = api
        self._path = path
        self._document = document
        self._personal = personal
        self._known_values = known_values
        self._blamable = blamable
        self._evidence = Evidence()
        self._refused: list[Delivery] = []
        """Rows refused alone before anything was accepted."""
        self._broken: list[tuple[Delivery, str]] = []
        """Rows alone with a 500 since anything was last accepted, each with its body's digest."""
        self._server_error: ServerError | None = None
        """The first since anything was last accepted."""
        self._server_errors = 0
        self._search_requests = 0

    @property
    def alone_with_500(self) -> list[str]:
        """The digests of the bodies of one row that were answered 500, for which no row is blamed so far."""
        return [digest for _, digest in self._broken]

    def send(
        self, rows: Sequence[Mapping[str, Any]], *, read_values: Callable[[], Rows] | None = None
    ) -> Iterator[Delivery]:
        """Send one batch; yield what became of its rows, part by part, as soon as it is known.

        ``read_values`` gives the same rows with all their values, where ``rows`` do not hold them: they are needed only
        to understand a refusal.

        Raises :class:`ServerError` when Stock2Shop answers 500 to row after row; :class:`RefusedError` when it refuses
        rows of so many products, accepting none, that the rows are not the cause; :class:`AnswerError` when it refuses
        the request's address or form.
        """
        whole = cache(read_values or (lambda: rows))
        search = Search(
            [_product(row) for row in rows],
            self._evidence,
            first_rows=sum(row["kind"] == "delete" for row in rows),
            traits=lambda number: _traits(whole()[number]),
        )
        searching = broken = recovered = False
        while numbers := search.next_part():
            part = [rows[number] for number in numbers]
            body = self._document(part)
            if len(body) > MAX_BODY_BYTES and len(part) > 1:
                search.divide()
                continue
            if searching:
                if self._search_requests >= MAX_SEARCH_REQUESTS:
                    self.rows_left += len(search.remaining)
                    break
                self._search_requests += 1
            try:
                receipt = self._api.queue(
                    self._path,
                    body,
                    items=len(part),
                    retries=_retries(part) if broken else None,
                    contents=Contents(
                        redact=partial(self._redact, whole, numbers),
                        find_named=partial(_find_named, whole, numbers),
                        items=len(part),
                    ),
                )
            except ServerError as error:
                searching = broken = True
                self._count_server_error(error)
                if search.refuse(SERVER_ERROR_REASON, error.named, doubtful=True):
                    yield from self._hold_broken(part, body)
            except RefusedError as error:
                searching = True
                self._require_refusal_of_rows(error)
                if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(part) > 1:
                    search.divide()
                elif search.refuse(error.reason, error.named):
                    yield from self._hold_refused(part, error)
            else:
                recovered = broken
                self._server_error, self._server_errors = None, 0
                search.accept()
                yield from self._release()
                for first, last in runs(numbers):
                    yield Delivery(rows=rows[first : last + 1], receipt=receipt)
        if recovered:
            yield from self._release()

    def finish(self) -> Iterator[Delivery]:
        """End the run: yield the rows that are refused although nothing was accepted.

        Raises :class:`ServerError` where Stock2Shop answered 500 for a row, and nothing was accepted since.
        """
        yield from self._refused
        self._refused.clear()
        if self._server_error is not None:
            raise self._server_error from None

    def _release(self) -> Iterator[Delivery]:
        """Blame the rows that were refused: something was accepted, so it is not the account."""
        yield from self._refused
        yield from (delivery for delivery, _ in self._broken)
        self._refused.clear()
        self._broken.clear()
        self._server_error = None

    def _hold_refused(self, part: Sequence[Mapping[str, Any]], error: RefusedError) -> Iterator[Delivery]:
        delivery = Delivery(rows=part, reason=error.reason, may_be_stored=error.status < HTTPStatus.BAD_REQUEST)
        if self._evidence.anything_accepted:
            yield delivery
            return
        self._refused.append(delivery)
        if self._evidence.is_about_the_account:
            raise RefusedError(
                f"Stock2Shop refused {len(self._refused)} rows of {len(self._evidence.doubted_products)} products, each"
                f" alone, and accepted none. It says: {error.reason}",
                reason=error.reason,
                status=error.status,
                hint="The rows are probably not the cause: check source_id and the user's rights."
                " Nothing was quarantined; the next run tries again.",
            ) from None

    def _hold_broken(self, part: Sequence[Mapping[str, Any]], body: bytes) -> Iterator[Delivery]:
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        delivery = Delivery(rows=part, reason=SERVER_ERROR_REASON, may_be_stored=True)
        if digest in self._blamable:
            self._server_error, self._server_errors = None, 0
            yield delivery
            return
        self._broken.append((delivery, digest))
        products = {_product(row) for delivery, _ in self._broken for row in delivery.rows}
        if len(products) >= MAX_PRODUCTS_WITH_SERVER_ERRORS:
            assert self._server_error is not None
            raise self._server_error from None

    def _count_server_error(self, error: ServerError) -> None:
        self._server_error = self._server_error or error
        self._server_errors += 1
        if self._server_errors >= MAX_CONSECUTIVE_SERVER_ERRORS:
            raise self._server_error from None

    def _redact(self, whole: Callable[[], Rows], numbers: Sequence[int], text: str) -> str:
        """``text`` without what the rows ``numbers`` hold of people, and without what Stock2Shop may hold of them.

        What it may hold of a row that is in doubt is not known.
        """
        if not self._personal:
            return text
        part = [whole()[number] for number in numbers]
        sent = (row.get(column) for row in part for column in self._personal)
        hidden = hide_personal(text, [*sent, *self._known_values(part)])
        return own_words(hidden) if any(row.get("is_doubted") for row in part) else hidden

    def _require_refusal_of_rows(self, error: RefusedError) -> None:
        if error.status in ACCOUNT_STATUSES:
            raise AnswerError(
                f"Stock2Shop does not take requests at {self._path} ({error.status}): {error.reason}",
                hint="Check `url` under [stock2shop], and `path` under [customers], in project.toml, and the"
                " account in Stock2Shop's console. Nothing was quarantined; the next run tries again.",
            ) from None


def _product(row: Mapping[str, Any]) -> Hashable:
    product: str = row["_group"] or row["_key"]
    return product


def _find_named(whole: Callable[[], Rows], numbers: Sequence[int], data: Any, text: str) -> dict[str, list[int]]:
    return find_named([whole()[number] for number in numbers], data, text)


def _retries(part: Sequence[object]) -> int:
    """How often a part of a batch that was answered 500 is tried again: a row is not blamed lightly."""
    return 0 if len(part) > 1 else SINGLE_ITEM_RETRIES


def _traits(row: Mapping[str, Any]) -> set[Hashable]:
    """What can be told of a row: which columns are blank, the short values, and how long the long ones are."""
    traits: set[Hashable] = set()
    for column, value in row.items():
        if column in {"_key", "position"}:
            continue
        text = "" if value is None else str(value)
        traits.add((column, text if len(text) <= MAX_TRAIT_CHARACTERS else len(text).bit_length()))
    return traits
