"""Fixtures that every test may ask for; each kind of server has its own module under ``support``."""

from __future__ import annotations

pytest_plugins = ("support.client", "support.erp", "support.servers", "support.stock2shop")
