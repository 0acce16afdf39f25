"""Run a mapping on fixtures, without a database, and compare the result with its snapshots.

CSV files go in, rows and differences come out. Start with :mod:`engine.testing.fixture_run`.
"""
