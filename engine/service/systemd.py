"""Units of systemd: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.files import WorkspaceFiles, exists
from engine.service.definition import RUN_HOURS, STOP_SECONDS, check_mark
from engine.service.steps import Call, RemoveFile, Step, WriteFile, call_program

if TYPE_CHECKING:
    from engine.service.definition import Service

PROGRAM = "systemctl"

RESTART_SECONDS = 10
"""How long systemd waits before it starts an agent again that has ended."""

SYSTEM_FOLDER = Path("/etc/systemd/system")

HARDENED = """\
NoNewPrivileges=true
LockPersonality=true
RestrictRealtime=true
RestrictSUIDSGID=true
"""

HARDENED_SYSTEM = """\
CapabilityBoundingSet=
PrivateDevices=true
PrivateTmp=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=true
SystemCallArchitectures=native
"""
"""What a user's own systemd has not the rights for everywhere."""


def install(service: Service) -> list[Step]:
    """The steps that install a service, and start it again where it runs."""
    if bad := sorted(set(service.command[0]) & set("'\"\\")):
        raise UsageError(
            f"The path of the program, {service.command[0]}, has {' '.join(bad)}: systemd allows that in no program's.",
            hint="Install s2s in a folder with a plain name.",
        )
    for path in _paths(service):
        if exists(path):
            check_mark(service, str(path), WorkspaceFiles((path.parent,)).read(path))
    for folder in service.writable:
        if service.system and not exists(folder):
            raise UsageError(f"{folder} does not exist.", hint=f"Create it for the account {service.account} first.")
    unit = _paths(service)[-1].name
    steps: list[Step] = [
        WriteFile(path=path, text=text) for path, text in zip(_paths(service), _texts(service), strict=True)
    ]
    calls = (("daemon-reload",), ("enable", unit), ("restart", unit))
    return [*steps, *(Call(words=(*_systemctl(service), *words)) for words in calls)]


def remove(service: Service) -> list[Step]:
    """The steps that stop a service and remove it; none where it is not installed."""
    found = [path for path in _paths(service) if exists(path)]
    if not found:
        return []
    for path in found:
        check_mark(service, str(path), WorkspaceFiles((path.parent,)).read(path))
    names = [path.name for path in reversed(found)]
    return [
        Call(words=(*_systemctl(service), "disable", "--now", *names)),
        *(RemoveFile(path=path) for path in found),
        Call(words=(*_systemctl(service), "daemon-reload")),
    ]


def is_running(service: Service) -> bool:
    """Whether it runs, or waits for its time."""
    return call_program(*_systemctl(service), "is-active", "--quiet", _paths(service)[-1].name).returncode == 0


def advice(service: Service) -> str:
    """What is left to do by hand."""
    if service.system:
        return f"`journalctl --unit {service.name} --follow` shows its log."
    return (
        f"`journalctl --user --unit {service.name} --follow` shows its log. It runs while you are logged on; so that it"
        " starts with the machine: `sudo loginctl enable-linger $USER`."
    )


def _systemctl(service: Service) -> tuple[str, ...]:
    return (PROGRAM,) if service.system else (PROGRAM, "--user")


def _paths(service: Service) -> list[Path]:
    """The unit's file, and behind it that of the timer that starts it."""
    if service.system:
        folder = SYSTEM_FOLDER
    else:
        configured = os.environ.get("XDG_CONFIG_HOME", "")
        parent = Path(configured) if Path(configured).is_absolute() else Path.home() / ".config"
        folder = parent / "systemd" / "user"
    kinds = ("service",) if service.every is None else ("service", "timer")
    return [folder / f"{service.name}.{kind}" for kind in kinds]


def _texts(service: Service) -> list[str]:
    head = f"# {service.mark}; installing again replaces this file. `systemctl edit` adds to it.\n[Unit]\n"
    unit = f"{head}Description={_specifiers(service.description)}\n"
    if service.system:
        unit += "Wants=network-online.target\nAfter=network-online.target\n"
    if service.every is None:
        unit += "StartLimitIntervalSec=0\n"
    unit += f"\n[Service]\n{_service(service)}"
    target = "multi-user.target" if service.system else "default.target"
    if service.every is None:
        return [f"{unit}\n[Install]\nWantedBy={target}\n"]
    seconds = int(service.every.total_seconds())
    timer = (
        f"{head}Description={_specifiers(service.description)}, {seconds} seconds after it ended\n\n[Timer]\n"
        f"OnActiveSec=10s\nOnUnitInactiveSec={seconds}s\nAccuracySec=1s\n\n[Install]\nWantedBy=timers.target\n"
    )
    return [unit, timer]


def _service(service: Service) -> str:
    program, *words = service.command
    command = " ".join([_quoted(program, dollar="$"), *(_quoted(word) for word in words)])
    lines = [f"ExecStart={command}", "StandardOutput=null", "UMask=0077"]
    lines += [f"Environment={_quoted(f'{name}={value}', dollar='$')}" for name, value in service.environment.items()]
    if service.every is None:
        lines += ["Restart=always", f"RestartSec={RESTART_SECONDS}"]
    else:
        lines += ["Type=oneshot", "SuccessExitStatus=4 75", f"TimeoutStartSec={RUN_HOURS}h"]
    lines.append(f"TimeoutStopSec={STOP_SECONDS}")
    text = "\n".join(lines) + "\n" + HARDENED
    if not service.system:
        return text
    folders = "\n".join(f"ReadWritePaths={_quoted(str(folder), dollar='$')}" for folder in service.writable)
    cache = f"CacheDirectory={service.name}\nEnvironment=XDG_CACHE_HOME=/var/cache/{service.name}\n"
    return f"User={_specifiers(service.account)}\n{text}{HARDENED_SYSTEM}{folders}\n{cache}"


def _quoted(word: str, *, dollar: str = "$$") -> str:
    r"""A word as a unit has it; only in what follows a program is a dollar doubled.

    >>> _quoted("/srv/100 % $of"), _quoted("run")
    ('"/srv/100 %% $$of"', 'run')
    """
    text = _specifiers(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", dollar)
    return f'"{text}"' if set(text) & set(" '\"\\;") or not text else text


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
