"""engine_sql."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from engine.mapping.placeholders import require_defined
from engine.mapping.render import ENGINE
from engine.quoting import ident, literal

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_sql(name: str, **values: object) -> str:
    """Render the engine's own SQL file ``name``; values become DuckDB literals."""
    return str(_engine_environment().get_template(name).render(**values))


@cache
def _engine_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def written(value: object) -> Markup:
        require_defined(value)
        return value if isinstance(value, Markup) else Markup(literal(value, "duckdb"))  # noqa: S704 - quoted

    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in sorted(ENGINE.glob("*/sql"))]),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=written,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ident"] = lambda name: Markup(ident(str(name), "duckdb"))  # noqa: S704 - quoted
    environment.filters["sql"] = Markup  # the engine's own SQL, never a value
    return environment
