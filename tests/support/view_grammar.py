"""Small views at random, of constructs that run on fixtures, over the table ``probe`` of :mod:`support.constructs`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from support.typed_columns import COLUMNS, TABLE

if TYPE_CHECKING:
    from random import Random

LEAVES = {
    "int": ("n", "m", "id", "0", "1", "7", "-3"),
    "dec": ("price", "amount", "2.5", "0.05", "1.15", "-1.5"),
    "text": ("name", "code", "grp", "digits", "'a'", "''", "' b '", "'Hammer'", "'12'"),
    "date": ("made", "made2"),
    "time": ("seen",),
    "cond": ("n > 2", "code = 'A1'", "name is null", "price < 2.5", "made > '2024-01-15'"),
}
"""What an expression of each kind begins with."""

EVERYWHERE = {
    "int": (
        *("({int} + {int})", "({int} - {int})", "({int} * {int})", "-({int})", "abs({int})", "coalesce({int}, {int})"),
        *("nullif({int}, {int})", "case when {cond} then {int} else {int} end", "length({text})", "({int} / {int})"),
        *(
            "({int} % {int})",
            "case {int} when {int} then 1 else 0 end",
            "({int} / 2)",
            "case when {cond} then {int} end",
        ),
    ),
    "dec": (
        *("({dec} + {dec})", "({dec} - {int})", "({dec} * {dec})", "round({dec}, 2)", "round({dec}, 1)", "abs({dec})"),
        *("coalesce({dec}, 0)", "round({dec} / 3.0, 2)", "case when {cond} then {dec} else 0.0 end", "{dec} / 100.0"),
        *("cast({dec} as decimal(12, 2))", "round({dec} * 1.15, 2)", "nullif({dec}, {dec})", "floor({dec})"),
    ),
    "text": (
        *("upper({text})", "lower({text})", "trim({text})", "replace({text}, 'a', 'bb')", "coalesce({text}, {text})"),
        *("nullif({text}, {text})", "substr({text}, 2)", "substr({text}, 1, 3)", "ltrim({text})", "rtrim({text})"),
        *("case when {cond} then {text} else {text} end", "case {text} when {text} then 'y' else {text} end"),
    ),
    "date": ("coalesce({date}, {date})", "case when {cond} then {date} else {date} end"),
    "time": ("coalesce({time}, {time})", "case when {cond} then {time} end"),
    "cond": (
        *("{int} > {int}", "{int} = {int}", "{dec} <= {dec}", "{text} = {text}", "{text} <> {text}", "{text} is null"),
        *(
            "({cond} and {cond})",
            "({cond} or {cond})",
            "not ({cond})",
            "{int} between {int} and {int}",
            "{date} < {date}",
        ),
        *("{text} like '%a%'", "{text} in ('A1', 'x', '12')", "{int} in (1, 2, 5)", "{date} >= '2024-01-31'"),
    ),
}

OWN = {
    "postgres": {
        "int": (
            *("({date} - {date})", "extract(year from {date})", "extract(dow from {date})", "strpos({text}, 'a')"),
            *("greatest({int}, {int})", "least({int}, {int})", "extract(hour from {time})", "mod({int}, 7)"),
            *("ascii({text})", "octet_length({text})", "sign({int})", "({int} & 6)"),
        ),
        "dec": ("trunc({dec}, 1)", "trunc({dec})", "greatest({dec}, {dec})", "ceil({dec})", "({dec})::numeric(14, 3)"),
        "text": (
            *("initcap({text})", "reverse({text})", "md5({text})", "left({text}, 3)", "right({text}, 2)"),
            *("({text} || {text})", "concat({text}, '-', {int})", "concat_ws('/', {text}, {text})", "({int})::text"),
            *("split_part({text}, ' ', 1)", "lpad({text}, 6, '0')", "translate({text}, 'abc', 'xy')", "({date})::text"),
            *("regexp_replace({text}, '[0-9]+', '#', 'g')", "to_char({date}, 'DD/MM/YYYY')", "left({text}, -1)"),
            *("to_char({dec}, 'FM999999999990.00')", "format('%s:%s', {text}, {int})", "to_char({time}, 'HH24:MI')"),
            *("array_to_string(string_to_array({text}, ' '), '_')", "overlay({text} placing 'Z' from 2 for 1)"),
        ),
        "date": ("({date} + {int})", "({date} - 7)", "({time})::date", "greatest({date}, {date})"),
        "time": (
            *("({date} + interval '1 month')", "({time} - interval '90 minutes')", "date_trunc('month', {time})"),
            *("({date} + interval '30 days')", "date_trunc('hour', {time})"),
        ),
        "cond": (
            *(
                "{text} ilike 'h%'",
                "{text} ~ '^[A-Z]'",
                "{text} is distinct from {text}",
                "{int} = any(array[1, 5, 7])",
            ),
            *("starts_with({text}, 'H')", "{text} ~* 'm+'", "({cond}) is true"),
        ),
    },
    "mysql": {
        "int": (
            *("datediff({date}, {date})", "year({date})", "dayofweek({date})", "weekday({date})", "({int} div {int})"),
            *("timestampdiff(month, {date}, {date})", "find_in_set({text}, list)", "field({text}, 'A1', 'B2')"),
            *("instr({text}, 'a')", "locate('m', {text}, 2)", "if({cond}, {int}, {int})", "ifnull({int}, 0)"),
            *("greatest({int}, {int})", "char_length({text})", "ascii({text})", "({cond})", "hour({time})"),
        ),
        "dec": ("truncate({dec}, 1)", "ifnull({dec}, 0)", "greatest({dec}, {dec})", "if({cond}, {dec}, {dec})"),
        "text": (
            *("reverse({text})", "md5({text})", "left({text}, 3)", "right({text}, 2)", "concat({text}, {text})"),
            *("concat({text}, '-', {int})", "concat_ws('/', {text}, {text})", "substring_index({text}, ' ', 1)"),
            *("lpad({text}, 6, '0')", "date_format({date}, '%d/%m/%Y')", "date_format({time}, '%H:%i')", "hex({text})"),
            *("format({dec}, 2)", "substring({text}, -3)", "insert({text}, 2, 1, 'Z')", "if({cond}, {text}, {text})"),
            *(
                "elt({int}, 'one', 'two')",
                "date_format({date}, '%W %e %M')",
                "ifnull({text}, '-')",
                "cast({int} as char)",
            ),
        ),
        "date": (
            "date_add({date}, interval 1 month)",
            "({date} - interval 30 day)",
            "last_day({date})",
            "date({time})",
        ),
        "time": ("({time} + interval 90 minute)", "date_sub({time}, interval 1 quarter)"),
        "cond": ("{text} regexp '^[0-9]+$'", "{text} <=> {text}", "({int} xor {int})", "isnull({text})", "{int}"),
    },
    "sqlite": {
        "int": (
            *("instr({text}, 'a')", "max({int}, {int})", "min({int}, {int})", "iif({cond}, {int}, {int})", "({cond})"),
            *("cast({text} as integer)", "ifnull({int}, 0)", "({int} & 6)", "unicode({text})"),
            "cast(strftime('%Y', {date}) as integer)",
        ),
        "text": (
            *("({text} || {text})", "printf('%05d', {int})", "printf('%s:%s', {text}, {text})", "substr({text}, -3)"),
            *("hex({text})", "ltrim({text}, '0')", "iif({cond}, {text}, {text})", "strftime('%d/%m/%Y', {date})"),
            *(
                "({text} || {int})",
                "ifnull({text}, '-')",
                "strftime('%H:%M', {time})",
                "datetime({time}, '+90 minutes')",
            ),
        ),
        "date": (
            *("date({date}, '+1 month')", "date({date}, '-30 days')", "date({date}, 'start of month')", "date({time})"),
            "date({date}, '+1 year', '-1 day')",
        ),
        "cond": ("{text} glob 'H*'", "{text} is {text}", "{int}", "{text} is not {text}"),
    },
}
"""What only one dialect has."""

SHAPES = (
    ("select id from probe where {cond} order by id", 3),
    ("select x.id, x.v from (select id, {int} as v from probe) as x where x.v is not null order by x.id", 1),
    ("select grp, sum({int}) as s, count({text}) as c, max({date}) as d from probe group by grp order by grp", 1),
    ("select grp, count(distinct {int}) as c, min({dec}) as d from probe group by grp order by grp", 1),
    ("select id, row_number() over (partition by grp order by {int}, id) as r from probe order by id", 1),
    (
        "select a.id, b.id as other from probe a join probe b on b.code = a.code and b.id > a.id order by a.id, b.id",
        1,
    ),
    (
        "select id from probe p where exists (select 1 from probe o where o.n = p.m and o.id <> p.id) order by id",
        1,
    ),
    ("select {int} as v from probe where {cond} union all select {int} from probe where {cond} order by v", 1),
)
"""Whole views, and how often each is drawn; most views are columns, each an expression."""


def draw_expression(random: Random, dialect: str, kind: str, depth: int) -> str:
    """An expression of a kind, at most so many levels deep."""
    forms = (*EVERYWHERE.get(kind, ()), *OWN[dialect].get(kind, ()))
    if depth == 0 or not forms or random.random() < 0.2:
        return random.choice(LEAVES[kind])
    form = random.choice(forms)
    return re.sub(r"\{(\w+)\}", lambda found: draw_expression(random, dialect, found[1], depth - 1), form)


def draw_columns(random: Random, dialect: str, count: int) -> list[str]:
    """So many expressions of any kind."""
    kinds = ("int", "dec", "text", "text", "date", "time", "cond")
    return [draw_expression(random, dialect, random.choice(kinds), 3) for _ in range(count)]


def draw_view(random: Random, dialect: str) -> str:
    """A whole view."""
    (shape,) = random.choices([shape for shape, _ in SHAPES], [weight for _, weight in SHAPES])
    return re.sub(r"\{(\w+)\}", lambda found: draw_expression(random, dialect, found[1], 2), shape)


TYPED = (
    *("{a}", "coalesce({a}, {b})", "coalesce({a}, null)", "coalesce({a}, '')", "coalesce({a}, 0)", "nullif({a}, {b})"),
    *("nullif({a}, '')", "case when {a} is null then 'n' else 'y' end", "case when {a} = {b} then 1 else 0 end"),
    *("case when {a} < {b} then 1 else 0 end", "case when {a} <> '' then 1 else 0 end", "({a} + {b})", "({a} - {b})"),
    *("case when {a} > '2026-03-02' then 1 else 0 end", "case when {a} = 0 then 'z' else 'o' end", "({a} * 2)"),
    *("case when {a} in ('a1', 'Low', '08:30:00') then 1 else 0 end", "case when {a} like 'a%' then 1 else 0 end"),
    *(
        "case when {a} then 1 else 0 end",
        "case {a} when 1 then 'one' when 0 then 'zero' else 'other' end",
        "({a} / 3.0)",
    ),
    *("case when id > 9 then {a} else {b} end", "case when id > 9 then {a} else '' end", "round({a}, 1)", "floor({a})"),
    *("case when id > 9 then {a} else 0 end", "round({a} * 1.15, 2)", "ceil({a})", "abs({a})", "-{a}", "({a} % 2)"),
    *("upper({a})", "trim({a})", "length({a})", "replace({a}, '1', 'x')", "substr({a}, 1, 2)", "cast({a} as char(10))"),
    *("cast({a} as decimal(12, 2))", "cast({a} as date)", "cast({a} as varchar(10))", "max({a}) over ()", "lower({a})"),
    *("min({a}) over ()", "sum({a}) over ()", "count({a}) over ()", "row_number() over (order by {a}, id)"),
    *(
        "row_number() over (partition by {a} order by id)",
        "lag({a}) over (order by id)",
        "(select max({a}) from typed)",
    ),
    *("(select count(distinct {a}) from typed)", "exists (select 1 from typed x where x.{c} = typed.{c})"),
)
"""Expressions of columns of any type: many are refused, by the database or on fixtures."""

OWN_TYPED = {
    "postgres": (
        *("{a}::text", "{a}::int", "{a}::date", "{a}::numeric(12, 1)", "{a} || ''", "{a} || {b}", "concat({a}, 'x')"),
        *("greatest({a}, {b})", "{a} is distinct from {b}", "trunc({a}, 1)", "extract(year from {a})", "left({a}, 4)"),
        *("to_char({a}, 'YYYY-MM-DD')", "date_trunc('month', {a})", "({a} + interval '1 day')", "({a} ->> 'a')"),
    ),
    "mysql": (
        *("cast({a} as char)", "cast({a} as signed)", "concat({a}, '-')", "concat({a}, {b})", "if({a}, 'y', 'n')"),
        *(
            "ifnull({a}, '')",
            "greatest({a}, {b})",
            "({a} <=> {b})",
            "date_format({a}, '%Y-%m-%d %H:%i:%s')",
            "({a} + 0)",
        ),
        *("year({a})", "date({a})", "datediff({a}, {b})", "({a} + interval 1 day)", "date_add({a}, interval 1 month)"),
        *("truncate({a}, 1)", "left({a}, 4)", "concat_ws('/', {a}, {b})", "hex({a})", "({a} div 2)"),
    ),
    "sqlite": (
        *(
            "cast({a} as text)",
            "cast({a} as integer)",
            "({a} || '-')",
            "({a} || {b})",
            "ifnull({a}, '')",
            "max({a}, {b})",
        ),
        *("({a} is {b})", "iif({a}, 'y', 'n')", "strftime('%Y-%m-%d', {a})", "date({a}, '+1 month')", "typeof({a})"),
        *("printf('%s', {a})", "hex({a})", "instr({a}, '1')", "{a} glob 'A*'"),
    ),
}
"""What only one dialect has."""

MACROS = (
    *("sql.trim({a})", "sql.first_word({a})", "sql.other_words({a})", "sql.cast_text({a})", "sql.number_text({a})"),
    *(
        "sql.cast_number({a})",
        "sql.cast_number({a}, 0)",
        "sql.cast_int({a})",
        "sql.try_number({a})",
        "sql.try_int({a})",
    ),
    *("sql.try_number({a}, 0)", "sql.try_number({a}, 6)", "sql.concat([{a}])", "sql.concat([{a}, '-', {b}])"),
    *("sql.coalesce({a}, 'none')", "sql.coalesce({a}, 0)", "sql.price_tiers([['Trade', {a}], ['a,b', {b}]])"),
    *("sql.price_tiers([['Trade', {a}]], default={b})", "sql.tier({a}, {b})", "sql.available({a}, {b})"),
    *("sql.concat([sql.number_text({a}), ' pcs'])", "sql.coalesce(sql.try_number({a}), 0)", "sql.first_email({a})"),
    *("sql.cast_text(sql.try_int({a}))", "sql.trim(sql.cast_text({a}))"),
)
"""Calls of the macros of ``macros/dialect.sql``."""


def draw_typed(random: Random, dialect: str) -> str:
    """An expression of columns of the table ``typed``, at most two levels deep."""
    names = ["nm", *COLUMNS[dialect]]
    forms = (*TYPED, *OWN_TYPED[dialect])
    inner = random.choice(forms) if random.random() < 0.3 else "{a}"  # most are one level deep
    form = random.choice(forms)
    values = {"c": random.choice(names), "b": random.choice(names)}
    return form.format(a=inner.format(a=random.choice(names), **values), **values)


def draw_macro(random: Random, dialect: str) -> str:
    """A call of a macro, as a template has it, with columns of the table ``typed``."""
    names = ["nm", "nm", *COLUMNS[dialect]]
    first, second = (f'col("{TABLE}.{random.choice(names)}")' for _ in range(2))
    return f"{{{{ {random.choice(MACROS).format(a=first, b=second)} }}}}"
