"""`s2s agent install`, `s2s schedule install`: what the system's scheduler gets, with stand-ins for its programs."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from support.command import run_command
from support.output import read_result

from engine.errors import UsageError
from engine.service import cron, launchd, systemd
from engine.service.cron import schedule_expression
from engine.service.definition import Service
from engine.service.schedulers import default_scheduler

STAND_IN = r"""#!/bin/sh
echo "${0##*/} $*" >>"$KEPT/calls"
case "${0##*/} $*" in
crontab*-l) cat "$KEPT/crontab" 2>/dev/null || { echo "${SAYS:-no crontab for me}" >&2; exit 1; } ;;
crontab*-) cat >"$KEPT/new" && mv "$KEPT/new" "$KEPT/crontab" ;;
schtasks\ /Query*) cat "$KEPT/task" 2>/dev/null ;;
schtasks\ /Create*) cp "$5" "$KEPT/task" ;;
schtasks\ /Delete*) rm "$KEPT/task" ;;
*"$FAILS"*) echo "Failed to connect to bus" >&2; exit 1 ;;
esac
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


@dataclass(slots=True, kw_only=True)
class Machine:
    """A workspace, a home folder, and stand-ins that keep what they were called with."""

    workspace: Path
    kept: Path
    variables: dict[str, str] = field(default_factory=dict)

    def s2s(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command in the workspace."""
        return run_command(*words, folder=self.workspace, variables={**self.variables, **variables})

    def calls(self) -> list[str]:
        """What was called since the last time, queries left out."""
        path = self.kept / "calls"
        found = path.read_text("utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in found if not line.endswith(" -l") and " /Query " not in line]

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.kept / "home"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing is installed; a blank in the workspace's path is quoted everywhere."""
    workspace, kept = tmp_path / "the clients", tmp_path / "kept"
    (workspace / "projects" / "acme").mkdir(parents=True)
    (workspace / "projects" / "acme" / "project.toml").write_text('[schedule]\nevery = "3m"\n', "utf-8")
    (kept / "home").mkdir(parents=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("systemctl", "crontab", "launchctl", "schtasks"):
        (programs / name).write_text(STAND_IN, "utf-8")
        (programs / name).chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"
    variables = {"PATH": path, "HOME": str(kept / "home"), "KEPT": str(kept), "FAILS": "none", "XDG_CONFIG_HOME": ""}
    return Machine(workspace=workspace, kept=kept, variables=variables)


def verify(*units: Path) -> None:
    """Have systemd say what is wrong with units, where it is there."""
    program = shutil.which("systemd-analyze")
    if program is not None:
        found = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
        assert [line for line in found.stderr.splitlines() if units[0].stem in line] == []


def test_systemd_keeps_the_agent_running_until_it_is_removed(machine: Machine) -> None:
    """Installing twice is the same as once, --print changes nothing, and what is somebody else's is left alone."""
    install = ("agent", "install", "--scheduler", "systemd", "--port", "8060")
    shown = machine.s2s(*install, "--print")
    assert (shown.returncode, machine.calls()) == (0, []), shown.stderr
    unit = machine.home / ".config" / "systemd" / "user" / "s2s-agent.service"
    assert not unit.exists()
    for _ in range(2):
        installed = machine.s2s(*install, S2S_STATE=str(machine.kept))
        assert installed.returncode == 0, installed.stderr
        assert machine.calls() == [
            "systemctl --user daemon-reload",
            "systemctl --user enable s2s-agent.service",
            "systemctl --user restart s2s-agent.service",
        ]
    assert "loginctl enable-linger" in installed.stdout
    lines = unit.read_text("utf-8").splitlines()
    assert f'--workspace "{machine.workspace}" --log-format json agent --port 8060' in next(
        line for line in lines if line.startswith("ExecStart=")
    )
    assert {"Restart=always", "NoNewPrivileges=true", f"Environment=S2S_STATE={machine.kept}"} <= {*lines}
    verify(unit)
    assert machine.s2s("agent", "status", "--scheduler", "systemd").returncode == 0
    assert machine.s2s("agent", "status", "--scheduler", "systemd", FAILS="is-active").returncode == 5
    machine.calls()

    failed = machine.s2s(*install, FAILS="enable")
    assert (failed.returncode, "Failed to connect to bus" in failed.stderr) == (1, True)
    machine.calls()
    assert machine.s2s("agent", "remove", "--scheduler", "systemd").returncode == 0
    assert not unit.exists()
    assert machine.calls() == [
        "systemctl --user disable --now s2s-agent.service",
        "systemctl --user daemon-reload",
    ]
    again = machine.s2s("agent", "remove", "--scheduler", "systemd")
    assert (again.returncode, machine.calls(), "not installed" in again.stdout) == (0, [], True)

    unit.write_text("[Service]\nExecStart=/bin/true\n", "utf-8")
    for words in (install, ("agent", "remove", "--scheduler", "systemd")):
        refused = machine.s2s(*words)
        assert (refused.returncode, machine.calls(), "somebody else" in refused.stderr) == (1, [], True)
    assert unit.read_text("utf-8") == "[Service]\nExecStart=/bin/true\n"


def test_a_unit_of_the_machine_may_write_to_the_workspace_alone(machine: Machine, tmp_path: Path) -> None:
    """The systemd of this machine has nothing to say of the hardened unit, nor of the timer."""
    owner = machine.workspace.owner()
    shown = machine.s2s("schedule", "install", "--every", "5m", "--system", "--scheduler", "systemd", "--print")
    assert shown.returncode == 0, shown.stderr
    blocks = {
        block.split("\n\n", 1)[0]: block.split("\n\n", 1)[1]
        for block in shown.stdout.split("\nCall ")[0].split("Write ")[1:]
    }
    units = [tmp_path / name for name in ("s2s.service", "s2s.timer")]
    for unit, (head, text) in zip(units, blocks.items(), strict=True):
        assert head == f"/etc/systemd/system/{unit.name} (utf-8):"
        unit.write_text(text, "utf-8")
    verify(*units)
    lines = units[0].read_text("utf-8").splitlines()
    assert {f"User={owner}", "ProtectSystem=strict", f'ReadWritePaths="{machine.workspace}"', "Type=oneshot"} <= {
        *lines
    }
    assert "OnUnitInactiveSec=300s" in units[1].read_text("utf-8")
    assert machine.calls() == []


def test_a_program_reads_what_a_service_takes_and_whether_it_runs(machine: Machine) -> None:
    """`--output json`: the steps of --print, the same steps performed, the state, and nothing to remove."""
    for kind, scheduler in (("agent", "systemd"), ("schedule", "systemd"), ("schedule", "cron")):

        def read(command: str, *words: str, code: int = 0, named: tuple[str, str] = (kind, scheduler)) -> Any:
            ran = machine.s2s(named[0], command, "--scheduler", named[1], "--output", "json", *words)
            assert ran.returncode == code, ran.stderr
            return read_result(ran.stdout)

        planned = read("install", "--print")
        assert (planned["performed"], bool(planned["steps"]), machine.calls()) == (False, True, [])
        assert read("install") == {**planned, "performed": True}
        assert read("status") == {"name": planned["name"], "scheduler": scheduler, "active": True}
        assert read("remove")["steps"]
        assert read("remove")["steps"] == []
        assert machine.calls()


def test_cron_keeps_every_other_line_of_the_crontab(machine: Machine) -> None:
    """Also one without an end of line; a crontab that cannot be read, or a region cut in two, is left alone."""
    crontab = machine.kept / "crontab"
    install = ("schedule", "install", "--scheduler", "cron", "--jobs", "4")
    before = "MAILTO=me\r\n# é\n1 2 * * * backup"
    crontab.write_bytes(before.encode("latin-1"))
    for every in ("3m", "2h", "2h"):
        assert machine.s2s(*install, "--every", every).returncode == 0
    content = crontab.read_bytes().decode("latin-1")
    assert content.startswith(f"{before}\n# BEGIN s2s of workspace ")
    (line,) = [line for line in content.splitlines() if "run --all --jobs 4" in line]
    assert line.startswith("0 */2 * * * umask 077; ")
    assert f"--workspace '{machine.workspace}'" in line
    assert machine.s2s("schedule", "status", "--scheduler", "cron").returncode == 0
    machine.calls()
    assert machine.s2s("schedule", "remove", "--scheduler", "cron").returncode == 0
    assert (crontab.read_bytes().decode("latin-1"), machine.calls()) == (f"{before}\n", ["crontab -"])
    assert machine.s2s("schedule", "status", "--scheduler", "cron").returncode == 5

    crontab.write_text(content.replace(line, f"{line}\nMAILTO=you"), "latin-1")
    for words in (install, ("schedule", "remove", "--scheduler", "cron")):
        added = machine.s2s(*words)
        assert (added.returncode, machine.calls(), "somebody else's" in added.stderr) == (1, [], True)
    assert machine.s2s("schedule", "status", "--scheduler", "cron").returncode == 0
    crontab.write_text("".join(content.splitlines(keepends=True)[:-1]), "latin-1")
    cut = machine.s2s(*install)
    assert (cut.returncode, machine.calls(), "crontab -e" in cut.stderr) == (1, [], True)
    crontab.unlink()
    refused = machine.s2s(*install, SAYS="you are not allowed to use this program")
    assert (refused.returncode, machine.calls()) == (1, [])
    assert machine.s2s(*install).returncode == 0
    assert crontab.read_text("utf-8").startswith("# BEGIN s2s of workspace ")


def test_launchd_gets_a_property_list_that_it_loads_anew(machine: Machine) -> None:
    """And loses it when it is removed."""
    label = "com.stock2shop.s2s-agent"
    path = machine.home / "Library" / "LaunchAgents" / f"{label}.plist"
    assert machine.s2s("agent", "install", "--scheduler", "launchd").returncode == 0
    facts = plistlib.loads(path.read_bytes())
    assert (facts["Label"], facts["KeepAlive"], facts["RunAtLoad"]) == (label, True, True)
    log = machine.workspace / "s2s-agent.log"
    assert facts["ProgramArguments"][-5:] == ["--log-format", "json", "--log-file", str(log), "agent"]
    assert facts["StandardErrorPath"] == str(log.with_suffix(".err"))
    assert [line.split()[1] for line in machine.calls()] == ["bootout", "enable", "bootstrap"]
    assert machine.s2s("agent", "install", "--scheduler", "launchd").returncode == 0
    machine.calls()
    assert machine.s2s("agent", "remove", "--scheduler", "launchd").returncode == 0
    assert (path.exists(), [line.split()[1] for line in machine.calls()]) == (False, ["bootout"])


def test_a_task_of_windows_starts_with_the_machine(machine: Machine) -> None:
    """Its XML is UTF-16, and a path that its command line cannot hold is refused."""
    install = ("agent", "install", "--scheduler", "task-scheduler", "--account", "Network Service")
    for _ in range(2):
        installed = machine.s2s(*install, S2S_STATE=str(machine.kept))
        assert installed.returncode == 0, installed.stderr
    assert [line.split()[1] for line in machine.calls()] == ["/Create", "/Run", "/Create", "/Run"]
    content = (machine.kept / "task").read_bytes()
    assert content[:2] in {b"\xff\xfe", b"\xfe\xff"}
    task = ET.fromstring(content)
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert task.find(f"{space}Triggers/{space}BootTrigger") is not None
    assert task.findtext(f"{space}Principals/{space}Principal/{space}UserId") == "S-1-5-20"
    assert task.findtext(f"{space}Settings/{space}ExecutionTimeLimit") == "PT0S"
    arguments = task.findtext(f".//{space}Arguments") or ""
    assert arguments.startswith(f'/d /s /c "set "S2S_STATE={machine.kept}"& ')
    log = machine.workspace / "s2s-agent"
    assert f'--log-format json --log-file "{log}.log" agent >NUL 2>>"{log}.err"' in arguments
    assert [*machine.workspace.glob("*.xml")] == []
    assert machine.s2s("agent", "remove", "--scheduler", "task-scheduler").returncode == 0
    assert [line.split()[1] for line in machine.calls()] == ["/End", "/Delete"]
    assert machine.s2s("agent", "status", "--scheduler", "task-scheduler").returncode == 5
    assert machine.s2s(*install, S2S_STATE="/srv/100%").returncode == 2


def test_what_cannot_be_installed_says_so_before_anything_is_changed(machine: Machine) -> None:
    """The agent in cron, options that nothing would read, a cadence that nothing keeps, a program that is not there."""
    refused = {
        ("agent", "install", "--scheduler", "cron"): "s2s schedule install --scheduler cron",
        ("agent", "--port", "1", "install"): "s2s agent install --port",
        ("agent", "install", "--every", "often"): "s2s agent --every 3m",
        ("agent", "install", "--scheduler", "systemd", "--account", "me"): "--system",
        ("agent", "install", "--scheduler", "systemd", "--name", "../x"): "no name for a service",
        ("schedule", "install", "--every", "30s"): "once a minute",
        ("schedule", "install", "--scheduler", "cron", "--every", "7m"): "--every 5m",
    }
    for words, says in refused.items():
        ended = machine.s2s(*words)
        assert (ended.returncode, says in ended.stderr) == (2, True), (words, ended.stderr)
    missing = machine.s2s("agent", "install", "--scheduler", "launchd", PATH="/nowhere")
    assert (missing.returncode, "no program launchctl" in missing.stderr) == (1, True)
    (machine.workspace / "projects" / "acme" / "project.toml").write_text("", "utf-8")
    idle = machine.s2s("agent", "install", "--scheduler", "systemd")
    assert (idle.returncode, "No project has a cadence" in idle.stderr) == (2, True)
    assert machine.calls() == []
    assert [path for path in machine.home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["100% of a$b", "semi; colon, & more", "Zoë 中\u00a0x", 'q\'uote "d" \\'])
def test_a_folder_of_any_name_is_one_word_to_each_scheduler(tmp_path: Path, name: str) -> None:
    """Systemd finds the program and starts it with the path; a shell does, from what cron reads; so does cmd."""
    folder = tmp_path / name
    folder.mkdir()
    program = folder / "s2s"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$S2S_STATE" "$@" >"$0.seen"\n', "utf-8")
    program.chmod(0o755)
    service = Service(
        name="s2s",
        description="100 %",
        command=(str(program), "--workspace", str(folder)),
        workspace=folder,
        log=folder / "s2s.log",
        every=timedelta(minutes=3),
        environment={"S2S_STATE": str(folder)},
        writable=(folder,),
    )
    line = cron._line(service).split(maxsplit=5)[5].replace(r"\%", "%")  # as cron hands it to the shell
    subprocess.run(["/bin/sh", "-c", line], check=True)
    assert Path(f"{program}.seen").read_text("utf-8").splitlines() == [str(folder), "--workspace", str(folder)]
    unit = tmp_path / "s2s.service"
    unit.write_text(systemd._texts(service)[0], "utf-8")
    if "'" in name:
        with pytest.raises(UsageError, match="systemd allows that in no program's"):
            systemd.install(service)
    else:
        verify(unit)
    assert plistlib.loads(launchd._text(service).encode())["ProgramArguments"][-1] == str(folder)


def test_each_platform_has_its_own_scheduler() -> None:
    """cron, where systemd does not run; and it runs nothing in the middle of an hour's parts."""
    assert (default_scheduler("win32"), default_scheduler("darwin")) == ("task-scheduler", "launchd")
    assert default_scheduler("linux") in {"systemd", "cron"}
    assert schedule_expression(timedelta(days=1)) == "0 0 * * *"
    with pytest.raises(UsageError):
        schedule_expression(timedelta(minutes=90))
