"""Large states are objects in an object store, which PostgreSQL names: in a real S3 server, and in a folder."""

from __future__ import annotations

import hashlib
import io
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from support.object_store import SECRET

from engine.fleet import checkout, object_store, stored_states
from engine.fleet.database import FleetDatabase
from engine.fleet.lease import take_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.client import Client
    from support.fleet import Fleet
    from support.object_store import Bucket

    from engine.fleet.lease import Lease

BATCHES = "pace = 0\nbatch_variants = 7"

NOWHERE = "http://127.0.0.1:9"


def prices(client: Client) -> dict[str, float]:
    """What Stock2Shop holds."""
    return {code: float(each["price"]) for code, each in client.held().items()}


def use(fleet: Fleet, address: str, **variables: str) -> None:
    """Have each state be one for the object store at an address."""
    path = fleet.client.workspace / "workspace.toml"
    path.write_text(f'[fleet]\ndatabase = "${{S2S_FLEET}}"\nsnapshots = "{address}"\n', "utf-8")
    fleet.client.environ.update(variables, OBJECT_BYTES="1")


def has(fleet: Fleet, query: str) -> Any:
    """The only value of a query in the fleet's PostgreSQL."""
    return fleet.postgres.row(fleet.database, query.replace("from ", "from s2s_fleet."))[0]


def in_use(fleet: Fleet) -> str:
    """The object that PostgreSQL names."""
    return f"states/{has(fleet, 'select snapshot_object from lease')}"


@pytest.fixture
def stored(fleet: Fleet, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A fleet whose states are all in a bucket."""
    monkeypatch.setattr(stored_states, "MIN_OBJECT_BYTES", 1)
    monkeypatch.setattr(object_store, "RETRY_SECONDS", 1)
    use(fleet, f"s3://{bucket.name}/states/", **bucket.variables)
    return fleet


def in_folder(fleet: Fleet) -> Callable[[], list[str]]:
    """Have the states in a folder; gives what lists them."""
    folder = fleet.folder / "shared" / "states"
    use(fleet, folder.as_uri())
    return lambda: sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.zst"))


@pytest.mark.parametrize("where", ["s3", "folder"])
def test_a_large_state_follows_its_project_through_the_object_store(stored: Fleet, bucket: Bucket, where: str) -> None:
    """What one machine sent is known to all others, back on one machine, and in the fleet again."""
    client = stored.client
    names = (
        in_folder(stored) if where == "folder" else lambda: [name.removeprefix("states/") for name in bucket.names()]
    )
    assert "takes, gives and removes an object" in stored.run("a", "fleet", "init")
    assert names() == []
    client.items(3)
    printed = stored.run("a", "run", "acme")
    (name,) = names()
    assert name == has(stored, "select snapshot_object from lease")
    assert has(stored, "select count(*) from snapshot") == 0
    printed += stored.run("b", "run", "acme")
    assert client.posted() == 3
    client.sql("update item set price = '7' where code = 'I001'")
    assert "changes: 1 changed" in stored.run("c", "plan", "acme")
    stored.run("c", "run", "acme")
    printed += stored.run("a", "explain", "acme", "I001") + stored.run("b", "history", "acme")
    printed += stored.run("d", "status", "acme") + stored.run("d", "fleet", "status")
    assert client.posted() == 4

    shared = client.workspace / "workspace.toml"
    settings = shared.read_text("utf-8")
    printed += stored.run("e", "fleet", "export-local")
    shared.unlink()
    client.sql("update item set price = '8' where code = 'I001'")
    stored.run("e", "run", "acme")
    shared.write_text(settings, "utf-8")
    printed += stored.run("e", "fleet", "adopt-local", "--replace") + stored.run("e", "fleet", "resume", "acme")
    stored.run("b", "run", "acme")
    assert client.posted() == 5
    assert SECRET not in printed


@pytest.mark.parametrize("harm", ["damaged", "cut short", "missing"])
def test_a_harmed_object_stops_the_run_and_no_older_state_is_taken(stored: Fleet, bucket: Bucket, harm: str) -> None:
    """Nothing is sent; the machine that has the state in its cache goes on, and one with its own copy heals it."""
    client = stored.client
    client.items(3)
    stored.run("a", "run", "acme")
    (name,) = bucket.names()
    content = bucket.content(name)
    client.sql("update item set price = '7' where code = 'I001'")
    if harm == "missing":
        bucket.delete(name)
    else:
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        bucket.put(name, content[:-9] if harm == "cut short" else content[:middle] + changed + content[middle + 1 :])
    said = stored.run("b", "run", "acme", code=1)
    assert f"s3://{bucket.name}/states/acme/" in said
    assert {"damaged": "is damaged", "cut short": "does not have the", "missing": "is not there"}[harm] in said
    assert "adopt-local acme --replace" in said
    assert client.posted() == 3
    stored.run("a", "run", "acme")
    assert client.posted() == 4

    bucket.put(name, content)
    stored.run("c", "fleet", "export-local")
    stored.run("c", "fleet", "resume", "acme")
    for each in bucket.names():
        bucket.delete(each)
    assert "is not there" in stored.run("d", "history", "acme", code=1)
    assert "fleet's now" in stored.run("c", "fleet", "adopt-local", "--replace")
    stored.run("d", "run", "acme")
    assert client.posted() == 4


def test_a_store_that_is_away_loses_nothing(stored: Fleet, bucket: Bucket) -> None:
    """Where the whole file can wait it does; where it cannot, or none is here, the run ends and says what to check."""
    client = stored.client
    client.write(remote=BATCHES, settings="max_changes = 100")
    client.items(20)
    stored.run("a", "run", "acme")
    before = bucket.names()
    client.environ["AWS_ENDPOINT_URL"] = NOWHERE
    client.sql("update item set price = '7'")
    stored.sql("update s2s_fleet.lease set journal_bytes = 1000000")
    assert "is stored later" in stored.run("a", "run", "acme")
    stored.run("a", "run", "acme")
    assert client.posted() == 40
    said = stored.run("b", "run", "acme", code=1)
    assert f"object store s3://{bucket.name}/states cannot be used" in said
    assert "Check `snapshots` under [fleet]" in said
    assert "cannot be used" in stored.run("a", "fleet", "init", code=1)
    settings = (client.workspace / "workspace.toml").read_text("utf-8")
    use(stored, "s3://no-such-bucket/states", **bucket.variables)
    assert "s3://no-such-bucket/states cannot be used" in stored.run("a", "fleet", "init", code=1)
    (client.workspace / "workspace.toml").write_text(settings, "utf-8")
    client.environ["AWS_ENDPOINT_URL"] = NOWHERE

    client.sql("update item set price = '8'")
    must_store = stored.start("a", "run", "acme", env={"CHECKPOINTS": "1KB"})
    assert "cannot be used" in stored.end(must_store, code=1)
    assert client.posted() == 40
    client.environ.update(bucket.variables)
    assert bucket.names() == before
    stored.run("b", "run", "acme")
    assert client.posted() == 60
    assert set(prices(client).values()) == {8.0}
    assert has(stored, "select journal_bytes from lease") == 0
    assert len(bucket.names()) == 2


def test_without_the_setting_a_state_in_the_store_is_not_begun_anew(stored: Fleet) -> None:
    """A machine whose workspace.toml names no object store says so; an address with a password is refused."""
    client = stored.client
    client.items(3)
    stored.run("a", "run", "acme")
    path = client.workspace / "workspace.toml"
    settings = path.read_text("utf-8")
    path.write_text('[fleet]\ndatabase = "${S2S_FLEET}"\n', "utf-8")
    assert "workspace.toml on this machine names none" in stored.run("b", "run", "acme", code=1)
    for wrong in ("ftp://bucket/states", "s3://key:password@bucket/states", "states"):
        use(stored, wrong)
        assert "no address of an object store" in stored.run("b", "run", "acme", code=2)
    path.write_text(settings, "utf-8")
    stored.run("b", "run", "acme")
    assert client.posted() == 3


def test_what_a_killed_upload_left_is_never_the_state_and_is_removed(stored: Fleet, bucket: Bucket) -> None:
    """Killed after the upload, before PostgreSQL names it: taken over from what is named, one batch sent twice."""
    client = stored.client
    client.write(remote=BATCHES, settings="max_changes = 100")
    client.items(40)
    stored.run("a", "run", "acme")
    client.sql("update item set price = '7'")
    killed = stored.start("a", "run", "acme", freeze="pointer", at=3, env={"CHECKPOINTS": "1KB"})
    stored.wait_until_frozen(killed)
    killed.kill()
    killed.wait()
    left = {*bucket.names()} - {in_use(stored)}
    assert left
    stored.run("b", "run", "acme")
    assert prices(client) == {f"I{number:03}": 7.0 for number in range(40)}
    assert client.posted() <= 40 + 40 + 7
    # What may still be of use is kept for a while.
    assert left <= {*bucket.names()}
    stored.sql("update s2s_fleet.snapshot_object set unused_since = unused_since - interval '8 days'")
    stored.sql("update s2s_fleet.lease set journal_bytes = 1000000")
    before = in_use(stored)
    client.sql("update item set price = '8'")
    stored.run("b", "run", "acme")
    assert {*bucket.names()} == {before, in_use(stored)}


def test_what_a_machine_uploads_after_another_took_over_is_never_the_state(stored: Fleet, bucket: Bucket) -> None:
    """Frozen after its upload, before PostgreSQL names it: it wakes up, changes nothing, and ends with 75."""
    client = stored.client
    client.write(remote=BATCHES, settings="max_changes = 100\nmax_deletes = 100")
    client.items(20)
    zombie = stored.start("a", "run", "acme", freeze="pointer", at=3, env={"CHECKPOINTS": "1KB"})
    stored.wait_until_frozen(zombie)
    client.sql("update item set price = '7'", "delete from item where code in ('I003', 'I009')")
    stored.run("b", "run", "acme")
    named = has(stored, "select snapshot_object from lease")
    posted = client.posted()
    zombie.send_signal(signal.SIGCONT)
    assert "took acme over" in stored.end(zombie, code=75)
    assert has(stored, "select snapshot_object from lease") == named
    for machine in "cab":
        stored.run(machine, "run", "acme")
    assert client.posted() == posted
    assert prices(client) == {f"I{number:03}": 7.0 for number in range(20) if number not in {3, 9}}


def test_an_object_is_a_file_that_zstd_unpacks(stored: Fleet, bucket: Bucket) -> None:
    """Its name has the begin of its SHA-256: what is there can be checked and read without the fleet."""
    stored.client.items(3)
    stored.run("a", "run", "acme")
    (name,) = bucket.names()
    content = bucket.content(name)
    assert f"-{hashlib.sha256(content).hexdigest()[:16]}.duckdb.zst" in name
    with pa.CompressedInputStream(io.BytesIO(content), "zstd") as unpacked:
        assert unpacked.read(12)[8:] == b"DUCK"


def test_a_lease_is_renewed_while_a_file_is_stored_however_long_that_takes(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storing a file in PostgreSQL locks the lease at its end only: a line may be slow, and a file large."""
    fleet.client.items(3)
    leases: list[Lease] = []
    take, pack = take_lease, stored_states._packed_parts

    def taken(*values: Any, **named: Any) -> Lease:
        leases.append(take(*values, **named))
        return leases[-1]

    def slow(file: Any) -> Iterator[bytes]:
        yield from pack(file)
        with closing(FleetDatabase(fleet.client.environment["S2S_FLEET"])) as other:
            other.rows("set statement_timeout = 1000")
            leases[-1].renew(other)

    monkeypatch.setattr(checkout, "take_lease", taken)
    monkeypatch.setattr(stored_states, "_packed_parts", slow)
    fleet.run("a", "run", "acme")
    assert leases
    assert fleet.client.posted() == 3
