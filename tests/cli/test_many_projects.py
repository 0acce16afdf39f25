"""Several projects of one workspace that run at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import duckdb
from support.command import run_process

if TYPE_CHECKING:
    from support.client import Client

    from engine.sandbox.server import Sandbox

VIEW = """\
select
    code as source_product_code, code as source_variant_code, 'Item' as title, 'Yes' as product_active,
    price as csv_price_tiers, '1' as "variants.qty", code as "variants.sku", true as "variants.inventory_management"
from item
"""


def add_project(client: Client, name: str, *, remote: str = "pace = 0") -> Client:
    """Another project of the workspace, of the same user, with one item that is called like the project."""
    other = type(client)(workspace=client.workspace, sandbox=client.sandbox, name=name)
    other.write(view=VIEW, remote=remote)
    with duckdb.connect(str(other.root / "erp.duckdb")) as connection:
        connection.execute("create table item as select $1 as code, '1' as price", [name.upper()])
    return other


def asked(sandbox: Sandbox) -> list[tuple[str, int]]:
    """The requests so far: the end of the path, and the status of the answer."""
    return sorted((request.path.rpartition("/")[2], request.status) for request in sandbox.requests)


def test_projects_that_share_a_user_run_at_the_same_time(client: Client) -> None:
    """Four processes that begin together: one logs in, no token is refused, none exceeds the pace."""
    names = ("north", "south", "east", "west")
    for name in names:
        add_project(client, name, remote="pace = 5")

    def run(name: str) -> str:
        ran = run_process("run", name, folder=client.workspace, variables=client.environment)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout + ran.stderr

    with ThreadPoolExecutor(len(names)) as pool:
        printed = "".join(pool.map(run, names))
    requests = client.sandbox.requests
    assert asked(client.sandbox) == [("authenticate", 200), *[("queue", 200)] * 4, *[("sources", 200)] * 4]
    assert sorted(client.held()) == sorted(name.upper() for name in names)
    times = [request.received_at for request in requests if not request.path.endswith("authenticate")]
    assert (times[-1] - times[0]).total_seconds() > 7 / 5 - 0.2
    (token,) = client.sandbox.endpoints.tokens
    assert token not in printed
