"""The JSON Schema of what commands print with ``--output json``, and its page: by the types in engine.cli.results."""

from __future__ import annotations

import collections.abc
import dataclasses
import sys
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from engine.cli.contract import CONTRACT_VERSION
from engine.cli.fleet_results import Time
from engine.cli.results import RESULTS, ErrorEntry

SIMPLE: dict[Any, dict[str, Any]] = {
    Any: {},
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Time: {"type": "string", "format": "date-time", "pattern": r"[+-]\d\d:\d\d$"},
}
NAMES = {"Mapping": collections.abc.Mapping}
"""What the engine's dataclasses import for annotations alone."""


def output_schema() -> dict[str, Any]:
    """The envelope, and the result of each command by its name."""
    definitions: dict[str, Any] = {}
    results = [
        {
            "if": {"properties": {"command": {"const": command}}},
            "then": {"properties": {"result": {"anyOf": [_schema_of(kind, definitions), {"type": "null"}]}}},
        }
        for command, kind in RESULTS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What s2s prints with --output json",
        "type": "object",
        "properties": {
            "version": {"const": CONTRACT_VERSION},
            "command": {"type": "string", "description": "Such as plan, or orders list."},
            "project": {"type": ["string", "null"], "description": "The one project that the command is about."},
            "result": {"description": "What the command gives; null where an error kept it from that."},
            "errors": {"type": "array", "items": _schema_of(ErrorEntry, definitions)},
        },
        "required": ["version", "command", "project", "result", "errors"],
        "allOf": results,
        "$defs": dict(sorted(definitions.items())),
    }


def output_page(made: str) -> str:
    """The same for people: which command gives what, and a table for each type."""
    schema = output_schema()
    parts = [
        "# JSON output\n\n",
        made,
        (
            "With `--output json` a command prints one JSON document to standard output, whether it worked or not; the exit"
            " code is the same as without. The log goes to standard error and stays as it is.\n\n"
            "```json\n"
            '{"version": 1, "command": "orders list", "project": "acme", "result": […], "errors": []}\n'
            "```\n\n"
            "`version` rises when a key goes or changes its meaning; new keys may come without it. `project` is null for a"
            " command about several projects or none. `result` is null where an error kept the command from it; what is wrong"
            " with one project of several is in `errors`, beside the others' results. Every time has its zone. The JSON"
            " Schema is [output.schema.json](output.schema.json).\n\n"
            "| command | result |\n|---|---|\n"
        ),
    ]
    for entry in schema["allOf"]:
        command = entry["if"]["properties"]["command"]["const"]
        result = entry["then"]["properties"]["result"]["anyOf"][0]
        parts.append(f"| `{command}` | {_words(result)} |\n")
    for name, about in schema["$defs"].items():
        parts.append(f"\n## {name}\n\n{about['description']}\n\n| key | type | meaning |\n|---|---|---|\n")
        for key, kind in about["properties"].items():
            parts.append(f"| `{key}` | {_words(kind)} | {kind.get('description', '')} |\n")
    return "".join(parts)


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type; what has a name goes to ``definitions``."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        base, description = arguments
        return {**_schema_of(base, definitions), "description": description}
    if kind in SIMPLE:
        return SIMPLE[kind]
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in {Union, types.UnionType}:
        return {"anyOf": [_schema_of(each, definitions) for each in arguments]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        items = [_schema_of(each, definitions) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if origin in {list, tuple, collections.abc.Sequence}:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin in {dict, collections.abc.Mapping}:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    return _named_schema(kind, definitions)


def _named_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The reference to a TypedDict or a dataclass, whose keys are all there."""
    name = kind.__name__
    if name not in definitions:
        assert is_typeddict(kind) or dataclasses.is_dataclass(kind), kind
        definitions[name] = {}  # it may refer to itself
        hints = get_type_hints(kind, vars(sys.modules[kind.__module__]), NAMES, include_extras=True)
        if dataclasses.is_dataclass(kind):
            hints = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
        description = " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")
        definitions[name] = {
            "type": "object",
            "description": description,
            "properties": {key: _schema_of(each, definitions) for key, each in hints.items()},
            "required": list(hints),
        }
    return {"$ref": f"#/$defs/{name}"}


def _words(schema: dict[str, Any]) -> str:
    """A schema in a few words, with a link to what has a table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_words(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_words(schema['items'])}"
    if schema.get("format") == "date-time":
        return "time"
    return {"object": "object", "string": "text", None: "anything"}.get(schema.get("type"), str(schema.get("type")))
