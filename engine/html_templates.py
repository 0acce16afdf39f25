"""Make HTML of a folder's templates and values, in which all text is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class HtmlTemplates:
    """The templates of ``folder``, with the filters and the names that all of them may use."""

    def __init__(self, folder: Path, *, filters: Mapping[str, Any], functions: Mapping[str, Any]) -> None:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        self._environment = Environment(
            loader=FileSystemLoader(folder, encoding="utf-8"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= filters
        self._environment.globals |= functions

    def render(self, name: str, **values: Any) -> str:
        """Render one template. Raises jinja2's ``UndefinedError`` for a name that it was not given."""
        return self._environment.get_template(name).render(**values)
