"""A Stock2Shop sandbox for each test, and the promise that the engine sends only what the API document allows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import yaml

from engine.sandbox.server import Sandbox
from engine.sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, read once: nobody changes it."""
    loaded: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text("utf-8"))
    return loaded


def assert_documented(sandbox: Sandbox) -> None:
    """Every request that the sandbox took is one that the document describes."""
    api = document()
    for request in sandbox.requests:
        path = request.path.removeprefix("/v1").replace("/…", "/{token}")
        operation = api["paths"][path][request.method.lower()]
        declared = {parameter["name"] for parameter in operation.get("parameters", []) if "name" in parameter}
        assert set(request.query) <= declared | {"token"}, (path, request.query)
        if request.body and "requestBody" in operation:
            _body_validator(path, request.method.lower()).validate(json.loads(request.body))


@cache
def _body_validator(path: str, method: str) -> jsonschema_rs.Draft202012Validator:
    api = document()
    schema = api["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": api["components"]})


@pytest.fixture(scope="session")
def _served() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(keep_bodies=True)) as running:
        yield running


@pytest.fixture
def sandbox(_served: Sandbox, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """An empty sandbox. A test that sends rubbish on purpose is marked ``rubbish``."""
    _served.reset()
    yield _served
    if request.node.get_closest_marker("rubbish") is None:
        assert_documented(_served)


@pytest.fixture
def make_sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes with settings of their own."""
    running: list[Sandbox] = []

    def make(**settings: Any) -> Sandbox:
        running.append(Sandbox(SandboxSettings(**settings)).start())
        return running[-1]

    yield make
    for each in running:
        each.stop()
