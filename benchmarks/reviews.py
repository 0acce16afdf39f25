"""Measure `s2s test` on a workspace of many projects: CPU seconds with and without the results of the last time.

The projects are of one of two kinds. `templates` are begun from all starter templates in turn, so each has two views,
fixtures and snapshots, and much of what is done for one serves the next of its template. Of `different` no two share a
line of SQL: tables, columns, aliases, filters and expressions are each project's own, in four dialects. Cold, the
user's cache folder is empty; warm, it has the results of the last time. Run `python benchmarks/reviews.py`; with
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

CACHE = ".cache"
"""The user's cache folder of these runs, in the workspace."""


def main() -> None:
    """Build the workspace, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--projects", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=("templates", "different"), action="append", help="one of them; else both")
    parser.add_argument("--beside", type=Path, help="another checkout, to compare with")
    asked = parser.parse_args()
    engines = [HERE, *([asked.beside.resolve()] if asked.beside else [])]
    for projects in asked.kind or ("templates", "different"):
        with tempfile.TemporaryDirectory(prefix="s2s-bench-") as folder:
            workspace = Path(folder)
            {"templates": begin_from_templates, "different": write_different}[projects](workspace, asked.projects)
            s2s(HERE, workspace, "test", "--update")
            taken: dict[tuple[Path, str], list[float]] = {}
            for number in range(asked.rounds + 1):
                for engine in engines:
                    for state in ("cold", "warm"):
                        if state == "cold":
                            shutil.rmtree(workspace / CACHE, ignore_errors=True)
                        seconds = s2s(engine, workspace, "test")
                        if number:  # the first round is for compiled Python and the disk's cache
                            taken.setdefault((engine, state), []).append(seconds)
        for (engine, state), each in taken.items():
            print(f"{projects:9}  {state}  {statistics.median(each):6.2f} CPU s, least {min(each):.2f}  {engine}")


def begin_from_templates(workspace: Path, projects: int) -> None:
    """Begin projects from the templates in turn."""
    systems = sorted(path.name for path in (HERE / "templates" / "sql").iterdir() if path.name != "macros")
    for number, system in enumerate(islice(cycle(systems), projects)):
        s2s(HERE, workspace, "init", f"{system}_{number}", "--template", system)


def write_different(workspace: Path, projects: int) -> None:
    """Write projects of which no two have a table, a column or an alias of the same name."""
    for number in range(projects):
        root = workspace / "projects" / f"client_{number}"
        for path, text in different_project(number).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")


DIALECTS = {"postgres": '"', "mysql": "`", "tsql": '"', "sqlite": '"'}
"""Dialects of the different projects, and what quotes a name in them."""


def different_project(number: int) -> dict[str, str]:
    """The files of a project by their paths: three tables of 20 rows, a view of 22 columns and one of 12."""
    dialect, quote = list(DIALECTS.items())[number % len(DIALECTS)]
    n, item, price, stock = number, f"i{number}", f"p{number}", f"s{number}"

    def named(name: str) -> str:
        return f"{quote}{name}{quote}"

    titles = (
        f"coalesce(nullif(trim({item}.name_{n}), ''), {item}.code_{n})",
        f"case when {item}.name_{n} is null then {item}.code_{n} else trim({item}.name_{n}) end",
        f"upper(coalesce({item}.name_{n}, {item}.code_{n}))",
    )
    flags = (
        f"case {item}.web_{n} when 'Y' then 'Active' when 'D' then 'Delete' else 'Ignore' end",
        f"case when {item}.web_{n} = 'Y' and {item}.group_{n} <> 'x{n}' then 'Active' else 'Ignore' end",
    )
    amount = f"{price}.amount_{n} * {n + 2}"
    if dialect != "sqlite":  # which rounds what lies halfway in a way of its own
        amount = f"round({price}.amount_{n} * 1.{n:02}, 2)"
    metas = "".join(
        f"    case when {item}.weight_{n} > {place + n} then 'over {place + n}' else {item}.group_{n} end"
        f" as {named(f'meta_rank{place}')},\n"
        for place in range(8)
    )
    products = (
        f"select\n    {item}.style_{n} as source_product_code,\n    {item}.code_{n} as source_variant_code,\n"
        f"    {titles[n % 3]} as title,\n    {flags[n % 2]} as product_active,\n"
        f"    {amount} as csv_price_tiers,\n"
        f"    max({price}.trade_{n}) as {named('price_Trade')},\n"
        f"    (select sum({stock}.hand_{n} - {stock}.held_{n}) from stock_{n} {stock}\n"
        f"     where {stock}.item_{n} = {item}.code_{n} and {stock}.place_{n} <> 'Q{n}') as {named('variants.qty')},\n"
        f"    {item}.code_{n} as {named('variants.sku')},\n    1 as {named('variants.inventory_management')},\n"
        f"{metas}    {item}.group_{n} as vendor\n"
        f"from item_{n} {item}\nleft join price_{n} {price} on {price}.item_{n} = {item}.code_{n}\n"
        f"    and {price}.list_{n} in ('A{n}', 'B{n}')\n"
        f"where {item}.weight_{n} < {1000 + n} and {item}.code_{n} <> 'none{n}'\n"
        f"group by {item}.style_{n}, {item}.code_{n}, {item}.name_{n}, {item}.web_{n}, {item}.group_{n},"
        f" {item}.weight_{n}, {price}.amount_{n}\n"
    )
    customers = (
        f"select\n    c{n}.code_{n} as source_customer_code,\n    c{n}.mail_{n} as email,\n"
        f"    case when c{n}.held_{n} = 'Y' then 'Ignore' else 'Active' end as customer_active,\n"
        f"    c{n}.first_{n} as first_name,\n    c{n}.last_{n} as last_name,\n"
        + "".join(f"    c{n}.line{place}_{n} as {named(f'address1.{field}')},\n" for place, field in enumerate(ADDRESS))
        + f"    'billing' as {named('address1.type')}\nfrom buyer_{n} c{n}\nwhere c{n}.code_{n} <> 'X{n}'\n"
    )
    rows = range(20)
    lines = ",".join(f"line{place}_{n}:text" for place in range(len(ADDRESS)))
    return {
        "project.toml": f'[source]\ndialect = "{dialect}"\nconnection = "${{DB}}"\n\n[stock2shop]\n'
        f'source_id = {n + 1}\nusername = "${{S2S_USER}}"\npassword = "${{S2S_PASSWORD}}"\n',
        "views/products.sql": products,
        "views/customers.sql": customers,
        f"fixtures/item_{n}.csv": f"code_{n}:text,style_{n}:text,name_{n}:text,web_{n}:text,"
        f"group_{n}:text,weight_{n}:int\n"
        + "".join(f"C{row},C{row},Item {row} of {n},{'YYDN'[row % 4]},G{row % 5},{row * 7}\n" for row in rows),
        f"fixtures/price_{n}.csv": f'item_{n}:text,list_{n}:text,"amount_{n}:decimal(12,2)","trade_{n}:decimal(12,2)"\n'
        + "".join(f"C{row},A{n},{row}.50,{row}.25\n" for row in rows),
        f"fixtures/stock_{n}.csv": f"item_{n}:text,place_{n}:text,hand_{n}:int,held_{n}:int\n"
        + "".join(f"C{row},W{place},{row},{place}\n" for row in rows for place in range(2)),
        f"fixtures/buyer_{n}.csv": f"code_{n}:text,mail_{n}:text,held_{n}:text,first_{n}:text,last_{n}:text,{lines}\n"
        + "".join(f"B{row},b{row}@example.com,N,Ann,Bee{',x' * len(ADDRESS)}\n" for row in rows),
    }


ADDRESS = ("address1", "address2", "city", "zip", "country_code", "phone")


def s2s(engine: Path, workspace: Path, *words: str) -> float:
    """Run one command of a checkout's engine; gives the CPU seconds that it took."""
    environment = {**os.environ, "PYTHONPATH": str(engine), "XDG_CACHE_HOME": str(workspace / CACHE)}
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
