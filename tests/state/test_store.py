"""The state's file: what runs in it, what it refuses, and what it says when it cannot."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import chain
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest

from engine.errors import StateError, StateLockedError, StateMemoryError, is_out_of_memory
from engine.state.errors import translate_errors
from engine.state.store import MEMORY_LIMITS, State, open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_sql_of_a_project_cannot_write_to_the_state(tmp_path: Path) -> None:
    """Neither to the file nor to the working set; what it reads is there, and the engine itself writes on."""
    with open_state(tmp_path / "acme.duckdb") as state:
        state.run("create table run.landed as select 1 as n")
        assert state.read_only_dicts("select n from run.landed where n = $1", [1]) == [{"n": 1}]
        for statement in (
            "delete from run.landed",
            "create table main.mine as select 1",
            "update meta set value = 'x'",
        ):
            with pytest.raises(StateError, match="cannot be written"):
                state.read_only_dicts(statement)
        state.run("insert into run.landed values (2)")
        assert state.value("select count(*) from run.landed") == 2


def test_one_select_is_told_from_everything_else(tmp_path: Path) -> None:
    """DuckDB counts, which runs it: a carriage return ends a comment for it."""
    with open_state(tmp_path / "acme.duckdb") as state:
        assert state.is_one_select("with a as (select 1) select * from a; -- that is all\n")
        for sql in ("delete from meta", "select 1; select 2", "select 1 --\r; delete from meta", "checkpoint", ""):
            assert not state.is_one_select(sql)


def test_the_state_reads_and_writes_no_file_but_its_own(tmp_path: Path) -> None:
    """Its working set is attached all the same, and gets more memory where it needs it."""
    (tmp_path / "x.csv").write_text("a\n1\n", "utf-8")
    with open_state(tmp_path / "acme.duckdb") as state:
        for sql in (
            f"select * from read_csv('{tmp_path}/x.csv')",
            f"copy (select 1) to '{tmp_path}/out.csv'",
            f"attach '{tmp_path}/other.duckdb' as other",
            "set enable_external_access = true",
        ):
            with pytest.raises(StateError):
                state.run(sql)
        assert state.increase_memory_limit()
        state.run("create table run.t as select 1 as a")
        state.release_buffers()
        state.transaction_with_retry(lambda: state.run("insert into run.t values (2)"))
    assert {path.name for path in tmp_path.iterdir()} == {"acme.duckdb", "x.csv"}


def test_an_empty_state_file_is_none(tmp_path: Path) -> None:
    """A run was killed when it had just created it: nothing is lost, and the next run begins."""
    path = tmp_path / "acme.duckdb"
    path.touch()
    with open_state(path) as state:
        state.set_meta("mine", "1")
    with open_state(path) as state:
        assert state.meta("mine") == "1"


@pytest.mark.parametrize("size", [100, 4096, 8192, 12_287])
def test_a_state_whose_run_was_killed_as_it_created_it_is_begun_anew(tmp_path: Path, size: int) -> None:
    """DuckDB writes three headers one after the other; nothing is in the file before the last one."""
    path = tmp_path / "acme.duckdb"
    duckdb.connect(path).close()
    path.write_bytes(path.read_bytes()[:size])
    with open_state(path) as state:
        state.set_meta("mine", "1")
    with open_state(path) as state:
        assert state.meta("mine") == "1"


HOLDING = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_empty_state_file_that_another_process_holds_is_left_alone(tmp_path: Path) -> None:
    """It may be about to write into it."""
    path = tmp_path / "acme.duckdb"
    path.touch()
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StateLockedError), open_state(path):
            pass
        assert path.stat().st_size == 0
        holder.communicate("")


def test_a_damaged_state_file_is_still_said(tmp_path: Path) -> None:
    """Also where only its headers are left: it has a journal, so it was in use."""
    path = tmp_path / "acme.duckdb"
    path.write_bytes(b"x")
    with pytest.raises(StateError, match="damaged"), open_state(path):
        pass
    path.unlink()
    duckdb.connect(path).close()
    path.write_bytes(path.read_bytes()[:8192])
    (tmp_path / "acme.duckdb.wal").write_bytes(b"of a run that was killed")
    with pytest.raises(StateError, match="damaged"), open_state(path):
        pass


def test_a_state_file_of_which_only_the_beginning_is_left_is_damaged(tmp_path: Path) -> None:
    """It had something in it once: to begin anew would send everything again, and remove nothing."""
    path = tmp_path / "acme.duckdb"
    with open_state(path):
        pass
    path.write_bytes(path.read_bytes()[:5_000])
    with pytest.raises(StateError, match="damaged"), open_state(path):
        pass


@pytest.mark.parametrize("retry", [State.with_retry, State.transaction_with_retry])
@pytest.mark.parametrize("before", [0, 3_000])
def test_rows_are_staged_once_each_where_the_memory_was_too_little_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, retry: Callable[[State, Callable[[], None]], None]
) -> None:
    """Narrow rows and then wide ones: DuckDB runs out of memory as it commits them, and spoils the table."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ["20MB", "192MB"])
    wide = "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz ", k=1_000)) * 1_000

    def incoming() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"n": pa.array(range(10_000)), "text": [f"{n} narrow" for n in range(10_000)]})
        yield pa.record_batch(
            {"n": pa.array(range(10_000, 10_060)), "text": [f"{n} {wide}" for n in range(10_000, 10_060)]}
        )

    attempts = 0

    def insert() -> None:
        nonlocal attempts
        attempts += 1
        rows = incoming()
        first = next(rows)
        with state.registered("incoming", pa.RecordBatchReader.from_batches(first.schema, chain((first,), rows))):
            state.run("insert into run.landed select n, text || '' from incoming")

    with open_state(tmp_path / "acme.duckdb") as state:
        state.run("create table run.landed (n bigint, text varchar)")
        state.run(f"insert into run.landed select -1 - n, 'before' from range({before}) as numbers(n)")
        retry(state, insert)
        assert attempts == 2
        assert state.row(
            "select count(*), count(distinct n), min(n), max(n), count(*) filter (starts_with(text, n || ' '))"
            " from run.landed"
        ) == (before + 10_060, before + 10_060, -before, 10_059, 10_060)


def test_memory_that_the_engine_gave_too_little_of_is_not_blamed_on_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run begins with more, and goes through."""
    monkeypatch.setattr("engine.state.store.MEMORY_LIMITS", ("20MB", *MEMORY_LIMITS[2:]))
    work = (
        "create table run.t as select 1; create table run.many as select list(md5(n::varchar)) from range(400_000) r(n)"
    )
    with (
        pytest.raises(StateMemoryError, match="20MB that it was given") as raised,
        open_state(tmp_path / "acme.duckdb") as state,
    ):
        state.run(work)
    assert "Run again" in raised.value.hint
    with open_state(tmp_path / "acme.duckdb") as state:
        state.run(work)


def test_memory_that_the_machine_does_not_have_is_said_as_that(tmp_path: Path) -> None:
    """Whoever says so: DuckDB, Python, or the system that starts no thread."""
    refused = duckdb.OutOfMemoryException(
        "Out of Memory Error: Failed to allocate block of 32768 bytes (bad allocation)"
    )
    with (
        pytest.raises(StateMemoryError, match="than this machine has free"),
        translate_errors(tmp_path, memory_limit="48MB"),
    ):
        raise refused
    for error in (
        refused,
        MemoryError(),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
    ):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(ValueError("a column called memory"))


@pytest.mark.parametrize("in_memory", [8_000_000, 500, 0])
def test_rows_that_a_statement_could_not_take_can_be_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    """From memory, from disk, or from both, while more of them come; nothing is left of them."""
    monkeypatch.setattr("engine.state.spill_file.MAX_BYTES_IN_MEMORY", in_memory)
    schema = pa.schema([("a", pa.string())])
    with open_state(tmp_path / "acme.duckdb") as state, state.batch_log(schema) as log:
        for portion in range(2):
            for number in range(5):
                log.append(pa.record_batch([[f"{portion} {number} é"] * 20], schema=schema))
                kept = [value for batch in log for value in batch.column(0).to_pylist()]
                assert kept == [f"{portion} {each} é" for each in range(number + 1) for _ in range(20)]
            log.clear()
            assert list(log) == []
            assert not (state.scratch / "rows").exists()
