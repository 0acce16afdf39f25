"""The job queue, which is Procrastinate's: this module and :mod:`engine.fleet.worker` are all that knows of it."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.fleet.versions import ALIVE_SECONDS, WORKERS_SQL, Versions, known_versions, workers_of

if TYPE_CHECKING:
    import psycopg

_QUEUE = "queue"
"""The name of the library's version among those of a worker."""

_AFTERWARDS = re.compile(r"(\d+)\.(\d+)\.\d+_\d+_post_.*")
"""What may be changed only when no worker has a library from before that version any more."""


def worker_versions() -> Versions:
    """What a worker of this s2s knows, with the version of the queue's library."""
    number = tuple(int(part) for part in version("procrastinate").split(".")[:2])
    return Versions({**known_versions().numbers, _QUEUE: number})


def migrate_queue(connection: psycopg.Connection[tuple[Any, ...]]) -> tuple[list[str], list[str]]:
    """Create the queue's tables, or bring them up to the library's version; gives what was done and what was left.

    The library has a file for each change of its tables. Which of them were made is kept in a table of our own. Some
    are for when all workers have the new version: while an older one runs, they are left for the next time.
    """
    from procrastinate.schema import SchemaManager

    files = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    connection.execute("create table if not exists queue_migration (name text primary key)")
    alive = workers_of(connection.execute(WORKERS_SQL, {"alive": ALIVE_SECONDS}).fetchall())
    oldest = min((worker.known.numbers.get(_QUEUE, ()) for worker in alive), default=None)
    made = {name for (name,) in connection.execute("select name from queue_migration").fetchall()}
    with connection.transaction():
        todo, left = [file for file in files if file.name not in made], []
        if not made:
            connection.execute(SchemaManager.get_schema())
            todo = []
        else:
            left = [file for file in todo if oldest is not None and _breaks(file.name, oldest)]
            files = todo = [file for file in todo if file not in left]
            for file in todo:
                connection.execute(file.read_bytes())
        connection.cursor().executemany(
            "insert into queue_migration values (%s) on conflict do nothing", [(file.name,) for file in files]
        )
    if not made:
        return ["the tables of its job queue"], []
    return [f"the job queue: {file.stem}" for file in todo], [f"the job queue: {file.stem}" for file in left]


def _breaks(name: str, oldest: tuple[int, ...]) -> bool:
    """Whether a change of the queue's tables is one that the oldest worker cannot go on with.

    >>> [_breaks("03.04.00_50_post_x.sql", oldest) for oldest in ((3, 3), (3, 4))], _breaks("03.04.00_01_pre_x", ())
    ([True, False], False)
    """
    found = _AFTERWARDS.fullmatch(name)
    return found is not None and oldest < (int(found[1]), int(found[2]))
