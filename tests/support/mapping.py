"""A workspace with mappings and fixtures, and no database at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.config.loader import load
from engine.model.query import Query, SourceLocation
from engine.testing.fixture_run import fixture_session, run_on_fixtures
from engine.testing.snapshots import ProjectSnapshots, build_snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.settings import Project
    from engine.testing.fixture_run import FixtureResult

PROJECT = """\
[project]
description = "A client of the tests"

[source]
dialect = "{dialect}"
connection = "Driver={{None}};Server=${{TEST_HOST}};PWD=${{TEST_PASSWORD}}"

[stock2shop]
url = "${{TEST_URL}}"
source_id = 57
username = "${{TEST_USER}}"
password = "${{TEST_PASSWORD}}"
"""

VIEW = """\
select
    item.code as source_product_code,
    item.code as source_variant_code,
    item.descr as title,
    item.web as product_active,
    price.amount as csv_price_tiers,
    item.qty as "variants.qty",
    item.code as "variants.sku",
    item.brand as vendor
from item
left join price on price.code = item.code
"""

ITEM = """\
code,descr,web,qty,brand
A1,Hammer,Yes,5,Karoo
B2,Tent,Yes,,Veld
C3,,Yes,1,Veld
D4,Lamp,,2,
"""

PRICE = """\
code,amount
A1,99.50
B2,100.00
"""


def itself(sql: str, path: Path) -> Query:
    """A view whose template is its SQL, to the letter."""

    def at(offset: int) -> SourceLocation:
        return SourceLocation(
            path=path, line=sql.count("\n", 0, offset) + 1, column=offset - sql.rfind("\n", 0, offset)
        )

    return Query(sql=sql, path=path, source_map=lambda _: at)


def write(path: Path, text: str) -> Path:
    """Write a file, and the folders that it stands in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    return path


def write_project(
    workspace: Path,
    *,
    name: str = "acme",
    dialect: str = "duckdb",
    view: str = VIEW,
    settings: str = "",
    fixtures: dict[str, str] | None = None,
) -> Path:
    """Write a project with a view of products and fixtures; gives its folder."""
    root = workspace / "projects" / name
    write(root / "project.toml", PROJECT.format(dialect=dialect) + settings)
    write(root / "views" / "products.sql", view)
    for table, text in ({"item": ITEM, "price": PRICE} if fixtures is None else fixtures).items():
        write(root / "fixtures" / table, text) if "." in table else write(root / "fixtures" / f"{table}.csv", text)
    return root


def offline(workspace: Path, name: str = "acme") -> Project:
    """The project as it is loaded for what neither connects nor sends."""
    return load(name, workspace=workspace, environ={}, offline=True)


def rehearsed(workspace: Path, entity: str = "products") -> FixtureResult:
    """What comes of an entity of the project ``acme`` on its fixtures."""
    project = offline(workspace)
    with fixture_session([project]) as session:
        return run_on_fixtures(session, project, entity)


def produced(workspace: Path) -> ProjectSnapshots:
    """What the project ``acme`` comes to."""
    project = offline(workspace)
    with fixture_session([project]) as session:
        return build_snapshots(session, project)
