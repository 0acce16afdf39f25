"""The job queue, which is Procrastinate's: this module and :mod:`engine.fleet.worker` are all that knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


def migrate_queue(connection: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    """Create the queue's tables, or bring them up to the library's version; gives what was done, in words.

    The library has a file for each change of its tables. Which of them were made is kept in a table of our own.
    """
    from procrastinate.schema import SchemaManager

    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    connection.execute("create table if not exists queue_migration (name text primary key)")
    made = {name for (name,) in connection.execute("select name from queue_migration").fetchall()}
    with connection.transaction():
        if not made:
            connection.execute(SchemaManager.get_schema())
            todo = []
        else:
            todo = [file for file in files if file.name not in made]
            for file in todo:
                connection.execute(file.read_bytes())
        connection.cursor().executemany(
            "insert into queue_migration values (%s) on conflict do nothing", [(file.name,) for file in files]
        )
    if not made:
        return ["the tables of its job queue"]
    return [f"the job queue: {file.stem}" for file in todo]
