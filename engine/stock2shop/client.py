"""Stock2Shop's calls: what each asks for, and what its answer means.

The facts come from Stock2Shop's public developer pages and repositories. Each method's docstring says how firmly
they stand: **P** is stated there, **I** is inferred from them, **U** is not public and read leniently. How a request
travels is :mod:`engine.stock2shop.transport`'s matter.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from engine.errors import (
    AnswerError,
    AuthenticationError,
    Diagnostic,
    ProjectError,
    RefusedError,
    UnavailableError,
)
from engine.stock2shop.api import Receipt, RemoteSource
from engine.stock2shop.blame import failed_entries
from engine.stock2shop.diagnosis import PROXY_HINT, URL_HINT
from engine.stock2shop.exchange import ApiRequest, Contents, host_of, printable, status_phrase
from engine.stock2shop.paging import page_query
from engine.stock2shop.personal_data import own_words
from engine.stock2shop.redaction import Secrets
from engine.stock2shop.responses import (
    DENIED_STATUSES,
    contradiction,
    error_messages,
    find_list,
    find_token,
    hits,
    item_id,
    parse_sync_token,
    queued_count,
    says_success,
    token_is_valid,
    top_message,
    whole_number,
)
from engine.stock2shop.transport import Timing, Transport
from engine.stock2shop.user import SessionTokens, SteadyPace, User

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.model.settings import Stock2ShopSettings
    from engine.stock2shop.exchange import Answer
    from engine.stock2shop.user import Tokens

OPENING_REQUESTS = 1
"""How many requests a run makes before its first batch: it asks for its source's sync token. One that finds no token
that is still good authenticates besides, which takes no turn of the pace."""

MAX_RENEWALS = 2
"""How often the token of one request is renewed: by that of another run, and then by one of this run's own."""

MAX_READ_BACK_PAGES = 40_000
"""More pages are not a catalogue but a search that never ends: 10,000,000 products, eleven hours at the usual pace."""

MAX_FOREIGN_PAGES = 200
"""So many pages in a row without anything of the source, and the search does not filter by it."""

MAX_DESCRIPTION_CHARACTERS = 200
"""Characters of a source's description that are kept."""

MAX_REASON_CHARACTERS = 500
"""Characters of an answer that an error repeats."""

_WRONG_USER = DENIED_STATUSES | {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}

_NOT_VALID = DENIED_STATUSES | {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}

_WRONG_ADDRESS = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE})


@contextmanager
def open_api(
    settings: Stock2ShopSettings,
    *,
    until: float | None = None,
    stop: threading.Event | None = None,
    timing: Timing | None = None,
    user: User | None = None,
) -> Iterator[Stock2Shop]:
    """Give a session with Stock2Shop that lasts as long as the block. Nothing is sent before the first call.

    ``until`` is a :func:`time.monotonic` time: no wait lasts beyond it, and no request begins after it. One that
    is on its way by then is waited for, since what it did could not be known otherwise. Once ``stop`` is set,
    waits end and no further request begins. ``timing`` replaces the clock; ``user`` has the token and the pace of the
    user where several sessions share it, otherwise the session has its own.

    Proxies and REQUESTS_CA_BUNDLE are taken from the environment; ``.netrc`` is not read. Raises
    :class:`ProjectError` when the settings' ``url`` is not an HTTP address.
    """
    from engine.stock2shop.session import Session

    url = settings.url.rstrip("/")
    if not host_of(url) or urlsplit(url).scheme not in {"http", "https"}:
        fault = Diagnostic(
            message="`url` under [stock2shop] is not an HTTP address", hint="Write it as https://host/path."
        )
        raise ProjectError([fault], hint=URL_HINT)
    settings = replace(settings, url=url)
    timing = timing or Timing()
    user = user or User(tokens=SessionTokens(), pace=SteadyPace(settings.pace, now=timing.now))
    secrets = Secrets([settings.password, settings.username])
    pool = logging.getLogger("urllib3.connectionpool")
    pool.addFilter(secrets.filter)
    try:
        with Session() as session:
            transport = Transport(
                settings,
                session=session,
                pace=user.pace,
                timing=timing,
                until=until,
                stop=stop or threading.Event(),
            )
            yield Stock2Shop(settings, transport=transport, tokens=user.tokens, secrets=secrets)
    finally:
        pool.removeFilter(secrets.filter)


class Stock2Shop:
    """A session with Stock2Shop, made by :func:`open_api`; it belongs to one thread.

    Every method may raise :class:`UnavailableError` (not reached, or failing until the retries ran out),
    :class:`AuthenticationError`, :class:`AnswerError` (not what is documented), :class:`RefusedError` (any other
    4xx) and :class:`CancelledError`.
    """

    def __init__(self, settings: Stock2ShopSettings, *, transport: Transport, tokens: Tokens, secrets: Secrets) -> None:
        self._settings = settings
        self._transport = transport
        self._tokens = tokens
        self._secrets = secrets
        self._logins = 0

    @property
    def requests_made(self) -> int:
        """How many requests went out so far, failed attempts and authentications included."""
        return self._transport.requests_made

    @property
    def clock_offset(self) -> float | None:
        """Seconds by which Stock2Shop's clock was ahead of this machine's at its last answer; None where unknown."""
        return self._transport.clock_offset

    def plan_turn(self) -> None:
        """Reserve the turn of the next request now, so that it comes while the caller does something else."""
        self._transport.plan_turn()

    def sources(self) -> tuple[RemoteSource, ...]:
        """Every source of the user: ``GET /sources`` (P; the answer's names are I)."""
        answer = self._request(ApiRequest(method="GET", path="/sources", params={"format": "json"}))
        found = find_list(answer.data, "system_sources", "sources")
        if found is None:
            raise self._unexpected(answer, "the answer holds no list of sources")
        sources = []
        for entry in found:
            number = whole_number(entry.get("id"))
            if number is None:
                raise self._unexpected(answer, "a source has no id")
            token = parse_sync_token(entry.get("sync_token"))
            if token is None:
                if number == self._settings.source_id:
                    raise self._unexpected(answer, "the sync_token of the source is not a text that can be one")
                token = "0"  # noqa: S105 - the documented token, of a source that is not used
            description = printable(str(entry.get("description") or ""))[:MAX_DESCRIPTION_CHARACTERS]
            sources.append(RemoteSource(id=number, sync_token=token, description=description))
        return tuple(sources)

    def source(self) -> RemoteSource:
        """The source that the settings name.

        Raises :class:`AuthenticationError`, with the sources that there are, when it is not one of the user's.
        """
        sources = self.sources()
        for source in sources:
            if source.id == self._settings.source_id:
                return source
        known = ", ".join(f"{one.id} ({one.description})" if one.description else str(one.id) for one in sources)
        raise AuthenticationError(
            f"Stock2Shop gives this user no source {self._settings.source_id}."
            f" {f'It gives: {known}.' if known else 'It gives none at all.'}",
            hint="Set `source_id` under [stock2shop] in project.toml to one of the user's sources,"
            " or have the source assigned to the user in Stock2Shop's console.",
        )

    def queue(
        self,
        path: str,
        document: bytes,
        *,
        items: int,
        counted: bool = True,
        retries: int | None = None,
        contents: Contents | None = None,
    ) -> Receipt:
        """Queue ``document``, JSON with ``items`` items, at ``path`` such as ``/products/queue`` (P).

        The answer says how many items were queued (P), in a shape that is not public (U); a public client reads
        ``{"system_products": {"sync_product": 2}}``. A 2xx answer that names errors, or counts fewer than ``items``,
        is a :class:`RefusedError`, so that the sender can look for the item that is at fault. One that neither counts
        nor says outright that it succeeded is an :class:`AnswerError`, never a receipt; with ``counted`` False it is
        one, because nothing is known of the answer's shape (U). ``retries`` replaces the
        project's own number; ``contents`` is what is known of the document. Raises :class:`ServerError` where
        Stock2Shop answers 500 until the retries run out.
        """
        params = {"source_id": str(self._settings.source_id)}
        request = ApiRequest(
            method="POST", path=path, params=params, document=document, contents=contents or Contents()
        )
        answer = self._request(request, retries=retries)
        reason = self._clean(error_messages(answer.data), answer)
        queued = queued_count(answer.data)
        if not reason and (failed := failed_entries(answer.data, items)):
            reason = f"it says of {len(failed)} of {items} items that they failed"
        if not reason and queued is not None and queued < items:
            reason = f"it queued {queued} of {items} items"
        if reason:
            raise RefusedError(
                f"Stock2Shop did not take all of {answer.what}: {reason}",
                reason=reason,
                status=answer.status,
                hint="Fix the item in the source, or leave it out of the view.",
                named=answer.named,
            )
        denial = contradiction(answer.data)
        if denial or (counted and queued is None and not says_success(answer.data)):
            raise self._unexpected(
                answer,
                denial or "it does not say how many items were queued",
                hint="Nothing counts as sent, and the next run sends the same changes again. Look into the queue in"
                " Stock2Shop's console, and ask Stock2Shop what this answer means.",
            )
        return Receipt(
            status=answer.status, queued=queued, answered_at=self._transport.timing.utc(), seconds=answer.seconds
        )

    def read_back(
        self, path: str = "/products/elastic_search", name: str = "system_products"
    ) -> Iterator[dict[str, Any]]:
        """Everything of the source that Stock2Shop holds now, by its id, a page at a time.

        ``POST /products/elastic_search`` takes an Elasticsearch query. ``system_products`` of its answer is the
        live data; which products are found follows an index that may lag behind and knows active ones only (P).
        Each page asks for ids above the last, so that changes in between shift nothing and Elasticsearch's limit
        of 10,000 hits is no limit here; that ``id`` can be sorted by is I. Fractions are Decimals.
        """
        contents = Contents(redact=own_words) if name == "system_customers" else Contents()
        last = foreign_pages = 0
        for _ in range(MAX_READ_BACK_PAGES):
            document = page_query(source_id=self._settings.source_id, after=last)
            answer = self._request(
                ApiRequest(method="POST", path=path, params={}, document=document, exact=True, contents=contents)
            )
            found = find_list(answer.data, name)
            if found is None:
                raise self._unexpected(answer, f"the answer holds no list {name}")
            ids = [*map(item_id, found), *map(item_id, hits(answer.data))]
            if not ids:
                return
            if any(number is None or number <= last for number in ids):
                raise self._unexpected(answer, "a page repeats what the one before held, or gives it no id")
            own = [one for one in found if whole_number(one.get("source_id")) in {None, self._settings.source_id}]
            yield from own
            last = max(number for number in ids if number is not None)
            foreign_pages = 0 if own else foreign_pages + 1
            if foreign_pages == MAX_FOREIGN_PAGES:
                what = f"{MAX_FOREIGN_PAGES} pages in a row hold nothing of the source {self._settings.source_id}"
                raise self._unexpected(answer, what)
        raise self._unexpected(answer, f"the search does not end after {MAX_READ_BACK_PAGES:,} pages")

    def valid_token(self) -> bool:
        """Whether the token in use is good: ``GET /users/valid_token/{token}`` (P; the answer's shape is I).

        Authenticates first where there is no token yet.
        """
        token = self._token()
        answer = self._transport.send(
            ApiRequest(
                method="GET",
                path=f"/users/valid_token/{quote(token, safe='')}",
                shown="/users/valid_token",
                params={"format": "json"},
            )
        )
        if answer.status in _NOT_VALID:
            valid = False
        else:
            self._accept(answer)
            valid = token_is_valid(answer.data)
        if not valid:
            self._tokens.discard(token)
        return valid

    def queue_summary(self) -> dict[str, Any]:
        """The counts of what Stock2Shop has not worked through yet: ``GET /queue/summary`` (P; shape U)."""
        answer = self._request(ApiRequest(method="GET", path="/queue/summary", params={"format": "json"}))
        if not isinstance(answer.data, dict):
            raise self._unexpected(answer, "the answer is no JSON object")
        return answer.data

    def queue_items(
        self,
        *,
        status: str | None = None,
        instructions: str | None = None,
        limit: int = 100,
        more: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """At most ``limit`` items of the source's queue: ``GET /queue/items`` (P, seen in use; shape U).

        ``status`` such as ``failed`` and ``instructions`` such as ``add_order`` narrow them down; ``more`` are other
        parameters. Numbers with a fraction are Decimals: an item may be an order, with money in it.
        """
        source_id = str(self._settings.source_id)
        params = {"format": "json", "source_id": source_id, "limit": str(limit), **(more or {})}
        if status is not None:
            params["status"] = status
        if instructions is not None:
            params["instructions"] = instructions
        # An item may be an order, which is full of what is personal.
        contents = Contents(redact=own_words)
        answer = self._request(
            ApiRequest(method="GET", path="/queue/items", params=params, exact=True, contents=contents)
        )
        found = find_list(answer.data, "system_queue_items", "system_queue", "queue_items", "items")
        if found is None:
            raise self._unexpected(answer, "the answer holds no list of queue items")
        return found

    def _authenticate(self) -> str:
        """A fresh token: ``POST /users/authenticate`` (P). Every earlier token of the user ends with it (P)."""
        user = {"username": self._settings.username, "password": self._settings.password}
        answer = self._transport.send(
            ApiRequest(
                method="POST",
                path="/users/authenticate",
                params={"format": "json"},
                document=json.dumps({"system_user_auth": user}).encode(),
                takes_turn=False,
            )
        )
        token = find_token(answer.data) if answer.succeeded else ""
        if token:
            self._logins += 1
            return token
        if answer.status in _WRONG_USER or (answer.succeeded and error_messages(answer.data)):
            raise AuthenticationError(
                f"Stock2Shop at {self._transport.host} refuses the user name or the password."
                f" It says: {self._reason(answer)}",
                hint="Check `username` and `password` under [stock2shop] in project.toml, and the variables or the"
                " .env that fill them in.",
            )
        if answer.succeeded:
            raise self._unexpected(answer, "the answer holds no token")
        try:
            self._accept(answer)
        except RefusedError as error:
            refused = error.message
        raise AnswerError(refused, hint=URL_HINT)

    def _token(self) -> str:
        """The token in use, which no message may hold."""
        token = self._tokens.get(self._authenticate, wait=self._transport.wait_for_login)
        self._secrets.add(token)
        return token

    def _request(self, request: ApiRequest, *, retries: int | None = None) -> Answer:
        """Send ``request`` with the token, renewed where Stock2Shop refuses it, and give its 2xx answer.

        A token that another run got may be refused, too; one that this very call got is not renewed once more.
        """
        token = self._token()
        answer = self._transport.send(request.with_token(token), retries=retries)
        logins = self._logins
        for _ in range(MAX_RENEWALS):
            if answer.status not in DENIED_STATUSES or self._logins > logins:
                break
            self._tokens.discard(token)
            token = self._token()
            answer = self._transport.send(request.with_token(token), retries=retries)
        if answer.status in DENIED_STATUSES:
            raise AuthenticationError(
                f"Stock2Shop at {self._transport.host} refuses {answer.what} even with a fresh token."
                f" It says: {self._reason(answer)}",
                hint="Give this workspace a user of its own, since a login elsewhere ends the user's other tokens;"
                " check too that the user may use this source.",
            )
        self._accept(answer)
        return answer

    def _accept(self, answer: Answer) -> None:
        """Raise unless ``answer`` is a 2xx."""
        status = answer.status
        if answer.succeeded:
            return
        if status < HTTPStatus.BAD_REQUEST:
            place = answer.redirect_host(self._settings.url)
            raise AnswerError(
                f"Stock2Shop at {self._transport.host} answers {answer.what} with a redirect"
                f" ({status_phrase(status)}){f' to {printable(place)}' if place else ''}, which is not followed",
                hint=URL_HINT,
            )
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            raise UnavailableError(f"The proxy before {self._transport.host} wants a login", hint=PROXY_HINT)
        if status in _WRONG_ADDRESS:
            hint = URL_HINT
        elif status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            hint = "Lower `batch_variants` under [stock2shop] in project.toml."
        else:
            hint = "Its words name the cause; they may also be read in Stock2Shop's console."
        reason = self._reason(answer)
        raise RefusedError(
            f"Stock2Shop at {self._transport.host} refuses {answer.what} ({status_phrase(status)}): {reason}",
            reason=reason,
            status=status,
            hint=hint,
            named=answer.named,
        )

    def _unexpected(self, answer: Answer, what: str, *, hint: str = URL_HINT) -> AnswerError:
        message = self._clean(error_messages(answer.data) or top_message(answer.data), answer)
        return AnswerError(
            f"Stock2Shop at {self._transport.host} answers {answer.what} in an unknown way:"
            f" {what}{f'. It says: {message}' if message else ''}",
            hint=hint,
        )

    def _reason(self, answer: Answer) -> str:
        text = error_messages(answer.data) or answer.text
        return self._clean(text, answer) or status_phrase(answer.status)

    def _clean(self, text: str, answer: Answer) -> str:
        """``text`` of an answer as it may be printed. Cut last: half of a secret or of a name would not be found."""
        return printable(answer.contents.redact(self._secrets.without(text)))[:MAX_REASON_CHARACTERS].rstrip()
