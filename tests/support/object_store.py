"""An object store for the tests: moto's S3 server in a process of its own, spoken to over HTTP."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
import pytest
import requests
from obstore.store import S3Store

from support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "a-secret-that-nothing-prints"


@dataclass
class Bucket:
    """A bucket of the server, empty at first."""

    name: str
    port: int

    @property
    def variables(self) -> dict[str, str]:
        """What says to a command where the store is, and who may use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    @property
    def store(self) -> Any:
        """The bucket as the test itself sees it."""
        return S3Store(self.name, config=self.variables, client_options={"allow_http": True})  # type: ignore[arg-type] # names as variables have them

    def names(self) -> list[str]:
        """The objects that are there."""
        return sorted(each["path"] for page in obstore.list(self.store) for each in page)

    def content(self, name: str) -> bytes:
        """What an object holds."""
        return bytes(obstore.get(self.store, name).bytes())

    def put(self, name: str, content: bytes) -> None:
        """Write an object."""
        obstore.put(self.store, name, content)

    def delete(self, name: str) -> None:
        """Remove an object."""
        obstore.delete(self.store, name)


@pytest.fixture(scope="session")
def s3() -> Iterator[int]:
    """The port of an S3 server for the whole session."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "--port", str(port)], stdout=log, stderr=log, cwd=folder
        )
        try:
            for _ in range(600):
                with suppress(requests.ConnectionError):
                    requests.get(f"http://127.0.0.1:{port}/", timeout=5)
                    break
                assert process.poll() is None, (Path(folder) / "log").read_text("utf-8")
                time.sleep(0.1)
            yield port
        finally:
            process.kill()
            process.wait()


@pytest.fixture
def bucket(s3: int) -> Bucket:
    """A bucket of this test's own."""
    name = f"bucket-{secrets.token_hex(6)}"
    requests.put(f"http://127.0.0.1:{s3}/{name}", timeout=60).raise_for_status()
    return Bucket(name, s3)
