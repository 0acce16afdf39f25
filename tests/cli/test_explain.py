"""`s2s explain` takes any code that somebody reads out on the telephone, and says since when and why a row is held."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from support.command import run_command
from support.output import read_result

from engine.clock import local_text

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from support.client import Client


@pytest.fixture
def johannesburg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in Johannesburg."""
    monkeypatch.setenv("TZ", "Africa/Johannesburg")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def s2s(client: Client, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the client's workspace."""
    return run_command(*words, folder=client.workspace, variables=client.environment)


def test_a_row_is_found_by_key_sku_or_barcode_in_any_project(client: Client, johannesburg: None) -> None:
    """And what holds it back is said first, with its reason, since when, in local time."""
    client.item("A", sku="SKU-A")
    client.item("B", sku="SKU-B", title="")
    assert s2s(client, "run", "acme").returncode == 4
    held = s2s(client, "explain", "acme", "SKU-B").stdout.splitlines()
    assert held[0].startswith("acme · products · B, whose variants.sku is SKU-B: quarantined, held back since 20")
    assert held[0].endswith(" SAST: a required field is blank")
    assert held[2].startswith("held back since ")
    everywhere = s2s(client, "explain", "SKU-A", "--all")
    assert everywhere.returncode == 0, everywhere.stderr
    assert "acme · products · A, whose variants.sku is SKU-A: unchanged\n" in everywhere.stdout
    assert " SAST: insert acknowledged (200), run 1" in everywhere.stdout
    (story,) = read_result(s2s(client, "explain", "acme", "A", "--output", "json").stdout)["rows"]
    assert (story["key"], story["found_by"], story["held"]) == ("A", "source_variant_code", [])
    unknown = s2s(client, "explain", "NOPE", "--all")
    assert (unknown.returncode, "No project knows 'NOPE'." in unknown.stderr) == (2, True)
    wrong = s2s(client, "explain", "A")
    assert (wrong.returncode, "--all" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Africa/Johannesburg", "2026-03-01 09:14:02 SAST"),
        ("America/Sao_Paulo", "2026-03-01 04:14:02 UTC-03:00"),
        ("UTC", "2026-03-01 07:14:02 UTC"),
    ],
)
def test_a_time_is_said_with_its_zone(monkeypatch: pytest.MonkeyPatch, zone: str, text: str) -> None:
    """By the zone's name, or by its offset where it has none."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local_text(datetime(2026, 3, 1, 7, 14, 2)) == text  # noqa: DTZ001 - as the state keeps it
    finally:
        monkeypatch.undo()
        time.tzset()
