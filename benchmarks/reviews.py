"""Measure `s2s test` on a workspace of many projects: CPU seconds with and without the results of the last time.

The projects are begun from all starter templates in turn, so each has two views, fixtures and snapshots. Cold, the
folder `tested` beside the state files is gone; warm, it is there. Run it with `python benchmarks/reviews.py`; with
`--beside ENGINE` another checkout is measured in the same rounds, so that both meet the same noise.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from itertools import cycle, islice
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent


def main() -> None:
    """Build the workspace, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", type=Path, help="another checkout, to compare with")
    asked = parser.parse_args()
    engines = [HERE, *([asked.beside.resolve()] if asked.beside else [])]
    with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
        workspace = Path(folder)
        build(workspace, asked.projects)
        taken: dict[tuple[Path, str], list[float]] = {}
        for number in range(asked.rounds + 1):
            for engine in engines:
                for kind in ("cold", "warm"):
                    if kind == "cold":
                        shutil.rmtree(workspace / ".state" / "tested", ignore_errors=True)
                    seconds = s2s(engine, workspace, "test")
                    if number:  # the first round is for compiled Python and the disk's cache
                        taken.setdefault((engine, kind), []).append(seconds)
    for (engine, kind), each in taken.items():
        print(f"{kind}  {statistics.median(each):6.2f} CPU s, least {min(each):.2f}  {engine}")


def build(workspace: Path, projects: int) -> None:
    """Begin the projects, and write their snapshots."""
    systems = sorted(path.name for path in (HERE / "templates" / "sql").iterdir() if path.name != "macros")
    for number, system in enumerate(islice(cycle(systems), projects)):
        s2s(HERE, workspace, "init", f"{system}_{number}", "--template", system)
    s2s(HERE, workspace, "test", "--update")


def s2s(engine: Path, workspace: Path, *words: str) -> float:
    """Run one command of a checkout's engine; gives the CPU seconds that it took."""
    environment = {**os.environ, "PYTHONPATH": str(engine)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "engine", *words],
        cwd=workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
