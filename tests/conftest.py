"""Fixtures that every test may ask for; each kind of server has its own module under ``support``."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import settings

if TYPE_CHECKING:
    import pytest

# A busy machine is no failure: how long an example takes says nothing of what it shows.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

# The engine sees to this before it first connects, but a test may connect earlier. From the pool that newer versions of
# unixODBC keep (2.3.14 does, 2.3.11 does not), a connection comes with the transaction of whoever had it.
with suppress(ImportError):
    import pyodbc

    pyodbc.pooling = False

# What s2s test has found is cached for the user, whom the tests are to leave alone.
os.environ["XDG_CACHE_HOME"] = os.environ["LOCALAPPDATA"] = tempfile.mkdtemp(prefix="s2s-tests-cache-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)

pytest_plugins = (
    "support.branch",
    "support.browser",
    "support.client",
    "support.erp",
    "support.servers",
    "support.stock2shop",
    "support.fleet",
    "support.object_store",
)

QUICK = ("config", "mapping", "state", "stock2shop", "test_architecture.py")
"""The folders and files whose tests end in seconds."""

SLOW_FIXTURES = frozenset({"postgres", "mariadb", "servers", "live", "client", "erp", "any_erp", "s2s"})
"""Fixtures that start a server, or run whole syncs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--quick``: only tests that need no server, for while you write."""
    parser.addoption("--quick", action="store_true", help="only the tests that need no server and end in seconds")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what ``--quick`` does not want, and say how much that is."""
    if not config.getoption("--quick"):
        return
    root = config.rootpath / "tests"
    wanted: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        quick = item.path.relative_to(root).parts[0] in QUICK
        slow = SLOW_FIXTURES & set(getattr(item, "fixturenames", ()))
        (wanted if quick and not slow else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = wanted
