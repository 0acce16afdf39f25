"""Why an attempt came to nothing, in words of our own.

The HTTP library's exceptions hold the address, and with it the token, so none of their text is passed on. A
:class:`Failure` says what Stock2Shop did, what to check, and whether a retry may succeed.
"""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import ApiError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.settings import Stock2ShopSettings

URL_HINT = "Check `url` under [stock2shop] in project.toml; Stock2Shop's own is https://app.stock2shop.com/v1."

PROXY_HINT = (
    "Check HTTPS_PROXY and NO_PROXY in the environment of the run; on Windows also the proxy in the settings of the"
    " account that runs it."
)

_CA_HINT = (
    "Where a company's proxy inspects TLS, point REQUESTS_CA_BUNDLE to a file with its CA certificate;"
    " otherwise check `url` under [stock2shop] and this machine's clock."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt came to nothing.

    ``what`` is a predicate for Stock2Shop, such as "refuses the connection"; ``transient`` says whether the next
    attempt may succeed, ``wait`` how many seconds Stock2Shop asks to wait for it. ``kind`` is the error to raise when
    no attempt is left. ``named`` are the items of the request that the answer speaks of.
    """

    what: str
    hint: str = ""
    transient: bool = True
    wait: float | None = None
    kind: type[ApiError] = UnavailableError
    named: Mapping[str, Sequence[int]] = field(default_factory=dict)


def diagnose(error: Exception, *, settings: Stock2ShopSettings) -> Failure:
    """What the HTTP library's ``error`` means, in words of our own."""
    import requests.exceptions as http

    causes = tuple(error_causes(error))
    wants_login = any("407" in str(cause) for cause in causes)
    untrusted = next((one.verify_message for one in causes if isinstance(one, ssl.SSLCertVerificationError)), "")
    numbers = {one.errno for one in causes if isinstance(one, OSError)} - {None}
    # The first that fits counts: a proxy's error is also a connection error, and a certificate's a ValueError.
    known: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Failure], ...] = (
        (
            http.ProxyError,
            Failure(
                what=f"is behind a proxy that {'wants a login' if wants_login else 'cannot be used'}",
                hint=PROXY_HINT,
                transient=not wants_login,
            ),
        ),
        (
            ssl.SSLCertVerificationError,
            Failure(
                what=f"shows a TLS certificate that this machine does not trust ({untrusted})",
                hint=_CA_HINT,
                transient=False,
            ),
        ),
        (
            http.ConnectTimeout,
            Failure(
                what=f"did not take a connection within {settings.connect_timeout:g} s",
                hint="Check that this machine may reach it: firewall, route, proxy.",
            ),
        ),
        (
            (TimeoutError, http.Timeout),
            Failure(
                what=f"did not answer within {settings.read_timeout:g} s",
                hint="If this goes on, lower `batch_variants` under [stock2shop] in project.toml.",
            ),
        ),
        (
            (ssl.SSLError, http.SSLError),
            Failure(
                what="could not agree on TLS with this machine",
                hint=f"Does `url` say https where the server speaks http? {_CA_HINT}",
            ),
        ),
        (
            socket.gaierror,
            Failure(
                what="has a name that this machine cannot look up",
                hint=f"Check this machine's DNS and network. {URL_HINT}",
            ),
        ),
        (
            ConnectionRefusedError,
            Failure(what="refuses the connection", hint=f"Is a firewall in the way? {URL_HINT}"),
        ),
        (ValueError, Failure(what="has an address that cannot be used", hint=URL_HINT, transient=False)),
    )
    for kinds, failure in known:
        if any(isinstance(cause, kinds) for cause in causes):
            return failure
    if numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH}:
        return Failure(what="has no route from this machine", hint="Check this machine's network.")
    if not isinstance(error, http.RequestException) and not numbers:
        what = "was not asked: REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there"
        return Failure(what=what, hint="Correct or unset it.", transient=False)
    return Failure(what="dropped the connection without an answer")


def error_causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and everything that it came from: urllib3 puts causes in arguments and ``reason`` too."""
    waiting: list[object] = [error]
    visited: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in visited:
            visited.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
