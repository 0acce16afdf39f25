"""Fixtures that every test may ask for; each kind of server has its own module under ``support``."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure: how long an example takes says nothing of what it shows.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

pytest_plugins = ("support.client", "support.erp", "support.servers", "support.stock2shop")
