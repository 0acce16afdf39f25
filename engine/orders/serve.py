"""Listen for the orders of one project, as ``s2s orders serve`` does."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import OriginChangedError, SyncError, UsageError
from engine.http_server import Listener, serve_in_thread
from engine.orders.connections import OpenConnections, limited_protocol
from engine.orders.http import receiver_application
from engine.orders.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.model.settings import Project
    from engine.orders.ledger import Ledgers


def tls_context(certificate: Path | None, key: Path | None, *, table: str) -> ssl.SSLContext | None:
    """Return what TLS is made with, None without the two files, which ``table`` of a configuration names.

    Raises :class:`UsageError` where they cannot be used.
    """
    if certificate is None or key is None:
        return None
    for name, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}.", hint=f"Check {name} under {table}.") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise UsageError(
            f"{certificate} and {key} cannot be used for TLS: {error.reason or error}.",
            hint="tls_certificate is a PEM file with the certificate and what leads to it, tls_key one with its private"
            " key, without a password.",
        ) from None
    return context


@contextmanager
def run_receiver(
    project: Project,
    ledgers: Ledgers,
    *,
    on_event: Callable[..., None] = lambda _text, **_facts: None,
    on_stopped: Callable[[], None] = lambda: None,
) -> Iterator[str]:
    """Listen in a thread until the block ends, and yield the address; an order that is being raised is finished first.

    ``on_event`` is called as :class:`Receiver` says; ``on_stopped`` is called in the thread when it stops listening.

    Raises :class:`OSError` where the port cannot be had, :class:`UsageError` where the TLS files cannot be used, and
    :class:`OriginChangedError` where the ledger's orders are those of another account or database.
    """
    _require_own_ledger(project, ledgers)
    receiver = Receiver(project, ledgers, on_event=on_event)
    settings = receiver.settings
    tls = tls_context(settings.tls_certificate, settings.tls_key, table="[orders.serve]")
    connections = OpenConnections()
    listener = Listener(host=settings.host, port=settings.port, protocol=limited_protocol(connections, tls), tls=tls)
    application = receiver_application(receiver, connections)
    stopping = threading.Event()
    due_thread = threading.Thread(target=receiver.raise_due_regularly, args=(stopping,), daemon=True)
    try:
        with serve_in_thread(application, listener, grace_seconds=60, on_stopped=on_stopped) as address:
            due_thread.start()
            try:
                yield address
            finally:
                stopping.set()
    finally:
        if due_thread.is_alive():
            due_thread.join(timeout=90)
        receiver.close()


def _require_own_ledger(project: Project, ledgers: Ledgers) -> None:
    """Raise :class:`OriginChangedError` where the ledger belongs to another account or database.

    What else is wrong with it may pass, and is said of each order.
    """
    try:
        if ledgers.has_ledger(project.name):  # a look makes none
            with ledgers.opened(project):
                pass
    except OriginChangedError:
        raise
    except SyncError:
        return
