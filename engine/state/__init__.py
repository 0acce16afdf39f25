"""Keep one project's state: a DuckDB file, which is also the lock.

SQL goes in, tuples come out; errors say what to do. A transaction is kept whole or not at all. Start with
:mod:`engine.state.store`.
"""
