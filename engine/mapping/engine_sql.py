"""Render the engine's own SQL, which stands beside its owner in ``engine/*/sql`` and runs in DuckDB.

Values become DuckDB's literals directly: these files are trusted, so they need none of a view's checks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from engine.mapping.placeholders import require_defined
from engine.mapping.render import ENGINE_FOLDER
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_sql(name: str, **values: object) -> str:
    """Return the engine's own SQL file ``name`` (such as ``diff.sql``) with ``values`` as DuckDB's literals."""
    return str(_engine_environment().get_template(name).render(**values))


@cache
def _engine_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def write_literal(value: object) -> Markup:
        require_defined(value)
        return value if isinstance(value, Markup) else Markup(literal(value, "duckdb"))  # noqa: S704 - quoted

    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in sorted(ENGINE_FOLDER.glob("*/sql"))]),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=write_literal,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ident"] = lambda name: Markup(ident(str(name), "duckdb"))  # noqa: S704 - quoted
    environment.filters["sql"] = Markup  # SQL of the engine's own, never a value
    return environment
