"""Access files, read through mdbtools: what is in the file arrives, and where the driver cannot, it is said.

The files are written by support/access.py, because no tool on Linux writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from support import access
from support.access import AccessFile, Kind

from engine.database.open import open_source
from engine.errors import ConnectError, QueryError
from engine.model.settings import SourceSettings
from engine.scaffold.introspect import introspect

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Client

HTML = "<p>é 漢 &amp; \"quoted\" 'too'</p>\n" * 400


@dataclass(frozen=True, kw_only=True)
class Hard:
    """A value, the type of its column, and the text that it must arrive as."""

    kind: Kind
    value: Any
    expected: str | None


HARD = {
    "null": Hard(kind=access.TEXT, value=None, expected=None),
    "latin": Hard(kind=access.TEXT, value="Söhne & Töchter", expected="Söhne & Töchter"),
    "letters beyond Latin": Hard(kind=access.TEXT, value="漢 Ελλάδα", expected="漢 Ελλάδα"),
    "padding": Hard(kind=access.TEXT, value="  AB  ", expected="  AB  "),
    "255 letters": Hard(kind=access.TEXT, value="é" * 255, expected="é" * 255),
    "quotes": Hard(kind=access.TEXT, value='O\'Brien "x"\\', expected='O\'Brien "x"\\'),
    "short memo": Hard(kind=access.MEMO, value="in the row: é", expected="in the row: é"),
    "memo of several pages": Hard(kind=access.MEMO, value=HTML, expected=HTML),
    "true": Hard(kind=access.BOOLEAN, value=True, expected="true"),
    "byte": Hard(kind=access.BYTE, value=255, expected="255"),
    "integer": Hard(kind=access.SHORT, value=32767, expected="32767"),
    "negative integer": Hard(kind=access.SHORT, value=-32768, expected="-32768"),
    "long": Hard(kind=access.LONG, value=2147483647, expected="2147483647"),
    "negative long": Hard(kind=access.LONG, value=-2147483648, expected="-2147483648"),
    "money": Hard(kind=access.MONEY, value="922337203685477.5807", expected="922337203685477.5807"),
    "negative money": Hard(kind=access.MONEY, value="-0.0001", expected="-0.0001"),
    "single": Hard(kind=access.SINGLE, value=1234.56, expected="1234.56"),
    "negative single": Hard(kind=access.SINGLE, value=-0.1, expected="-0.1"),
    "whole single": Hard(kind=access.SINGLE, value=12.0, expected="12"),
    "double": Hard(kind=access.DOUBLE, value=0.1, expected="0.1"),
    "exact double": Hard(kind=access.DOUBLE, value=123456.7890123, expected="123456.7890123"),
    "decimal": Hard(kind=access.decimal(18, 4), value="12345678901234.5600", expected="12345678901234.5600"),
    "negative decimal": Hard(kind=access.decimal(28, 2), value="-1.50", expected="-1.50"),
    "time": Hard(kind=access.DATE, value=datetime.fromisoformat("2026-03-01 22:30:05"), expected="2026-03-01 22:30:05"),
    "date": Hard(kind=access.DATE, value=datetime.fromisoformat("1999-12-31"), expected="1999-12-31 00:00:00"),
}


def read(path: Path, query: str) -> list[tuple[str | None, ...]]:
    """Every row as the staging query sees it."""
    rows: list[tuple[str | None, ...]] = []
    with open_source(settings(path)) as connection:
        for batch in connection.read(query):
            rows += zip(*(column.cast(pa.string()).to_pylist() for column in batch.columns), strict=True)
    return rows


def settings(path: Path) -> SourceSettings:
    """The file over ODBC."""
    return SourceSettings(dialect="access", connection=f"Driver=MDBTools;DBQ={path}")


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str | None, ...]]:
    """A table in which each value has a column of its own, between two rows of NULLs."""
    file = AccessFile()
    columns = {"n": access.LONG} | {f"c{number}": each.kind for number, each in enumerate(HARD.values())}
    blank = [None] * len(HARD)
    file.table("hard", columns, [[1, *blank], [2, *(each.value for each in HARD.values())], [3, *blank]])
    path = file.write(tmp_path_factory.mktemp("access") / "erp.mdb")
    return read(path, "select * from hard")


@pytest.mark.parametrize("name", HARD)
def test_a_hard_value_of_access_arrives_as_it_was_put_in(hard: list[tuple[str | None, ...]], name: str) -> None:
    """Also where the driver loses a sign or half of a number. A Yes/No of Access is never NULL."""
    place = 1 + list(HARD).index(name)
    nothing = "false" if HARD[name].kind is access.BOOLEAN else None
    assert [row[place] for row in hard] == [nothing, HARD[name].expected, nothing]


@pytest.mark.parametrize("length", [16_383, 16_384, 100_000])
def test_a_text_that_the_driver_cuts_is_an_error(tmp_path: Path, length: int) -> None:
    """It gives no more than fits into its buffer, and says nothing of it; one letter less arrives whole."""
    file = AccessFile()
    file.table("fits", {"story": access.MEMO}, [["x" * 16_382]])
    file.table("long", {"story": access.MEMO}, [["short"], ["x" * length]])
    path = file.write(tmp_path / "erp.mdb")
    assert read(path, "select * from fits") == [("x" * 16_382,)]
    with pytest.raises(QueryError, match="the column story has one"):
        read(path, "select * from long")


def test_no_rows_and_many_pages_of_rows_arrive(tmp_path: Path) -> None:
    """More than a batch of them."""
    file = AccessFile()
    file.table("none", {"code": access.TEXT}, [])
    file.table("many", {"code": access.TEXT, "n": access.LONG}, [[f"CODE-{n}", n] for n in range(3_000)])
    path = file.write(tmp_path / "erp.mdb")
    assert read(path, "select * from none") == []
    assert read(path, "select n from many") == [(str(n),) for n in range(3_000)]


def test_what_the_driver_cannot_is_said_by_doctor_or_refused(tmp_path: Path) -> None:
    """WHERE on money is ignored, letters beyond the first 65,536 are lost, and most of SQL is not known."""
    file = AccessFile()
    file.table("item", {"code": access.TEXT, "price": access.MONEY}, [["A", "1.00"], ["B😀", "-1.00"]])
    path = file.write(tmp_path / "erp.mdb")
    assert read(path, "select code from item where price < 0") == [("A",), ("B??",)]
    with open_source(settings(path)) as connection:
        notes = " ".join(connection.describe().notes)
    assert "ignores WHERE on money columns" in notes
    assert "?? for letters beyond" in notes
    for query in ("select code as title from item", "select code from item order by code"):
        with pytest.raises(QueryError, match="does not understand"):
            read(path, query)


def test_a_file_that_is_no_access_file_or_not_there_is_said(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(ConnectError, match="There is no file"):
        read(tmp_path / "none.mdb", "select * from item")
    (tmp_path / "text.mdb").write_text("not a database" * 1000, "utf-8")
    with pytest.raises(ConnectError, match="cannot open the file as a database"):
        read(tmp_path / "text.mdb", "select * from item")


def test_an_access_file_is_looked_into(tmp_path: Path) -> None:
    """By its catalogue; the driver knows no way to sample, and the proposal says the same without."""
    file = AccessFile()
    item = {"ItemCode": access.TEXT, "Description": access.TEXT, "Price": access.MONEY, "QtyOnHand": access.LONG}
    file.table("StockItems", item, [["A", "Hammer", "10.50", 4]])
    (found,) = introspect(settings(file.write(tmp_path / "erp.mdb")))
    assert found.table == "StockItems"
    assert "StockItems.Price as csv_price_tiers" in found.sql
    assert " as variants__sku" in found.sql


def test_a_table_of_access_is_kept_in_step(client: Client, tmp_path: Path) -> None:
    """Its columns are called as the fields are, with two underscores for a dot: mdbtools knows no aliases."""
    names = ("source_product_code", "source_variant_code", "title", "product_active", "variants__sku", "price_Retail")
    columns = {**dict.fromkeys(names, access.TEXT), "price_Retail": access.MONEY, "variants__qty": access.SHORT}

    def write(price: str) -> Path:
        file = AccessFile()
        rows = [["A", "A", "Hammer é", "Yes", "A", price, -3], ["B", "B", "Saw", "No", "B", "2.00", 4]]
        file.table("Export", columns, rows)
        return file.write(tmp_path / "erp.mdb")

    client.environ["ERP"] = f"Driver=MDBTools;DBQ={write('10.5000')}"
    client.write(view=f"select {', '.join(columns)} from Export")
    text = (client.root / "project.toml").read_text("utf-8")
    reach = 'dialect = "access"\nconnection = "${ERP}"'
    text = text.replace('dialect = "duckdb"\ndatabase = "erp.duckdb"', reach)
    (client.root / "project.toml").write_text(text, "utf-8")
    assert client.run().sent == 1
    held = client.held()["A"]
    assert (held["title"], held["qty"]) == ("Hammer é", 0)
    assert held["price_tiers"] == [{"tier": "Retail", "price": 10.5}]
    assert client.run().sent == 0
    write("11.0000")
    assert client.run().sent == 1
    assert client.held()["A"]["price_tiers"] == [{"tier": "Retail", "price": 11}]
