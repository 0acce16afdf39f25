"""Fixtures that every test may ask for; each kind of server has its own module under ``support``."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import settings

# A busy machine is no failure: how long an example takes says nothing of what it shows.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

# The engine sees to this before it first connects, but a test may connect earlier. From the pool that newer versions of
# unixODBC keep (2.3.14 does, 2.3.11 does not), a connection comes with the transaction of whoever had it.
with suppress(ImportError):
    import pyodbc

    pyodbc.pooling = False

pytest_plugins = ("support.client", "support.erp", "support.servers", "support.stock2shop")
