"""A task of Windows Task Scheduler: https://learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from engine.errors import UsageError
from engine.service.definition import RUN_HOURS, check_mark
from engine.service.steps import Call, RemoveFile, Step, WriteFile, call_program

if TYPE_CHECKING:
    from engine.service.definition import Service

PROGRAM = "schtasks"

AGAIN_SECONDS = 180
"""A service that ended is started again within so long."""

SYSTEM_ACCOUNTS = {"SYSTEM": "S-1-5-18", "LOCAL SERVICE": "S-1-5-19", "NETWORK SERVICE": "S-1-5-20"}
"""Accounts without a password, and by which identifier every language's Windows knows them.

https://learn.microsoft.com/windows-server/identity/ad-ds/manage/understand-security-identifiers
"""

TASK = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{description}. {mark}.</Description>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger>
      <Enabled>true</Enabled>
    </BootTrigger>
    <TimeTrigger>
      <Repetition>
        <Interval>PT{seconds}S</Interval>
        <StopAtDurationEnd>false</StopAtDurationEnd>
      </Repetition>
      <StartBoundary>2020-01-01T00:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
{logon}      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <ExecutionTimeLimit>{limit}</ExecutionTimeLimit>
    <Priority>5</Priority>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>cmd.exe</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def install(service: Service) -> list[Step]:
    """The steps that register the task, in place of the one that is there, and start it."""
    found = call_program(PROGRAM, "/Query", "/TN", service.name, "/XML")
    if found.returncode == 0:
        check_mark(service, f"The task {service.name}", found.stdout)
    path = service.log.with_name(f"{service.name}.task.xml")
    words = (PROGRAM, "/Create", "/TN", service.name, "/XML", str(path), "/F")
    if service.account.upper() not in SYSTEM_ACCOUNTS:  # schtasks asks for the password
        create = Call(words=(*words, "/RU", service.account, "/RP", "*"), asks=True)
    else:
        create = Call(words=words)
    return [
        WriteFile(path=path, text=_text(service).replace("\n", "\r\n"), encoding="utf-16"),
        create,
        RemoveFile(path=path),
        Call(words=(PROGRAM, "/Run", "/TN", service.name)),
    ]


def remove(service: Service) -> list[Step]:
    """The steps that end the task and remove it; none where there is none."""
    found = call_program(PROGRAM, "/Query", "/TN", service.name, "/XML")
    if found.returncode != 0:
        return []
    check_mark(service, f"The task {service.name}", found.stdout)
    return [
        Call(words=(PROGRAM, "/End", "/TN", service.name), may_fail=True),
        Call(words=(PROGRAM, "/Delete", "/TN", service.name, "/F")),
    ]


def is_running(service: Service) -> bool:
    """Whether the task is registered; Task Scheduler shows how it last ended."""
    return call_program(PROGRAM, "/Query", "/TN", service.name).returncode == 0


def advice(service: Service) -> str:
    """What is left to do by hand."""
    return (
        f"Its log is {service.log}. The account needs the right *Log on as a batch job*, and the workspace:"
        " `s2s help schedule`."
    )


def _text(service: Service) -> str:
    identifier = SYSTEM_ACCOUNTS.get(service.account.upper())
    return TASK.format(
        description=escape(service.description),
        mark=service.mark,
        seconds=AGAIN_SECONDS if service.every is None else int(service.every.total_seconds()),
        user=escape(identifier or service.account),
        logon="" if identifier else "      <LogonType>Password</LogonType>\n",
        limit="PT0S" if service.every is None else f"PT{RUN_HOURS}H",
        arguments=escape(_arguments(service)),
    )


def _arguments(service: Service) -> str:
    """What ``cmd`` runs: with ``/s`` it takes off the outer quotes, and nothing else."""
    variables = "".join(f'set "{name}={value}"& ' for name, value in service.environment.items())
    command = f'{variables}{" ".join(_quoted(word) for word in service.command)} >NUL 2>>"{service.error_log}"'
    bad = sorted(set("%\"'^&|<>!") & set("".join((*service.command, *service.environment.values(), str(service.log)))))
    if bad:
        raise UsageError(
            f"A path or an option has {' '.join(bad)}, which the command line of Windows takes for its own.",
            hint="Move the workspace to a folder with a plain name.",
        )
    return f'/d /s /c "{command}"'


def _quoted(word: str) -> str:
    r"""A word as a command line has it: ``cmd`` parts the name of a program at more than blanks.

    >>> _quoted("C:\\a,b\\s2s.exe"), _quoted("C:\\the clients\\"), _quoted("run")
    ('"C:\\a,b\\s2s.exe"', '"C:\\the clients\\\\"', 'run')
    """
    found = subprocess.list2cmdline([word])
    if found.startswith('"') or not set(word) & set(",;=()@"):
        return found
    end = len(word) - len(word.rstrip("\\"))
    return f'"{word}{word[len(word) - end :]}"'
