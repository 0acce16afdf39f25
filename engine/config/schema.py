"""The JSON Schema of ``project.toml``, which editors use to complete and check it."""

from __future__ import annotations

from typing import Any

from engine.config.document import document_model

_AS_STRING = {
    "integer": r"\$\{|^\s*[+-]?\d+(\.0+)?\s*$",
    "number": r"\$\{|^\s*[+-]?\d+(\.\d+)?\s*$",
    "boolean": r"\$\{|^([Tt]rue|[Ff]alse|yes|no|on|off|[01])$",
}
"""What a string may be where a number or a boolean is required: ${NAME}, or the value in quotes."""


def schema() -> dict[str, Any]:
    """The JSON Schema of ``project.toml``, for editors."""
    result = _with_variables(document_model().model_json_schema())
    result["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    result["title"] = "project.toml"
    return dict(result)


def _with_variables(node: Any) -> Any:
    """A schema in which ``${NAME}`` may stand for any value, as it may in ``project.toml``."""
    if isinstance(node, list):
        return [_with_variables(each) for each in node]
    if not isinstance(node, dict):
        return node
    beside = {key: node[key] for key in ("enum", "pattern") if "anyOf" in node and key in node}
    if beside:
        options = [{**each, **beside} if each.get("type") == "string" else each for each in node["anyOf"]]
        return _with_variables({**{key: node[key] for key in node if key not in beside}, "anyOf": options})
    kind = node.get("type")
    if kind in _AS_STRING or (kind == "string" and ("enum" in node or "pattern" in node)):
        about = {key: node[key] for key in ("title", "description", "default") if key in node}
        core = {key: value for key, value in node.items() if key not in about}
        return {**about, "anyOf": [core, {"type": "string", "pattern": _AS_STRING.get(kind, r"\$\{")}]}
    return {key: each if key == "propertyNames" else _with_variables(each) for key, each in node.items()}
