"""The routes of the console, and what is checked before any of them answers.

1. ``Host`` is a name of the console: otherwise 421.
2. Somebody is known, or need not be: otherwise the page on which people log in.
3. What changes something is asked for by somebody who may, from the console's own pages: otherwise 403.
4. It is noted who asks for what; what cannot be noted is not done.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import anyio.to_thread
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from engine.clock import now
from engine.console.access import Access, Visitor, client_address
from engine.console.render import FILES, load_file, render
from engine.console.work import Explanations, Work
from engine.errors import SyncError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from engine.console.audit import AuditLog
    from engine.console.facts import Workspace

MAX_FORM_BYTES = 20_000

log = logging.getLogger(__name__)

PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self';"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Nothing runs or is loaded but the console's own two files, no other site frames it, and nothing of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """All that the console needs: whom it lets in, what it reads, where it notes, and who does the work."""

    access: Access
    workspace: Workspace
    audit: AuditLog
    work: Work
    on_accepted: Callable[[tuple[str, int] | None], None] = lambda _client: None
    explanations: Explanations = field(default_factory=Explanations)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: who asks, the values of its form, and the console."""

    request: Request
    console: Console
    visitor: Visitor
    form: Mapping[str, str]

    @property
    def project(self) -> str:
        """The project of the address. Raises :class:`NotThereError` where there is none of this name."""
        name: str = self.request.path_params["project"]
        if name not in self.console.workspace.names():
            raise NotThereError("There is no such client.")
        return name

    def note(self, what: str, *, project: str = "", **facts: Any) -> None:
        """Write down who does what, before it is done."""
        self.console.audit.note(self.visitor.name, what, address=client_address(self.request), project=project, **facts)

    def page(self, template: str, *, http_status: int = 200, **values: Any) -> Response:
        """A page as it is shown to who asks."""
        token = self.console.access.form_token(self.visitor.identity) if self.visitor.identity else ""
        text = render(
            template,
            visitor=self.visitor,
            token=token,
            by_proxy=bool(self.console.access.settings.proxy_header),
            at=now(),
            notice=NOTICES.get(self.request.query_params.get("notice", ""), ""),
            **values,
        )
        return HTMLResponse(text.encode("utf-8", "replace"), http_status)  # an order may hold half a character


NOTICES = {
    "run": "It runs as soon as nothing else of this client does.",
    "busy": "It is asked for already.",
    "approved": "The plan is approved. The view is read again, and exactly this plan is sent, or nothing.",
    "retry": "The order is retried; reload the page to see what becomes of it.",
    "skipped": "The order is skipped.",
}
"""What a page says after something was asked for, by the word in its address."""


class NotThereError(Exception):
    """There is nothing at an address."""


def page_route(console: Console, path: str, handler: Callable[[Asked], Response]) -> Route:
    """A page that shows something."""

    async def answer(request: Request) -> Response:
        visitor = _admitted(console, request)
        if isinstance(visitor, Response):
            return visitor
        console.on_accepted(request.scope["client"])
        return await _run(Asked(request, console, visitor, {}), handler)

    return Route(path, answer, methods=["GET"])


def action_route(console: Console, path: str, handler: Callable[[Asked], Response]) -> Route:
    """Something that is done, for operators alone."""

    async def answer(request: Request) -> Response:
        visitor = _admitted(console, request)
        if isinstance(visitor, Response):
            return visitor
        form = await read_form(request)
        known = console.access.is_own_origin(request) and console.access.is_form_token(
            form.get("token", ""), visitor.identity
        )
        if not (visitor.may_act and visitor.identity and known):
            text = "Only operators who have logged in may do that, and only from the console's own pages."
            return secured(_error(console, request, visitor, 403, "Not allowed", text))
        console.on_accepted(request.scope["client"])
        return await _run(Asked(request, console, visitor, form), handler)

    return Route(path, answer, methods=["POST"])


def file_route(name: str) -> Route:
    """A file that pages load; its address changes with it."""

    async def answer(_request: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(load_file(name), headers=headers, media_type=FILES[name])

    return Route(f"/static/{name}", answer, methods=["GET"])


def see(url: str, notice: str = "") -> Response:
    """Lead the browser to a page of the console."""
    mark = "&" if "?" in url else "?"
    return RedirectResponse(f"{url}{mark}notice={notice}" if notice else url, 303)


async def read_form(request: Request) -> dict[str, str]:
    """The values of a form; of several of a name the first. Empty where it is larger than forms are."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_FORM_BYTES:
            return {}
    try:
        values = parse_qs(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        return {}
    return {name: found[0] for name, found in values.items()}


def secured(response: Response) -> Response:
    """A page with the headers that keep everything else out of it."""
    response.headers.update(PAGE_HEADERS)
    return response


def _admitted(console: Console, request: Request) -> Visitor | Response:
    """Who asks; or the answer, where a request is not for this console or it is not known whose it is."""
    if not console.access.is_own_host(request):
        text = "The request's Host is not a name of this console: see names under [console] in workspace.toml.\n"
        return secured(PlainTextResponse(text, 421, {"Connection": "close"}))
    visitor = console.access.visitor(request)
    if visitor is not None:
        return visitor
    if console.access.settings.proxy_header:
        text = "The proxy in front of the console did not say who you are."
        return secured(_error(console, request, Visitor(), 403, "Not allowed", text))
    return secured(RedirectResponse("/login", 303))


def _error(console: Console, request: Request, visitor: Visitor, status: int, title: str, text: str) -> Response:
    hidden = {} if visitor.name or not console.access.settings.needs_login else {"searches": False}
    return Asked(request, console, visitor, {}).page("error.html", http_status=status, title=title, text=text, **hidden)


async def _run(asked: Asked, handler: Callable[[Asked], Response]) -> Response:
    """Answer in a thread, since files are read; an error becomes a page."""
    error = partial(_error, asked.console, asked.request, asked.visitor)
    try:
        response = await anyio.to_thread.run_sync(handler, asked)
    except NotThereError as problem:
        response = error(404, "Not found", str(problem))
    except SyncError as problem:
        response = error(409, "That did not work", f"{problem.message} {problem.hint}".strip())
    except OSError as problem:
        response = error(503, "That cannot be read or written now", f"{problem.strerror or problem}")
    except Exception as problem:  # noqa: BLE001 - what it is about may hold anything
        log.error("A page of the console failed: %s", type(problem).__name__)  # noqa: TRY400 - its text may be personal
        response = error(500, "That cannot be shown", f"An unexpected error occurred: {type(problem).__name__}.")
    return secured(response)
