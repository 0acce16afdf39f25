"""What a sandbox can be told when it is started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox is served.

    ``pace`` is requests a second before 429, 0 for no limit; ``retry_after`` whether such an answer says how long
    to wait; ``path`` a JSON file that keeps everything but requests and faults over a restart.
    """

    host: str = "127.0.0.1"
    port: int = 0
    username: str = "sandbox"
    password: str = "sandbox"  # noqa: S105 - everybody may know it: it listens on this machine only
    source_id: int = 57
    pace: float = 0.0
    burst: int = 3
    retry_after: bool = True
    path: Path | None = None
    keep_bodies: bool = False
