"""An object store for large state files: S3 and what speaks its protocol, Google Cloud Storage, Azure, or a folder.

Objects are written once, under a name that no other has, and are never changed. What is in them is proven by whoever
reads them: this module only says, in plain words, where an object is missing or the store cannot be reached.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import MissingObjectError, ObjectStoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

CHUNK_BYTES = 8_000_000
"""Bytes of an object that one request carries, and that are sent once more where it fails."""

CONCURRENT_CHUNKS = 4
"""How many chunks are sent at a time: so much of an object is in memory."""

REQUEST_SECONDS = 60
"""How long one request may take: a chunk over a line of 1 MBit/s."""

RETRY_SECONDS = 30
"""For how long a request is tried again that failed."""


class ObjectStore:
    """The object store at an ``address`` such as ``s3://bucket/prefix``, which holds no secret.

    ``variables`` say how to log in, by the names that the store's own tools have for them, such as
    ``AWS_ACCESS_KEY_ID``; others are left out. Nothing is connected before it is needed.
    """

    def __init__(self, address: str, variables: Mapping[str, str]) -> None:
        self.address = address.rstrip("/")
        self._variables = variables
        self._store: Any = None

    def location(self, name: str) -> str:
        """Where an object is, for people."""
        return f"{self.address}/{name}"

    def upload(self, name: str, file: BinaryIO) -> None:
        """Store the content of a file, from its beginning, as an object."""
        import obstore

        file.seek(0)
        with self._translated(name, is_asked_for=False):
            obstore.put(self._opened(), name, file, chunk_size=CHUNK_BYTES, max_concurrency=CONCURRENT_CHUNKS)

    def download(self, name: str, size: int) -> Iterator[bytes]:
        """The content of an object that has so many bytes, in pieces.

        Raises :class:`MissingObjectError` where there is none of that size.
        """
        import obstore

        with self._translated(name):
            if obstore.head(self._opened(), name)["size"] != size:
                raise MissingObjectError(f"{self.location(name)} does not have the {size:,} bytes that were stored.")
        for start in range(0, size, CHUNK_BYTES):
            length = min(CHUNK_BYTES, size - start)
            with self._translated(name):
                content = bytes(obstore.get_range(self._opened(), name, start=start, length=length))
            yield content

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is removed already."""
        import obstore

        try:
            with self._translated(name):
                obstore.delete(self._opened(), name)
        except MissingObjectError:
            pass

    def check(self) -> None:
        """Write an object, read it and remove it, as the fleet does. Raises :class:`ObjectStoreError`."""
        import io

        name, content = f"s2s-check-{secrets.token_hex(8)}", secrets.token_bytes(16)
        self.upload(name, io.BytesIO(content))
        try:
            if b"".join(self.download(name, len(content))) != content:
                raise ObjectStoreError(f"{self.location(name)} is not read as it was written.")
        finally:
            self.delete(name)

    def require_reachable(self) -> None:
        """Raise :class:`ObjectStoreError` where the store cannot be reached now."""
        import obstore

        name = "s2s-check"
        try:
            with self._translated(name):
                obstore.head(self._opened(), name)
        except MissingObjectError:
            pass

    def _opened(self) -> Any:
        if self._store is None:
            from obstore.store import LocalStore, from_url

            if self.address.startswith("file:"):
                self._store = LocalStore.from_url(self.address, mkdir=True)
            else:
                self._store = from_url(
                    self.address,
                    config=self._config(),
                    # An endpoint that is written with http:// is meant so; all others are reached by TLS.
                    client_options={"allow_http": True, "timeout": f"{REQUEST_SECONDS}s"},
                    retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
                )
        return self._store

    def _config(self) -> Any:
        """Those of the variables that this kind of store knows; it refuses all others."""
        from obstore.exceptions import BaseError, UnknownConfigurationKeyError
        from obstore.store import from_url

        config = {}
        for variable, value in self._variables.items():
            try:
                from_url(self.address, config={variable: value})  # type: ignore[call-overload] # the library tells
            except UnknownConfigurationKeyError:
                continue
            except BaseError:  # alone it is not enough
                pass
            config[variable] = value
        return config

    @contextmanager
    def _translated(self, name: str, *, is_asked_for: bool = True) -> Iterator[None]:
        """Raise the engine's own errors; what is missing is the object only where one ``is_asked_for``."""
        try:
            from obstore.exceptions import BaseError, NotFoundError
        except ImportError:
            raise UsageError(
                "The library for object stores is not installed.",
                hint="Install it: pip install 'stock2shop-sync[fleet]'.",
            ) from None
        try:
            yield
        except (BaseError, OSError, ValueError) as error:
            if is_asked_for and isinstance(error, FileNotFoundError | NotFoundError):
                raise MissingObjectError(f"{self.location(name)} is not there.") from None
            raise ObjectStoreError(
                f"The fleet's object store {self.address} cannot be used: {_reason(error)}.",
                hint="Check `snapshots` under [fleet] of workspace.toml, the variables that say who may use it, and the"
                " network; `s2s fleet init` tries it. Nothing is lost: the next run goes on.",
            ) from None


def _reason(error: Exception) -> str:
    """The first line of an error, without an answer's body, which may repeat the name of a key."""
    lines = str(error).strip().splitlines()
    return lines[0].partition(": <")[0].rstrip(".: ") if lines else type(error).__name__
