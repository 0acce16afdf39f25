"""What ``--output json`` prints, held to the published schema wherever a test reads it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "output.schema.json"


def read_result(text: str, *, errors: int = 0) -> Any:
    """The result in the envelope ``text``, which has so many errors."""
    envelope = read_envelope(text)
    assert len(envelope["errors"]) == errors, envelope["errors"]
    return envelope["result"]


def read_envelope(text: str) -> dict[str, Any]:
    """The envelope: as the schema says, without a key that the schema does not name."""
    envelope: dict[str, Any] = json.loads(text)
    _validator().validate(envelope)
    return envelope


@cache
def _validator() -> Any:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    for definition in (schema, *schema["$defs"].values()):
        definition["additionalProperties"] = False
    jsonschema_rs.meta.validate(schema)
    return jsonschema_rs.Draft202012Validator(schema)
