"""A region of the account's crontab; every other line stays as it is."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from engine.errors import SchedulerError, UsageError
from engine.service.definition import workspace_id
from engine.service.steps import Call, Step, call_program

if TYPE_CHECKING:
    from datetime import timedelta

    from engine.service.definition import Service

PROGRAM = "crontab"

LINES_INSIDE = 2
"""The lines between the region's begin and its end: the mark, and what cron runs."""

MINUTES_AN_HOUR, HOURS_A_DAY = 60, 24


def install(service: Service) -> list[Step]:
    """The steps that put the region into the crontab, in place of the one that is there."""
    region = "\n".join([_begin(service), f"# {service.mark}", _line(service), _end(service)]) + "\n"
    rest = _without_region(_read(service), service)
    joint = "" if not rest or rest.endswith("\n") else "\n"
    return [Call(words=(*_crontab(service), "-"), piped=rest + joint + region)]


def remove(service: Service) -> list[Step]:
    """The steps that take the region out of the crontab; none where there is none."""
    before = _read(service)
    rest = _without_region(before, service)
    return [] if rest == before else [Call(words=(*_crontab(service), "-"), piped=rest)]


def is_running(service: Service) -> bool:
    """Whether the crontab has the region; whether cron itself runs is not known."""
    return _begin(service) in _read(service).splitlines()


def advice(service: Service) -> str:
    """What is left to do by hand."""
    return f"cron mails what fails to MAILTO, and the log is {service.log}, which is kept below 60 MB."


def schedule_expression(every: timedelta) -> str:
    """The first five fields of a crontab's line. Raises :class:`UsageError` where cron cannot run so often.

    >>> from datetime import timedelta
    >>> schedule_expression(timedelta(minutes=3)), schedule_expression(timedelta(hours=6))
    ('*/3 * * * *', '0 */6 * * *')
    """
    minutes, seconds = divmod(int(every.total_seconds()), 60)
    hours, left = divmod(minutes, MINUTES_AN_HOUR)
    if not seconds and minutes and minutes < MINUTES_AN_HOUR and MINUTES_AN_HOUR % minutes == 0:
        return f"*/{minutes} * * * *"
    if not seconds and hours and not left and hours < HOURS_A_DAY and HOURS_A_DAY % hours == 0:
        return f"0 */{hours} * * *"
    if not seconds and not left and hours == HOURS_A_DAY:
        return "0 0 * * *"
    raise UsageError(
        f"cron cannot run something every {int(every.total_seconds()):,} seconds.",
        hint="Choose a part of an hour or of a day, such as --every 5m or --every 2h.",
    )


def _line(service: Service) -> str:
    assert service.every is not None  # see engine.service.schedulers
    variables = "".join(f"{name}={shlex.quote(value)} " for name, value in service.environment.items())
    errors = shlex.quote(str(service.error_log))
    failed = shlex.quote(f"s2s ended with an error: see {service.log}")
    command = (
        f"umask 077; {variables}{shlex.join(service.command)} >/dev/null 2>>{errors};"
        f" case $? in 0|4|75) ;; *) echo {failed} ;; esac"
    )
    return f"{schedule_expression(service.every)} {command}".replace("%", r"\%")  # cron's own line end


def _crontab(service: Service) -> tuple[str, ...]:
    return (PROGRAM, "-u", service.account) if service.system else (PROGRAM,)


def _read(service: Service) -> str:
    """The crontab as it is; empty where there is none. Raises :class:`SchedulerError` where that cannot be known."""
    ended = call_program(*_crontab(service), "-l")
    if ended.returncode == 0:
        return ended.stdout.decode("utf-8", "surrogateescape")
    message = ended.stderr.decode("utf-8", "replace").strip()
    if not ended.stdout and any(words in message.lower() for words in ("no crontab", "no such file")):
        return ""
    raise SchedulerError(
        f"The crontab cannot be read, so it is left alone: {message or f'exit code {ended.returncode}'}",
        hint="May this account use cron? `crontab -l` should print it.",
    )


def _begin(service: Service) -> str:
    return f"# BEGIN {service.name} of workspace {workspace_id(service.workspace)}"


def _end(service: Service) -> str:
    return f"# END {service.name} of workspace {workspace_id(service.workspace)}"


def _without_region(text: str, service: Service) -> str:
    """The crontab without the region.

    Raises :class:`SchedulerError` where its end cannot be found, or somebody wrote into it.
    """
    lines = text.splitlines(keepends=True)
    bare = [line.rstrip("\r\n") for line in lines]
    counts = bare.count(_begin(service)), bare.count(_end(service))
    if counts == (0, 0):
        return text
    first = bare.index(_begin(service)) if counts[0] else -1
    last = bare.index(_end(service)) if counts[1] else -1
    if counts != (1, 1) or last < first:
        raise SchedulerError(
            f"The crontab has lines of {service.name}, but not one begin and one end of them; nothing was changed.",
            hint=f"Remove what is left of it with `crontab -e`: from {_begin(service)!r} to {_end(service)!r}.",
        )
    if last - first - 1 != LINES_INSIDE:
        raise SchedulerError(
            f"The crontab has lines of somebody else's inside of those of {service.name}; nothing was changed.",
            hint=f"Move them above the line {_begin(service)!r} with `crontab -e`.",
        )
    return "".join(lines[:first] + lines[last + 1 :])
