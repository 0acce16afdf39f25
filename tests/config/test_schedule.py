"""When a project is to run, and whether it is late: `every`, `cron`, quiet hours, across changes of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from engine.agent.agent import Agent, AgentSettings, LastRuns, Projects
from engine.config.loader import load
from engine.config.schedule import Schedule, parse_quiet, read_order_ways, read_schedule
from engine.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

JOHANNESBURG, BERLIN = ZoneInfo("Africa/Johannesburg"), ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    """A time in UTC, without a zone."""
    return datetime.fromisoformat(text)


def write(workspace: Path, *, shared: str = "", own: str = "") -> None:
    """A workspace with one project."""
    (workspace / "projects" / "acme").mkdir(parents=True, exist_ok=True)
    (workspace / "workspace.toml").write_text(shared, "utf-8")
    (workspace / "projects" / "acme" / "project.toml").write_text(own, "utf-8")


def test_a_project_says_it_for_itself_and_the_workspace_for_the_others(tmp_path: Path) -> None:
    """Its cadence counts before the workspace's, and so do its quiet hours; a file that changes is read again."""
    quiet = 'quiet = ["22:00-06:00"]\ntimezone = "Africa/Johannesburg"\n'
    write(tmp_path, shared=f'[schedule]\nevery = "3m"\n{quiet}')
    night = (parse_quiet("22:00-06:00"),)
    shared = Schedule(every=timedelta(minutes=3), quiet=night, quiet_zone=JOHANNESBURG)
    assert read_schedule(tmp_path, "acme") == shared
    write(tmp_path, shared=f'[schedule]\nevery = "3m"\n{quiet}', own='[schedule]\nevery = "1h"\n[orders.pull]\n')
    assert read_schedule(tmp_path, "acme") == Schedule(every=timedelta(hours=1), quiet=night, quiet_zone=JOHANNESBURG)
    ways = read_order_ways(tmp_path, "acme")
    assert (ways.taken, ways.pulled) == (True, True)
    write(
        tmp_path,
        shared=f'[schedule]\nevery = "3m"\n{quiet}',
        own='[schedule]\ncron = "15 6 * * MON-FRI"\ntimezone = "Europe/Berlin"\nquiet = []\n',
    )
    assert read_schedule(tmp_path, "acme") == Schedule(
        cron="15 6 * * MON-FRI", zone=BERLIN, quiet=(), quiet_zone=BERLIN
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('cron = "0 6 * * *"', "cron needs a timezone"),
        ('quiet = ["22:00-06:00"]', "quiet needs a timezone"),
        ('every = "3m"\ncron = "0 6 * * *"\ntimezone = "UTC"', "every and cron"),
        ('cron = "0 6 * *"\ntimezone = "UTC"', "five fields"),
        ('cron = "0 6 31 2 *"\ntimezone = "UTC"', "five fields"),
        ('cron = "0 6 * * *"\ntimezone = "Mars"', "not a time zone"),
        ('quiet = ["10-11"]\ntimezone = "UTC"', "20:00-06:30"),
        ('quiet = ["10:00-10:00"]\ntimezone = "UTC"', "nothing would ever run"),
        ('every = "99999999999999d"', "at most 1,000 days"),
        ('every = "999999999d"', "at most 1,000 days"),
        ('quiet = ["25:00-26:00"]\ntimezone = "UTC"', "hour must be"),
    ],
)
def test_what_is_no_schedule_says_why(tmp_path: Path, text: str, says: str) -> None:
    """With the file it is in."""
    write(tmp_path, own=f"[schedule]\n{text}\n")
    with pytest.raises(ConfigError, match=says) as raised:
        read_schedule(tmp_path, "acme")
    assert "project.toml" in str(raised.value)


@pytest.mark.parametrize("text", [f"a = {'[' * 9_999}", f"a = {'9' * 5_000}", "a = [1,"])
def test_a_file_that_no_parser_reads_is_its_projects_own_trouble(tmp_path: Path, text: str) -> None:
    """Whoever looks at all projects is told that it is no TOML, as of any other mistake."""
    write(tmp_path, own=text)
    with pytest.raises(ConfigError, match="not TOML"):
        read_schedule(tmp_path, "acme")
    with pytest.raises(ConfigError, match="not TOML"):
        load("acme", workspace=tmp_path, environ={})


def test_cron_is_meant_in_its_zone_also_when_clocks_change() -> None:
    """A night that has no half past two runs it once, and one that has two of them runs it once."""
    six = Schedule(cron="15 6 * * *", zone=JOHANNESBURG)
    assert six.next_moment(utc("2026-03-01 04:14:59")) == utc("2026-03-01 04:15:00")
    assert six.next_moment(utc("2026-03-01 04:15:00")) == utc("2026-03-02 04:15:00")
    night = Schedule(cron="30 2 * * *", zone=BERLIN)
    spring = night.next_moment(utc("2026-03-28 12:00:00"))
    assert spring.date().isoformat() == "2026-03-29"
    assert night.next_moment(spring) == utc("2026-03-30 00:30:00")
    autumn = night.next_moment(utc("2026-10-24 12:00:00"))
    assert autumn == utc("2026-10-25 00:30:00")
    assert night.next_moment(autumn) == utc("2026-10-26 01:30:00")


def test_quiet_hours_count_for_no_lateness() -> None:
    """A project that stands still overnight on purpose is not late in the morning, and is when morning has passed."""
    night = Schedule(every=timedelta(minutes=3), quiet=(parse_quiet("22:00-06:00"),), quiet_zone=JOHANNESBURG)
    last = utc("2026-03-01 19:59:00")
    assert night.is_quiet(utc("2026-03-01 20:00:00"))
    assert not night.is_quiet(utc("2026-03-02 04:00:00"))
    assert night.late_by(last, utc("2026-03-02 03:00:00")) is None
    assert night.late_by(last, utc("2026-03-02 04:05:00")) is None
    assert night.late_by(last, utc("2026-03-02 04:09:00")) == timedelta(minutes=7)
    assert Schedule(every=timedelta(minutes=3)).late_by(last, utc("2026-03-01 20:06:30")) == timedelta(
        minutes=4, seconds=30
    )
    assert night.late_by(utc("2020-01-01 00:00:00"), last) is not None


def test_a_moment_of_cron_that_brought_no_run_makes_a_project_late_after_ten_minutes() -> None:
    """One in quiet hours never does."""
    daily = Schedule(cron="0 6 * * *", zone=JOHANNESBURG)
    last = utc("2026-03-01 04:00:01")
    assert daily.late_by(last, utc("2026-03-02 04:09:00")) is None
    assert daily.late_by(last, utc("2026-03-02 04:11:00")) == timedelta(minutes=11)
    quiet = Schedule(
        cron="0 6,12 * * *", zone=JOHANNESBURG, quiet=(parse_quiet("05:00-07:00"),), quiet_zone=JOHANNESBURG
    )
    assert quiet.late_by(last, utc("2026-03-01 10:09:00")) is None
    assert quiet.late_by(last, utc("2026-03-01 10:30:00")) == timedelta(minutes=30)


def make_agent(began: Mapping[str, datetime], broken_off: Collection[str] = ()) -> Agent:
    """An agent that runs nothing, when its projects ran last, and which runs the end of another agent broke off."""
    projects = Projects(
        run="support.jobs:run",
        schedules=dict,
        request=lambda name: {"name": name},
        on_event=lambda _event: None,
        on_end=lambda _ended, _seconds: None,
        last=LastRuns(began=began, broken_off=frozenset(broken_off)),
    )
    return Agent(projects, AgentSettings())


def test_the_agent_begins_no_run_in_quiet_hours_and_makes_up_for_a_missed_moment_once() -> None:
    """It was off when cron named a moment: the run comes when the agent is there, and not twice."""
    quiet = Schedule(every=timedelta(seconds=1), quiet=(parse_quiet("20:00-21:00"),))
    daily = Schedule(cron="0 6 * * *")
    agent = make_agent(began={"missed": utc("2026-03-01 06:00:00")})
    began = 1000.0
    at = utc("2026-03-02 20:30:00")
    assert not any(agent._is_due("quiet", quiet, began + seconds, at) for seconds in range(5))
    assert agent._is_due("quiet", quiet, began + 5, utc("2026-03-02 21:00:00"))
    assert [agent._is_due("missed", daily, began, at) for _ in range(2)] == [True, False]
    assert not agent._is_due("new", daily, began, at)
    assert agent._is_due("new", daily, began, utc("2026-03-03 06:00:00"))


def test_a_long_cadence_is_kept_by_an_agent_that_is_stopped_every_evening() -> None:
    """What has not run for its cadence does within minutes, after quiet hours too; what ran an hour ago waits."""
    at = utc("2026-03-02 08:00:00")
    began = {"yesterday": at - timedelta(hours=24), "lately": at - timedelta(hours=1)}
    agent = make_agent(began=began)
    daily = Schedule(every=timedelta(days=1))
    night = Schedule(every=timedelta(days=1), quiet=(parse_quiet("07:00-10:00"),))

    def find_turns(seconds: range) -> list[str]:
        found = []
        for each in seconds:
            moment = at + timedelta(seconds=each)
            schedules = {"yesterday": daily, "lately": daily, "never": daily, "quiet": night}
            due = [name for name in schedules if agent._is_due(name, schedules[name], 1000.0 + each, moment)]
            found += due
        return found

    assert sorted(find_turns(range(0, 7200, 10))) == ["never", "yesterday"]
    assert find_turns(range(7200, 7510, 10)) == ["quiet"]
    turns = find_turns(range(7510, 86400 * 4, 60))
    assert {name for name in turns if turns.count(name) in {3, 4}} == {"yesterday", "lately", "never", "quiet"}


def test_an_agent_that_is_killed_and_starts_again_keeps_the_cadence_of_all_projects() -> None:
    """It was away for 20 of 180 seconds: who ran before keeps its turn, whose turn passed runs at once, none twice."""
    every, names = Schedule(every=timedelta(minutes=3)), [f"client_{number}" for number in range(200)]
    at = utc("2026-03-02 08:00:00")

    def run(agent: Agent, seconds: range) -> dict[str, list[datetime]]:
        turns: dict[str, list[datetime]] = {name: [] for name in names}
        for each in seconds:
            moment = at + timedelta(seconds=each)
            for name in names:
                if agent._is_due(name, every, 50.0 + each, moment):
                    turns[name].append(moment)
        return turns

    before = run(make_agent(began={}), range(1000))
    last = {name: turns[-1] for name, turns in before.items()}
    broken_off = max(last, key=last.__getitem__)
    after = run(make_agent(began=last, broken_off={broken_off}), range(1020, 2000))
    assert after[broken_off][0] == at + timedelta(seconds=1020)
    del after[broken_off]
    gaps = {name: [b - a for a, b in pairwise([before[name][-1], *turns])] for name, turns in after.items()}
    assert max(max(each) for each in gaps.values()) <= timedelta(seconds=180 + 2 * 20)
    assert sum(gap != timedelta(minutes=3) for each in gaps.values() for gap in each) <= 2 * 200 * 20 / 180 * 1.5


def test_a_clock_that_was_ahead_stops_no_project_of_cron() -> None:
    """Its moments count anew once the clock is corrected; a clock put back by an hour runs nothing twice."""
    hourly, wrong, right = Schedule(cron="0 * * * *"), utc("2040-01-01 00:10:00"), utc("2026-03-02 08:10:00")
    agent = make_agent(began={"acme": wrong})
    for name in ("acme", "new"):
        assert not agent._is_due(name, hourly, 0.0, right if name == "acme" else wrong)
        assert not agent._is_due(name, hourly, 0.0, right + timedelta(minutes=1))
        assert agent._is_due(name, hourly, 0.0, right + timedelta(minutes=50))
        assert not agent._is_due(name, hourly, 0.0, right + timedelta(minutes=49))
        assert not agent._is_due(name, hourly, 0.0, right + timedelta(minutes=51))
