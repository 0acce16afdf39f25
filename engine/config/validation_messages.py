"""What pydantic finds wrong with a ``project.toml``, in words of TOML."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from engine.config.document import document_model

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPECTED = {
    "model_type": "a table",
    "dict_type": "a table",
    "list_type": "a list in brackets",
    "too_long": "a shorter list",
    "string_type": "a string in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
"""What a value should be, by the type of pydantic's error."""


def describe_problem(problem: Mapping[str, Any], at: tuple[str, ...]) -> tuple[str, str]:
    """The message and the hint for one entry of pydantic's ``ValidationError.errors()`` about the key at ``at``."""
    kind, name = problem["type"], ".".join(at)
    if kind == "extra_forbidden":
        table = _table(at[:-1])
        known = tuple(table.model_fields) if table else ()
        close = get_close_matches(at[-1], known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known here are: {', '.join(known)}." if known else ""
        what = f"table [{name}]" if len(at) == 1 else f"key {name}"
        return f"There is no {what}.", hint
    table = _table(at[:-1])
    field = table.model_fields.get(at[-1]) if table and at else None
    about = (field.description if field else "") or ""
    if kind == "missing":
        return f"The table [{name}] is missing." if len(at) == 1 else f"{name} is missing.", about
    if kind == "string_too_short" and problem["input"]:
        return f"{name} is shorter than {problem['ctx']['min_length']} characters.", about
    if kind == "string_too_short":
        return f"{name} is blank.", about
    expected = _EXPECTED.get(kind) or str(problem["msg"]).removeprefix("Input should be ")
    return f"{name} should be {expected}.", about


def _table(at: tuple[str, ...]) -> Any:
    """The model of the table at ``at``, or None where that is no table."""
    table = document_model()
    for part in at:
        field = table.model_fields.get(part)
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        table = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if table is None:
            return None
    return table


def is_synthetic(part: object) -> bool:
    """Whether this part of an error's location is pydantic's own and not in the file: an index, or ``[key]``."""
    return isinstance(part, int) or part == "[key]"
