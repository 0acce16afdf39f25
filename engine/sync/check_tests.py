"""Check a project's data tests and expectations without its rows, as ``s2s check`` does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import ConfigError
from engine.mapping.check import resolve_column
from engine.mapping.engine_sql import render_sql
from engine.model.fields import ENTITIES
from engine.state.store import open_state
from engine.sync.data_tests import data_tests, run_test, unknown_columns
from engine.sync.layout import STAGING_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.errors import Diagnostic
    from engine.model.settings import Project
    from engine.sync.data_tests import DataTest


def check_tests(project: Project, fields: Mapping[str, Sequence[str]]) -> list[Diagnostic]:
    """What is wrong with ``tests/*.sql``, ``[tests]`` and ``[ENTITY.expect]``.

    ``fields`` are the fields that each entity's view maps; an entity whose view could not be parsed is left out, and
    what is said of its columns is not checked. A data test is run over a table without rows, so DuckDB finds what is
    wrong with its SQL.
    """
    diagnostics: list[Diagnostic] = []
    for entity, names in fields.items():
        diagnostics += unknown_columns(project, ENTITIES[entity], names)
    try:
        tests = data_tests(project)
    except ConfigError as error:
        return [*diagnostics, *error.diagnostics]
    for entity, names in fields.items():
        own = [test for test in tests if test.entity == entity]
        if own:
            diagnostics += _run_without_rows(own, entity, names)
    return diagnostics


def _run_without_rows(tests: Sequence[DataTest], entity: str, names: Sequence[str]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    found = {field.name: field for field in (resolve_column(name, ENTITIES[entity]) for name in names) if field}
    columns = [(name, STAGING_TYPES.get(field.type, "varchar")) for name, field in found.items()]
    with tempfile.TemporaryDirectory() as folder, open_state(Path(folder) / "state.duckdb") as state:
        state.run(render_sql("no_rows.sql", columns=columns))
        for test in tests:
            try:
                list(run_test(state, test))
            except ConfigError as error:
                diagnostics += error.diagnostics
    return diagnostics
