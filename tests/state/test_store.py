"""The state's file: what runs in it, what it refuses, and what it says when it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import StateError
from engine.state.store import open_state

if TYPE_CHECKING:
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
