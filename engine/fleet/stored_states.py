"""A project's state in PostgreSQL: a packed file now and then, and after it pieces of DuckDB's own journal.

Each entry is stored in one statement or transaction that names the epoch of the lease and the entry's number, so that
a holder who lost the lease stores nothing, and an entry is stored once however often that is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.embedded import duckdb_version
from engine.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    import psycopg

    from engine.fleet.lease import Lease, Stored

FORMAT = 1
"""The version of what is stored: 1 is a DuckDB file and pieces of its journal, each packed by itself with zstd.

One that a later version stored is not read."""

PART_BYTES = 8_000_000
"""Bytes of a file that are packed and stored at a time."""


def require_readable(project: str, stored: Stored) -> None:
    """Raise :class:`StateError` where a newer s2s or DuckDB wrote what is stored of a project."""
    written, own = (tuple(version.lstrip("v").split(".")[:2]) for version in (stored.written_by, duckdb_version()))
    newer = stored.written_by != "" and [int(part) for part in written] > [int(part) for part in own]
    if stored.format > FORMAT or newer:
        raise StateError(
            f"The state of {project} was written by a newer s2s or DuckDB ({stored.written_by}) on another machine.",
            hint="Update s2s and DuckDB on this machine; until then the others run the project.",
        )


def store_journal(lease: Lease, seq: int, body: bytes) -> int:
    """Store the next piece of a state's journal; gives its packed size.

    Raises :class:`LeaseError` where the lease is lost.
    """
    packed = _pack(body)
    values = {**lease.key, "seq": seq, "body": packed, "bytes": len(packed)}
    row = lease.database.row(
        "with held as (update lease set last_seq = %(seq)s, last_epoch = epoch,"
        " journal_bytes = journal_bytes + %(bytes)s"
        " where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s - 1 returning project)"
        " insert into journal (project, seq, epoch, body)"
        " select project, %(seq)s, %(epoch)s, %(body)s from held returning seq",
        values,
    )
    if row is None and not _is_stored(lease, seq):
        raise lease.lost()
    return len(packed)


def store_snapshot(lease: Lease, seq: int, file: BinaryIO) -> int:
    """Store a whole state file as the entry ``seq``, in place of all before it; gives its packed size.

    Raises :class:`LeaseError` where the lease is lost.
    """

    def work(connection: psycopg.Connection[tuple[Any, ...]]) -> int | None:
        held = connection.execute(
            "select 1 from lease where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s - 1"
            " for update",
            {**lease.key, "seq": seq},
        ).fetchone()
        if held is None:
            return None
        file.seek(0)
        total = 0
        for part, packed in enumerate(_packed_parts(file)):
            total += len(packed)
            connection.execute(
                "insert into snapshot values (%s, %s, %s, %s)", [lease.project, seq, part, packed], prepare=False
            )
        connection.execute("delete from snapshot where project = %s and seq < %s", [lease.project, seq])
        connection.execute("delete from journal where project = %s", [lease.project])
        connection.execute(
            "update lease set last_seq = %s, last_epoch = epoch, snapshot_seq = %s, snapshot_bytes = %s,"
            " journal_bytes = 0, format = %s, written_by = %s where project = %s",
            [seq, seq, total, FORMAT, duckdb_version(), lease.project],
        )
        return total

    size = lease.database.transact(work)
    if size is None:
        if not _is_stored(lease, seq):
            raise lease.lost()
        row = lease.database.row("select snapshot_bytes from lease where project = %(project)s", lease.key)
        size = int(row[0]) if row else 0
    return size


def restore(lease: Lease, file: BinaryIO, journal: BinaryIO) -> None:
    """Write what is stored of a state into ``file``, and the pieces of its journal into ``journal``.

    Raises :class:`StateError` where an entry is missing.
    """
    of = {"project": lease.project, "seq": lease.stored.snapshot_seq}
    rows = lease.database.rows("select count(*) from snapshot where project = %(project)s and seq = %(seq)s", of)
    for part in range(rows[0][0]):
        sql = "select body from snapshot where project = %(project)s and seq = %(seq)s and part = %(part)s"
        row = lease.database.row(sql, {**of, "part": part})
        file.write(_unpack(row[0]) if row else b"")
    pieces = lease.database.rows(
        "select seq, body from journal where project = %(project)s and seq > %(seq)s order by seq", of
    )
    expected = range(lease.stored.snapshot_seq + 1, lease.stored.last_seq + 1)
    if not rows[0][0] or [seq for seq, _ in pieces] != [*expected]:
        raise StateError(
            f"What the fleet's PostgreSQL has of {lease.project} has a gap.",
            hint="Restore PostgreSQL from a backup; or take over a machine's own copy with"
            f" `s2s fleet adopt-local {lease.project} --replace`, or run `s2s adopt` there first.",
        )
    journal.writelines(_unpack(body) for _, body in pieces)


def _is_stored(lease: Lease, seq: int) -> bool:
    """Whether an entry was stored by an earlier try, whose answer was lost."""
    sql = "select 1 from lease where project = %(project)s and epoch = %(epoch)s and last_seq = %(seq)s"
    return lease.database.row(sql, {**lease.key, "seq": seq}) is not None


def _packed_parts(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(PART_BYTES):
        yield _pack(part)


def _pack(content: bytes) -> bytes:
    """The content packed, with its length before it: the library asks for that."""
    import pyarrow as pa

    return len(content).to_bytes(8, "big") + bytes(pa.Codec("zstd").compress(content, asbytes=True))


def _unpack(packed: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.Codec("zstd").decompress(packed[8:], int.from_bytes(packed[:8], "big"), asbytes=True))
