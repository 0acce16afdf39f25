"""Log in and out."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from starlette.responses import RedirectResponse
from starlette.routing import Route

from engine.console.access import SESSION_SECONDS, Visitor, client_address
from engine.console.application import Asked, Console, read_form, secured

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

FAILED_LOGIN_DELAY_SECONDS = 1.0
"""So long the answer to a wrong password waits."""

FORM_COOKIE = "s2s-login"
"""The cookie that the form's token is made with before somebody has logged in."""

WRONG = "The name or the password is wrong."
TOO_MANY = "Too many passwords were wrong. Wait a minute."
UNNOTED = "The log of who did what cannot be written now, so nobody can log in."
STALE = "The form was too old, or was not this console's. Try again."


def login_routes(console: Console) -> list[BaseRoute]:
    """The routes with which people log in and out."""
    access = console.access
    # Passwords are checked one at a time: who sends many keeps no thread from those who look at pages.
    threads = anyio.CapacityLimiter(2)

    def is_off() -> bool:
        return access.settings.proxy_header != "" or not access.settings.needs_login

    def form(request: Request, problem: str = "", status: int = 200) -> Response:
        identity = secrets.token_urlsafe(32)
        visitor = Visitor(identity=f"login {identity}")
        page = Asked(request, console, visitor, {}).page(
            "login.html", http_status=status, problem=problem, searches=False
        )
        _keep(page, request, FORM_COOKIE, identity, seconds=3600.0)
        return secured(page)

    async def show(request: Request) -> Response:
        if not access.is_own_host(request) or is_off():
            return secured(RedirectResponse("/", 303))
        return form(request)

    async def log_in(request: Request) -> Response:
        if not access.is_own_host(request) or is_off():
            return secured(RedirectResponse("/", 303))
        values = await read_form(request)
        identity = f"login {request.cookies.get(FORM_COOKIE, '')}"
        if not (access.is_own_origin(request) and access.is_form_token(values.get("token", ""), identity)):
            return form(request, STALE, 403)
        address, name = client_address(request), values.get("name", "").strip()
        if not access.may_try(address):
            return form(request, TOO_MANY, 429)

        def attempt() -> str | None:
            token = access.log_in(name, values.get("password", ""), address=address)
            # What was typed as a name may be a password.
            console.audit.note(name if token else "", "log in" if token else "wrong password", address=address)
            return token

        try:
            token = await anyio.to_thread.run_sync(attempt, limiter=threads)
        except OSError:
            return form(request, UNNOTED, 503)
        if token is None:
            await asyncio.sleep(FAILED_LOGIN_DELAY_SECONDS)
            return form(request, WRONG, 401)
        response = RedirectResponse("/", 303)
        _keep(response, request, access.cookie(request), token, seconds=SESSION_SECONDS)
        response.delete_cookie(FORM_COOKIE)
        return secured(response)

    async def log_out(request: Request) -> Response:
        visitor = access.visitor(request) if access.is_own_host(request) else None
        values = await read_form(request)
        if (
            visitor is not None
            and visitor.name
            and access.is_own_origin(request)
            and access.is_form_token(values.get("token", ""), visitor.identity)
        ):
            access.log_out(request)
            with suppress(OSError):  # whoever goes may go
                console.audit.note(visitor.name, "log out", address=client_address(request))
        return secured(RedirectResponse("/login", 303))

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
    ]


def _keep(response: Response, request: Request, name: str, value: str, *, seconds: float) -> None:
    """Set a cookie that no script reads and no other site sends; one that came over TLS goes out over TLS alone."""
    # In front of a proxy there may be TLS of which only the page's origin tells.
    secure = request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:")
    response.set_cookie(name, value, max_age=int(seconds), path="/", secure=secure, httponly=True, samesite="strict")
