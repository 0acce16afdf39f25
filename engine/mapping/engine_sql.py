"""Render the engine's own SQL, which stands beside its owner in ``engine/*/sql`` and runs in DuckDB.

Values become DuckDB's literals directly: these files are trusted, so they need none of a view's checks. What Jinja made
of a file is kept in the user's cache folder, since that is most of what rendering costs a process.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import StateError
from engine.files import belongs_to_this_user, make_private_folder, user_cache_folder
from engine.mapping.placeholders import require_defined
from engine.mapping.render import ENGINE_FOLDER
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from jinja2 import BytecodeCache, Environment
    from jinja2.bccache import Bucket
    from markupsafe import Markup


def render_sql(name: str, **values: object) -> str:
    """Return the engine's own SQL file ``name`` (such as ``diff.sql``) with ``values`` as DuckDB's literals."""
    return str(_engine_environment().get_template(name).render(**values))


@cache
def _engine_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def write_literal(value: object) -> Markup:
        if isinstance(value, Markup):
            return value
        require_defined(value)
        return Markup(literal(value, "duckdb"))  # noqa: S704 - quoted

    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in sorted(ENGINE_FOLDER.glob("*/sql"))]),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=write_literal,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_compiled_files(),
    )
    environment.filters["ident"] = lambda name: Markup(ident(str(name), "duckdb"))  # noqa: S704 - quoted
    environment.filters["sql"] = Markup  # SQL of the engine's own, never a value
    return environment


def _compiled_files() -> BytecodeCache | None:
    """The cache of compiled files, such as ``~/.cache/s2s/sql``; None where there can be none.

    It holds code that is run, so it counts only where the folder is this user's alone. A file is compiled again when
    its text, this module, Jinja or Python is another one.
    """
    from importlib.metadata import version

    from jinja2 import FileSystemBytecodeCache

    class Compiled(FileSystemBytecodeCache):
        """Keeps compiled files where that is possible."""

        def dump_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError):
                super().dump_bytecode(bucket)

    with suppress(OSError, RuntimeError, StateError):
        folder = user_cache_folder() / "sql"
        make_private_folder(folder)
        if belongs_to_this_user(folder):
            digest = hashlib.sha256(Path(__file__).read_bytes() + version("jinja2").encode()).hexdigest()
            return Compiled(str(folder), f"{digest[:16]}-%s")
    return None
