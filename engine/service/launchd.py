"""A property list of launchd, on macOS: ``man launchd.plist``."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import TYPE_CHECKING

from engine.files import WorkspaceFiles, exists
from engine.service.definition import STOP_SECONDS, check_mark
from engine.service.steps import Call, RemoveFile, Step, WriteFile, call_program

if TYPE_CHECKING:
    from engine.service.definition import Service

PROGRAM = "launchctl"

SYSTEM_FOLDER = Path("/Library/LaunchDaemons")


def install(service: Service) -> list[Step]:
    """The steps that write the list and load it, in place of what is loaded."""
    path = _path(service)
    if exists(path):
        check_mark(service, str(path), WorkspaceFiles((path.parent,)).read(path))
    return [
        WriteFile(path=path, text=_text(service)),
        Call(words=(PROGRAM, "bootout", f"{_domain(service)}/{_label(service)}"), may_fail=True),
        Call(words=(PROGRAM, "enable", f"{_domain(service)}/{_label(service)}")),
        Call(words=(PROGRAM, "bootstrap", _domain(service), str(path))),
    ]


def remove(service: Service) -> list[Step]:
    """The steps that unload the list and remove it; none where there is none."""
    path = _path(service)
    if not exists(path):
        return []
    check_mark(service, str(path), WorkspaceFiles((path.parent,)).read(path))
    unload = Call(words=(PROGRAM, "bootout", f"{_domain(service)}/{_label(service)}"), may_fail=True)
    return [unload, RemoveFile(path=path)]


def is_running(service: Service) -> bool:
    """Whether it is loaded."""
    return call_program(PROGRAM, "print", f"{_domain(service)}/{_label(service)}").returncode == 0


def advice(service: Service) -> str:
    """What is left to do by hand."""
    start = "" if service.system else " It starts when you log on; --system has it start with the machine."
    return f"Its log is {service.log}.{start}"


def _label(service: Service) -> str:
    return f"com.stock2shop.{service.name}"


def _domain(service: Service) -> str:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return "system" if service.system else f"gui/{user}"


def _path(service: Service) -> Path:
    folder = SYSTEM_FOLDER if service.system else Path.home() / "Library" / "LaunchAgents"
    return folder / f"{_label(service)}.plist"


def _text(service: Service) -> str:
    facts: dict[str, object] = {
        "Label": _label(service),
        "ProgramArguments": [*service.command],
        "EnvironmentVariables": dict(service.environment),
        "ExitTimeOut": STOP_SECONDS,
        "ProcessType": "Background",
        "RunAtLoad": True,
        "StandardErrorPath": str(service.error_log),
        "StandardOutPath": "/dev/null",
        "Umask": 0o077,
    }
    if service.every is None:
        facts |= {"KeepAlive": True, "ThrottleInterval": 10}
    else:
        facts["StartInterval"] = int(service.every.total_seconds())
    if service.system:
        facts["UserName"] = service.account
    text = plistlib.dumps(facts).decode()
    return text.replace("<plist ", f"<!-- {service.mark} -->\n<plist ", 1)
