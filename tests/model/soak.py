"""Play random histories for so many minutes: ``just soak MINUTES``, or one with ``--seed``; on a ``--fleet`` too."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.servers import Postgres

from model.history import draw
from model.play import Machines, Played, play, shorten


def main() -> int:
    """Play until the time is over; gives 1 where an invariant did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=10.0)
    parser.add_argument("--seed", type=int, help="only the history of this seed")
    parser.add_argument("--shorten", type=float, default=60.0, help="seconds for making a failing history shorter")
    parser.add_argument("--keep-going", type=int, default=10, help="so many violations end the soak")
    parser.add_argument("--no-postgres", action="store_true")
    parser.add_argument("--fleet", action="store_true", help="on the machines of a fleet, any of which runs a command")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="fix a setting, as pricing=csv"
    )
    parser.add_argument("--pass-over", action="append", default=[], metavar="KIND", help="only count such violations")
    asked = parser.parse_args()
    dialects = ("sqlite", "duckdb") if asked.no_postgres else ("sqlite", "duckdb", "postgres")
    servers: list[Postgres] = []

    @cache
    def postgres() -> Postgres:
        servers.append(Postgres())
        return servers[0]

    played: list[Played] = []
    failed: list[Played] = []
    reported = 0
    ends = time.monotonic() + asked.minutes * 60
    first = secrets.randbelow(2**40) * 1000 if asked.seed is None else asked.seed
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(Machines(Path(folder), postgres)) as machines,
        suppress(KeyboardInterrupt),
    ):
        while True:
            history = draw(first + len(played), dialects=dialects, fleet=asked.fleet)
            history = replace(history, setting=replace(history.setting, **dict(each.split("=") for each in asked.set)))
            done = play(history, machines)
            played.append(done)
            if len(played) % 25 == 0:
                sys.stderr.write(f"{_summary(played)} so far\n")
            if done.violation is not None:
                failed.append(done)
                if done.violation.kind not in asked.pass_over:
                    reported += 1
                    shortest = shorten(done, machines, seconds=asked.shorten) if asked.shorten else done
                    _say(shortest.told() + "\n")
            if asked.seed is not None or time.monotonic() > ends or reported >= asked.keep_going:
                break
    for server in servers:
        server.remove()
    _say(_summary(played))
    for kind, many in Counter(one.violation.kind for one in failed if one.violation).most_common():
        seeds = [str(one.history.seed) for one in failed if one.violation and one.violation.kind == kind]
        _say(f"  {kind}: {many}, seeds {', '.join(seeds)}")
    return 1 if failed else 0


def _summary(played: list[Played]) -> str:
    return (
        f"{len(played):,} histories, {sum(one.runs for one in played):,} runs, {sum(one.kills for one in played):,}"
        f" kills, {sum(one.faults for one in played):,} faults,"
        f" {sum(one.violation is not None for one in played):,} violations"
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
