"""What each project of a workspace does, how it did last, and what needs a person: in one look.

The names of projects go in; a status for each comes out, what needs a person first. It reads the run log, the ledgers
of orders and the cadence in ``project.toml``, and needs no password. Start with :mod:`engine.status.collect`.
"""
