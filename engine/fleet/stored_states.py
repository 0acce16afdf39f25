"""A project's state in PostgreSQL: a packed file now and then, and after it pieces of DuckDB's own journal.

Each entry is stored in one statement or transaction that names the epoch of the lease and the entry's number, so that
a holder who lost the lease stores nothing, and an entry is stored once however often that is tried.

A large file is an object in the fleet's object store, where it has one, and PostgreSQL has its name, size and SHA-256:

    note the name ─▶ upload ─▶ in one transaction with the lease: this name is the state, the one before is unused

So whatever becomes of an upload, PostgreSQL names what is complete, and knows of each object that nothing needs. Those
are removed :data:`KEEP_UNUSED_DAYS` later by whoever stores a file then.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from typing import TYPE_CHECKING, Any

from engine.embedded import duckdb_version
from engine.errors import MissingObjectError, StateError, SyncError
from engine.fleet.versions import known_versions, needed_versions, written_versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO, BinaryIO

    import psycopg

    from engine.fleet.database import FleetDatabase
    from engine.fleet.lease import Lease, Stored
    from engine.fleet.object_store import ObjectStore

PARTS, OBJECT = 1, 2
"""How a file is stored, as `format` of its lease: in parts in PostgreSQL, each packed by itself with zstd; or in the
object store, its packed parts one after the other, which is a file that `zstd -d` unpacks. What comes next raises
:data:`engine.fleet.versions.SNAPSHOT_VERSION`."""

PART_BYTES = 8_000_000
"""Bytes of a file that are packed and stored at a time."""

MIN_OBJECT_BYTES = 50_000_000
"""From this size on a file goes to the object store: a smaller one is stored faster with its row."""

KEEP_UNUSED_DAYS = 7
"""How long an object is kept that no state names any more: a backup of PostgreSQL may name it."""

REMOVED_AT_A_TIME = 20
"""How many objects are removed after one run at most."""

_LOST_HINT = (
    "A machine that ran the project last may still have it in its cache: run it there once. Otherwise restore {what};"
    " or take over a machine's own copy with `s2s fleet adopt-local {project} --replace`, or run `s2s adopt` there"
    " first."
)

_IS_UNUSED = (
    f"unused_since < now() - interval '{KEEP_UNUSED_DAYS} days'"  # noqa: S608 - a number
    " and not exists (select 1 from lease where lease.snapshot_object = snapshot_object.name)"
)

log = logging.getLogger(__name__)


def require_readable(project: str, stored: Stored) -> None:
    """Raise :class:`StateError` where a newer s2s or DuckDB wrote what is stored of a project."""
    missing = known_versions().missing(needed_versions(stored.written_versions, stored.format))
    if missing.numbers:
        raise StateError(
            f"The state of {project} was written by a newer s2s or DuckDB on another machine: this one does not read"
            f" {missing}.",
            hint="Update s2s and DuckDB on this machine; until then the others run the project.",
        )


def store_journal(lease: Lease, seq: int, body: bytes) -> int:
    """Store the next piece of a state's journal; gives its packed size.

    Raises :class:`LeaseError` where the lease is lost.
    """
    packed = _pack(body)
    values = {**lease.key, "seq": seq, "body": packed, "bytes": len(packed), **_written()}
    row = lease.database.row(
        "with held as (update lease set last_seq = %(seq)s, last_epoch = epoch,"
        " journal_bytes = journal_bytes + %(bytes)s, written_by = %(duckdb)s, written_versions = %(written)s"
        " where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s - 1 returning project)"
        " insert into journal (project, seq, epoch, body)"
        " select project, %(seq)s, %(epoch)s, %(body)s from held returning seq",
        values,
    )
    if row is None and not _is_stored(lease, seq):
        raise lease.lost()
    return len(packed)


def store_snapshot(lease: Lease, seq: int, file: BinaryIO, objects: ObjectStore | None, folder: Path) -> int:
    """Store a whole state file as the entry ``seq``, in place of all before it; gives its packed size.

    A large one goes to ``objects``, where there is an object store, and is packed in ``folder`` before. Raises
    :class:`LeaseError` where the lease is lost, and :class:`ObjectStoreError` where the object store cannot be used.
    """
    if objects is not None and is_large(file.seek(0, os.SEEK_END)):
        size = _store_object(lease, seq, file, objects, folder)
    else:
        size = _store_parts(lease, seq, file)
    if size is None:
        if not _is_stored(lease, seq):
            raise lease.lost()
        row = lease.database.row("select snapshot_bytes from lease where project = %(project)s", lease.key)
        size = int(row[0]) if row else 0
    return size


def is_large(size: int) -> bool:
    """Whether a state file of so many bytes is one for the object store."""
    return size >= MIN_OBJECT_BYTES


def _store_parts(lease: Lease, seq: int, file: BinaryIO) -> int | None:
    """Store a file in PostgreSQL; gives its packed size, None where the lease does not wait for this entry.

    The lease's row is locked only at the end: while it is, the lease cannot be renewed, and a large file takes longer
    than a lease lasts.
    """
    from psycopg import Rollback

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> int | None:
        if not _is_next(connection, lease, seq):  # an earlier try may have stored it, whose answer was lost
            return None
        file.seek(0)
        total = 0
        for part, packed in enumerate(_packed_parts(file)):
            total += len(packed)
            connection.execute(
                "insert into snapshot values (%s, %s, %s, %s)", [lease.project, seq, part, packed], prepare=False
            )
        if not _is_next(connection, lease, seq, locks=True):
            raise Rollback
        _replace_snapshot(connection, lease, seq, size=total, name=None)
        return total

    return lease.database.transact(work)


def _store_object(lease: Lease, seq: int, file: BinaryIO, objects: ObjectStore, folder: Path) -> int | None:
    """Store a file in the object store; gives what :func:`_store_parts` does."""
    with tempfile.TemporaryFile(dir=folder) as packed:
        digest = hashlib.sha256()
        file.seek(0)
        for part in _packed_parts(file):
            digest.update(part[LENGTH_BYTES:])
            packed.write(part[LENGTH_BYTES:])
        size = packed.tell()
        name = f"{lease.project}/{lease.epoch}-{seq}-{digest.hexdigest()[:16]}.duckdb.zst"
        # Before the upload: where this process dies in it, the object is known, and unused.
        noted = lease.database.row(
            "insert into snapshot_object (name, project, bytes, sha256)"
            " select %(name)s, project, %(bytes)s, %(sha256)s from lease"
            " where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s - 1"
            " on conflict (name) do update set unused_since = now() returning 1",
            {**lease.key, "seq": seq, "name": name, "bytes": size, "sha256": digest.digest()},
        )
        if noted is None:
            return None
        objects.upload(name, packed)

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> int | None:
        if not _is_next(connection, lease, seq, locks=True):
            return None
        _replace_snapshot(connection, lease, seq, size=size, name=name)
        return size

    return lease.database.transact(work)


def _is_next(connection: psycopg.Connection[tuple[Any, ...]], lease: Lease, seq: int, *, locks: bool = False) -> bool:
    """Whether the lease is held and waits for the entry ``seq``; with ``locks`` so it is until the transaction ends."""
    sql = "select 1 from lease where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s - 1"
    if locks:
        sql += " for update"
    return connection.execute(sql.encode(), {**lease.key, "seq": seq}).fetchone() is not None


def _replace_snapshot(
    connection: psycopg.Connection[tuple[Any, ...]], lease: Lease, seq: int, *, size: int, name: str | None
) -> None:
    """Have what was just stored be the state: the object ``name``, or parts."""
    project = lease.project
    connection.execute("delete from snapshot where project = %s and seq < %s", [project, seq])
    connection.execute("delete from journal where project = %s", [project])
    connection.execute(
        "update snapshot_object set unused_since = case when name = %s then null else now() end"
        " where project = %s and (unused_since is null or name = %s)",
        [name, project, name],
    )
    connection.execute(
        "update lease set last_seq = %(seq)s, last_epoch = epoch, snapshot_seq = %(seq)s, snapshot_bytes = %(size)s,"
        " snapshot_object = %(name)s, journal_bytes = 0, format = %(format)s, written_by = %(duckdb)s,"
        " written_versions = %(written)s where project = %(project)s",
        {
            **lease.key,
            "seq": seq,
            "size": size,
            "name": name,
            "format": PARTS if name is None else OBJECT,
            **_written(),
        },
    )


def remove_unused_objects(database: FleetDatabase, objects: ObjectStore) -> None:
    """Remove objects that no state has named for :data:`KEEP_UNUSED_DAYS`, some at a time; what fails is left."""
    try:
        sql = f"select name from snapshot_object where {_IS_UNUSED} limit {REMOVED_AT_A_TIME}"  # noqa: S608 - as above
        for (name,) in database.rows(sql):

            def work(connection: psycopg.Connection[tuple[Any, ...]], name: str = name) -> None:
                sql = f"delete from snapshot_object where name = %s and {_IS_UNUSED} returning 1"  # noqa: S608 - as above
                if connection.execute(sql.encode(), [name]).fetchone() is not None:
                    objects.delete(name)

            database.transact(work)
    except SyncError as error:
        log.warning("Objects that are not needed any more could not be removed: %s", error)


def restore(lease: Lease, file: BinaryIO, journal: BinaryIO, objects: ObjectStore | None, folder: Path) -> None:
    """Write what is stored of a state into ``file``, and the pieces of its journal into ``journal``.

    ``folder`` is for what is fetched before it is unpacked. Raises :class:`StateError` where an entry is missing or
    damaged, and :class:`ObjectStoreError` where the object store cannot be used.
    """
    stored = lease.stored
    of = {"project": lease.project, "seq": stored.snapshot_seq}
    if stored.snapshot_object is not None:
        _restore_object(lease, stored.snapshot_object, file, objects, folder)
        is_whole = True
    else:
        rows = lease.database.rows("select count(*) from snapshot where project = %(project)s and seq = %(seq)s", of)
        is_whole = bool(rows[0][0])
        for part in range(rows[0][0]):
            sql = "select body from snapshot where project = %(project)s and seq = %(seq)s and part = %(part)s"
            row = lease.database.row(sql, {**of, "part": part})
            file.write(_unpack(row[0]) if row else b"")
    pieces = lease.database.rows(
        "select seq, body from journal where project = %(project)s and seq > %(seq)s order by seq", of
    )
    expected = range(stored.snapshot_seq + 1, stored.last_seq + 1)
    if not is_whole or [seq for seq, _ in pieces] != [*expected]:
        raise StateError(
            f"What the fleet's PostgreSQL has of {lease.project} has a gap.",
            hint=_LOST_HINT.format(what="PostgreSQL from a backup", project=lease.project),
        )
    journal.writelines(_unpack(body) for _, body in pieces)


def _restore_object(lease: Lease, name: str, file: BinaryIO, objects: ObjectStore | None, folder: Path) -> None:
    """Fetch an object and unpack it into ``file``, once it is known to be what was stored."""
    if objects is None:
        raise StateError(
            f"The state of {lease.project} is in an object store, and workspace.toml on this machine names none.",
            hint="Write `snapshots` under [fleet], as the machine has it that stored the state.",
        )
    row = lease.database.row("select bytes, sha256 from snapshot_object where name = %s", [name])
    hint = _LOST_HINT.format(
        what=f"{objects.location(name)} from an older version that the store keeps, or from a backup",
        project=lease.project,
    )
    with tempfile.TemporaryFile(dir=folder) as packed:
        digest = hashlib.sha256()
        try:
            for piece in objects.download(name, row[0] if row else 0):
                digest.update(piece)
                packed.write(piece)
        except MissingObjectError as error:
            raise MissingObjectError(
                f"The state of {lease.project} cannot be fetched: {error}",
                hint=f"Where `snapshots` under [fleet] was changed, copy all objects to the new place. {hint}",
            ) from None
        if row is None or digest.digest() != row[1]:
            raise StateError(f"{objects.location(name)} is damaged: it is not what was stored there.", hint=hint)
        packed.seek(0)
        _unpack_file(packed, file)


def _written() -> dict[str, str]:
    """What must be known to read what this s2s writes; ``written_by`` is for versions that know of nothing else."""
    return {"duckdb": duckdb_version(), "written": written_versions()}


def _is_stored(lease: Lease, seq: int) -> bool:
    """Whether an entry was stored by an earlier try, whose answer was lost."""
    sql = "select 1 from lease where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s"
    return lease.database.row(sql, {**lease.key, "seq": seq}) is not None


def _packed_parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(PART_BYTES):
        yield _pack(part)


LENGTH_BYTES = 8
"""What is packed in PostgreSQL has its unpacked length before it: the library asks for that."""


def _pack(content: bytes) -> bytes:
    import pyarrow as pa

    return len(content).to_bytes(LENGTH_BYTES, "big") + bytes(pa.Codec("zstd").compress(content, asbytes=True))


def _unpack(packed: bytes) -> bytes:
    import pyarrow as pa

    length = int.from_bytes(packed[:LENGTH_BYTES], "big")
    return bytes(pa.Codec("zstd").decompress(packed[LENGTH_BYTES:], length, asbytes=True))


def _unpack_file(packed: IO[bytes], file: BinaryIO) -> None:
    import pyarrow as pa

    with pa.CompressedInputStream(packed, "zstd") as stream:
        while part := stream.read(PART_BYTES):
            file.write(part)
