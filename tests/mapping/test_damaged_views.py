"""What no database reads is refused by ``check``, and what one reads is not: the databases' own parsers say which.

Sound views are damaged at random: a word is left out, doubled, put elsewhere, or another takes its place.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

import duckdb
import pyodbc
import pytest
from support.mapping import itself
from support.servers import ADMIN
from support.view_grammar import draw_view

from engine.mapping.check import check_view
from engine.mapping.parse import ParseFailure, parse
from engine.mapping.text_checks import check_text
from engine.model.fields import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import MariaDb, Postgres

    Reads = Callable[[str], bool | None]
    """Whether a database reads a statement; None where it says something else before it has read all of it."""

DAMAGES = int(os.environ.get("VIEWS", "150"))
SEED = os.environ.get("SEED", "1")

VIEW = """\
select
    i.code as source_product_code, coalesce(i.variant, i.code) as source_variant_code,
    case when i.kind = 'A' or i.kind is null then 'first' when i.n between 1 and 5 then 'few' else i.descr end as title,
    case i.web when 'Y' then 'Active' else 'Delete' end as product_active,
    (select max(p.price) from price p where p.item = i.id and p.list in (1, 2)) as csv_price_tiers,
    sum(s.qty) - 2 * (max(s.reserved) + 1) as qty_main, count(distinct s.id) as meta_stores,
    'it''s' || i.note as meta_note, i.a / 2 as meta_half, cast(i.b as decimal(12, 2)) as meta_b
from item i
inner join style t on t.id = i.style and not t.gone = 1
left join stock s on s.item = i.id
where i.status <> 'X' and i.name like 'a%' and exists (select 1 from web w where w.item = i.id)
    and i.n >= 0 and (i.kind not in ('S', 'T') or i.made < '2024-01-01')
group by i.code, i.variant, i.kind, i.n, i.descr, i.web, i.id, i.note, i.a, i.b
having sum(s.qty) > 0 and count(*) < 100
union all
select x.c, x.c, x.t, 'Active', x.p, 0, 1, null, 1, 2 from extra x
order by 1, 2
"""

WORDS = ("and", "or", "from", "where", "(", ")", ",", "=", "case", "end", "then", "by", "join", "on", "as", "1", "x")


def words_of(sql: str) -> list[str]:
    """The words and signs of SQL, and the blanks between them."""
    return re.findall(r"'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|[\w.]+|<>|>=|<=|\|\||\S|\s+", sql)


def damage(random: Random, sql: str) -> str:
    """SQL with one word left out, doubled, exchanged with the next one, or replaced, or with an end cut off."""
    words = words_of(sql)
    places = [place for place, word in enumerate(words) if not word.isspace()]
    at = random.choice(places)
    kind = random.choice(("drop", "drop", "double", "swap", "replace", "insert", "cut"))
    if kind == "drop":
        words[at] = " "
    elif kind == "double":
        words[at] += f" {words[at]}"
    elif kind == "swap":
        other = random.choice([place for place in places if abs(place - at) <= 3])
        words[at], words[other] = words[other], words[at]
    elif kind == "replace":
        words[at] = f" {random.choice(WORDS)} "
    elif kind == "insert":
        words[at] += f" {random.choice(WORDS)} "
    else:
        del words[at:]
    return "".join(words)


ALIASES = re.compile(r"(?i)\b(and|or|case|then|when|else|end|join|between|like|is|in|not)\s+(,|from\b)")
"""What PostgreSQL takes for a column's alias without AS: any keyword. Nobody means one by it."""


@pytest.fixture
def parsers(postgres: Postgres, mariadb: MariaDb) -> Iterator[dict[str, Reads]]:
    """Of each dialect, whether its database reads a statement; what it then says of tables does not count."""
    with (
        closing(pyodbc.connect(postgres.connection(postgres.fresh_database(), login=ADMIN), autocommit=True)) as first,
        closing(pyodbc.connect(mariadb.connection(mariadb.fresh_database(), login=ADMIN), autocommit=True)) as second,
        duckdb.connect() as third,
        closing(sqlite3.connect(":memory:")) as fourth,
    ):

        def reads_postgres(sql: str) -> bool | None:
            if ALIASES.search(sql):
                return None
            try:
                first.execute(f"explain {sql}").close()
            except pyodbc.Error as error:
                return error.args[0] != "42601" and "syntax error" not in str(error)
            return True

        def reads_mysql(sql: str) -> bool | None:
            # As a text: the driver would look for its own marks in what is no SQL.
            try:
                second.execute(f"set @damaged = convert(0x{sql.encode().hex()} using utf8mb4)").close()
                second.execute("prepare damaged from @damaged").close()
            except pyodbc.Error as error:
                return False if "(1064)" in str(error) else True if "(1146)" in str(error) else None
            return True

        def reads_duckdb(sql: str) -> bool:
            try:
                third.extract_statements(sql)
            except duckdb.Error:
                return False
            return True

        def reads_sqlite(sql: str) -> bool:
            try:
                fourth.execute(f"explain {sql}")
            except sqlite3.Error as error:
                return not re.search("syntax error$|^incomplete input$|^unrecognized token", str(error))
            return True

        yield {"postgres": reads_postgres, "mysql": reads_mysql, "duckdb": reads_duckdb, "sqlite": reads_sqlite}


def test_what_no_database_reads_is_refused_and_what_one_reads_is_not(parsers: dict[str, Reads], tmp_path: Path) -> None:
    """More than half is refused by its words alone, and nothing that a database reads; the rest is warned of."""
    for dialect, reads in parsers.items():
        random = Random(f"{SEED} {dialect}")
        whole = VIEW.replace("'it''s' || i.note", "concat('it''s', i.note)") if dialect == "mysql" else VIEW
        assert reads(whole), dialect
        wrong, silent, refused, warned = [], [], 0, 0
        for number in range(DAMAGES):
            view = whole if number % 2 or dialect == "duckdb" else draw_view(random, dialect)
            sql = damage(random, view)
            query = itself(sql, tmp_path / "products.sql")
            said = list(check_text(query, sql, dialect))
            read = reads(sql)
            if read and said:
                wrong.append((said[0].message, sql))
            elif read is False:
                problems = said or check_view(query, dialect=dialect, entity=PRODUCTS, linked=False)[1]
                refused += any(problem.severity == "error" for problem in problems)
                warned += bool(problems)
                silent += [] if problems else [sql]
        assert wrong == []
        assert refused > warned / 2, (dialect, refused, warned)
        assert silent == []


def test_what_the_parser_breaks_at_is_told_like_all_else() -> None:
    """Of some of what is no SQL, sqlglot raises errors of Python's."""
    found = parse("select a from b where date_add( , interval 1 month) > c", "mysql")
    assert found == ParseFailure(message="it is not understood")
