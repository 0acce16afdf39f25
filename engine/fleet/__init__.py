"""Let any of several machines run any project of a workspace, with everything they share in PostgreSQL.

In: the address of a PostgreSQL database, and a project. Out: the project's state on this machine, under a lease that no
other machine can have at the same time. Promised: nothing is sent that PostgreSQL has not been told of before, and a
machine that lost its lease sends nothing any more. Start with :mod:`engine.fleet.checkout`.
"""
