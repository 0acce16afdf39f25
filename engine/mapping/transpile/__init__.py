"""Translate a view of another dialect into DuckDB's SQL, so that it runs on fixtures.

What is not known to mean the same is refused with its name and place, not guessed. Start with
:mod:`engine.mapping.transpile.to_duckdb`.
"""
