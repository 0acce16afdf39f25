"""What sqlglot reads in a dialect though its database has not got it: functions, keywords and forms of others.

On fixtures these would run, and the live run would fail. The lists have what sqlglot takes and the translation would
accept, and were compared with PostgreSQL, MariaDB and SQLite. What a newer or another database of the same dialect has,
as MariaDB's NVL, is left alone, but for SQLite before 3.44, which many machines have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import REFUSED_LIVE, is_refused_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.mapping.transpile.facts import Unsupported

_INSTEAD = {
    **dict.fromkeys(("ifnull", "nvl", "isnull"), "COALESCE."),
    **dict.fromkeys(("if", "iif", "decode", "nvl2"), "CASE."),
    **dict.fromkeys(("len", "char_length", "character_length"), "LENGTH."),
    **dict.fromkeys(("ucase", "lcase"), "UPPER or LOWER."),
    **dict.fromkeys(("concat", "concat_ws"), "sql.concat([…])."),
    **dict.fromkeys(("group_concat", "string_agg", "arrayagg"), "sql.list_of(…)."),
    **dict.fromkeys(("greatest", "least"), "MAX or MIN of several values."),
    **dict.fromkeys(("year", "month", "day"), "EXTRACT, or STRFTIME in SQLite."),
    **dict.fromkeys(("left", "right", "substring_index"), "SUBSTR or SPLIT_PART, or sql.first_word(…)."),
    **dict.fromkeys(
        ("instr", "locate", "charindex", "position", "strpos"), "the database's own search: STRPOS or INSTR."
    ),
    "signum": "SIGN.",
    "startswith": "LIKE.",
    "str_to_date": "TO_DATE.",
    "truncate": "TRUNC.",
    "trunc": "TRUNCATE.",
    "chr": "CHAR.",
    "to_hex": "HEX.",
}
"""What to write for a function; for the others the same with a macro, or the database's own."""

_FUNCTIONS: Mapping[str, str] = {
    "postgres": "arrayagg array_join booland_agg boolor_agg charindex datediff day group_concat if ifnull iif insert"
    " instr isnull lcase leftpad len locate month nvl nvl2 rightpad signum space startswith str_to_date stuff"
    " substring_index truncate ucase year",
    "mysql": "arrayagg charindex date_diff iif leftpad len rightpad signum split_part string_agg strpos stuff to_hex"
    " trunc",
    "sqlite": "char_length character_length charindex chr concat concat_ws datediff date_add date_sub day decode"
    " greatest if insert isnull lcase least left leftpad len locate lpad month nvl nvl2 pad position repeat right"
    " rightpad rpad signum space split_part string_agg strpos stuff substring_index to_char to_hex ucase year",
}
"""Functions that each of these has not got, or not in each version that is in use."""

_SINCE: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        **dict.fromkeys(("concat", "concat_ws", "string_agg"), ", which SQLite before 3.44 refuses"),
        "if": ", which SQLite before 3.48 refuses",
    }
}
"""What a newer version has: how its name ends."""

_CAST_SIGN = (r"::\s*\w", ":: as a cast", "CAST(… AS …).")
_APPLY = (r"\b(?:cross|outer)\s+apply\b", "APPLY", "a join, or a subquery among the columns.")
_ILIKE = (r"\bilike\b", "ILIKE", "LIKE.")
_DISTINCT_ON = (r"\bdistinct\s+on\s*\(", "DISTINCT ON", "ROW_NUMBER() in a subquery.")
_STRAIGHT = (r"\bstraight_join\b", "STRAIGHT_JOIN", "JOIN.")
_NOLOCK = (r"\bwith\s*\(\s*nolock\s*\)", "WITH (NOLOCK)", "the table alone.")
_POSTFIX_NULL = (r"[\w)]\s+(?:isnull|notnull)\b(?!\s*\()", "ISNULL or NOTNULL behind a value", "IS NULL.")
_FROM_TO = (r"\bsubstring\s*\([^()]*\sfrom\s", "SUBSTRING(… FROM …)", "SUBSTR(…, 1, 2).")
_TRIM_FROM = (r"\btrim\s*\((?:\s*(?:both|leading|trailing)\b|[^()]*\sfrom\s)", "TRIM(… FROM …)", "TRIM(…, 'x').")

_FORMS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "postgres": (
        (r"\b(?:regexp|rlike)\b", "REGEXP", "the operator ~."),
        (r"<=>", "<=>", "IS NOT DISTINCT FROM."),
        (r"[^=<>!]==", "==", "=."),
        (r"\blimit\s+\d+\s*,", "LIMIT with a comma", "LIMIT … OFFSET …."),
        (r"\binterval\s+\d", "INTERVAL without quotes", "INTERVAL '1 day'."),
        (r"(?:\bas|::)\s+double\b(?!\s+precision)", "the type DOUBLE", "DOUBLE PRECISION."),
        (r"(?:\bas\s+|::\s*)(?:nvarchar|string)\s*[()]", "a type of other databases", "VARCHAR."),
        _APPLY,
        _STRAIGHT,
        _NOLOCK,
    ),
    "mysql": (
        _CAST_SIGN,
        _ILIKE,
        _DISTINCT_ON,
        _APPLY,
        _NOLOCK,
        _POSTFIX_NULL,
        (r"[^=<>!:]==", "==", "=."),
        (r"\bis\s+(?:not\s+)?distinct\s+from\b", "IS DISTINCT FROM", "the operator <=>."),
        (r"\)\s*filter\s*\(\s*where\b", "FILTER", "SUM(CASE …)."),
        (r"\bnulls\s+(?:first|last)\b", "NULLS FIRST or LAST", "an order by … IS NULL before it."),
        (r"\bfull\s+(?:outer\s+)?join\b", "FULL JOIN", "a UNION of two outer joins."),
        (
            r"\bcast\s*\((?:[^()]|\([^()]*\))*\sas\s+(?:(?:text|string|nvarchar|numeric|bigint|double\s+precision)\b|varchar\s*\))",
            "a cast to a type that CAST does not take",
            "CHAR, SIGNED, DECIMAL or DOUBLE.",
        ),
        (r"\b[lr]?trim\s*\([^()]*,", "TRIM with a comma", "TRIM(BOTH 'x' FROM …)."),
        (r"\bisnull\s*\([^()]*,", "ISNULL() of two values", "IFNULL."),
        # Its quotes are blanked out, and no unit stands behind them.
        (r"(?<![.\w])interval\s+(?=[,)]|$|(?:as|from|and|or|then|else|end)\b)", "INTERVAL '1 day'", "INTERVAL 1 DAY."),
    ),
    "sqlite": (
        _CAST_SIGN,
        _ILIKE,
        _DISTINCT_ON,
        _APPLY,
        _STRAIGHT,
        _NOLOCK,
        _FROM_TO,
        _TRIM_FROM,
        (r"\bfetch\s+(?:first|next)\b", "FETCH FIRST", "LIMIT."),
        (r"<=>", "<=>", "IS."),
        (r"\blateral\b", "LATERAL", "a subquery among the columns."),
        (r"\b(?:except|intersect)\s+all\b", "EXCEPT ALL or INTERSECT ALL", "the word ALL left out."),
        (r"\blocaltimestamp\b", "LOCALTIMESTAMP", "DATETIME('now')."),
    ),
}  # fmt: skip
"""Keywords and forms that each has not got, as they stand in its SQL: pattern, name, what to write."""


def scan_foreign(text: str, dialect: str) -> Iterator[tuple[int, str, str]]:
    """Yield what a database has not got in SQL whose texts, names in quotes and comments are blanked out.

    The offset, the name, and what to write instead.
    """
    for pattern, name, instead in _FORMS.get(dialect, ()):
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            yield found.start(), f"{name}{REFUSED_LIVE}", instead
    names = _FUNCTIONS.get(dialect, "").split()
    seen: set[str] = set()
    for found in re.finditer(rf"(?i)(?<![\w.])({'|'.join(names)})\s*\(", text) if names else ():
        name = found[1].lower()
        if name not in seen:
            why = _SINCE.get(dialect, {}).get(name, REFUSED_LIVE)
            yield found.start(), f"{name.upper()}(){why}", _INSTEAD.get(name, "a macro, or CASE.")
        seen.add(name)


def find_foreign(node: Any, dialect: str) -> Unsupported:
    """Return why a part is refused whose form a database has not got, and what to write; None where it has."""
    check = _CHECKS.get(type(node).__name__) if dialect in _FORMS else None
    found = None if check is None else check(node, dialect)
    return None if found is None else (found[0] if is_refused_live(found[0]) else f"{found[0]}{REFUSED_LIVE}", found[1])


def _in(node: Any, dialect: str) -> Unsupported:
    query = node.args.get("query")
    if query is None and not node.expressions and dialect != "sqlite":
        return "IN with an empty list", "the condition only where the list is not empty."
    limited = query is not None and query.unnest().args.get("limit") is not None
    return ("IN of a subquery with LIMIT", "a join with the subquery.") if limited and dialect == "mysql" else None


def _join(node: Any, dialect: str) -> Unsupported:
    joined = any(node.args.get(key) for key in ("on", "using", "method"))
    if joined or not node.side or dialect == "sqlite" or type(node.this).__name__ in {"Lateral", "Unnest"}:
        return None
    return "an outer join without ON", "JOIN … ON."


def _subquery(node: Any, dialect: str) -> Unsupported:
    unnamed = not node.alias and type(node.parent).__name__ in {"From", "Join"}
    if not unnamed or dialect == "sqlite":
        return None
    since = ", which PostgreSQL before 16 refuses" if dialect == "postgres" else ""
    return f"a subquery in FROM without a name{since}", "a name behind it."


def _select(node: Any, dialect: str) -> Unsupported:
    if dialect == "postgres" or not node.args.get("offset") or node.args.get("limit"):
        return None
    return "OFFSET without LIMIT", "LIMIT too."


def _extreme(node: Any, dialect: str) -> Unsupported:
    if dialect == "sqlite" or not node.expressions:
        return None
    return f"{type(node).__name__.upper()}() of several values", "GREATEST or LEAST."


def _count(node: Any, dialect: str) -> Unsupported:
    several = type(node.this).__name__ == "Distinct" and len(node.this.expressions) > 1
    return ("COUNT(DISTINCT …) of several values", "one text of them.") if several and dialect != "mysql" else None


def _with(node: Any, dialect: str) -> Unsupported:
    """Refuse a WITH that reads itself where it is not said to, and in SQLite one that reads a later one or itself.

    Without RECURSIVE, PostgreSQL and MySQL look for a table of that name.
    """
    from sqlglot import exp

    names = [each.alias.lower() for each in node.expressions]
    for place, each in enumerate(node.expressions):
        read = {table.name.lower() for table in each.this.find_all(exp.Table) if not table.args.get("db")}
        united = type(each.this.unnest()).__name__ == "Union"
        if dialect != "sqlite" and names[place] in read and united and not node.args.get("recursive"):
            return "WITH that reads itself, without RECURSIVE", "WITH RECURSIVE."
        if dialect == "sqlite" and (set(names[place + 1 :]) & read or (names[place] in read and not united)):
            return "WITH of names that go in a circle", "another name for it than the table's."
    return None


def _ordered_list(node: Any, dialect: str) -> Unsupported:
    ordered = type(node.this).__name__ == "Order"
    return (
        ("GROUP_CONCAT with an order, which SQLite before 3.44 refuses", "sql.list_of(…).")
        if ordered and dialect == "sqlite"
        else None
    )


def _named_columns(node: Any, dialect: str) -> Unsupported:
    if dialect != "sqlite" or not node.args.get("columns") or type(node.parent).__name__ == "CTE":
        return None
    return "names of columns behind a subquery's", "them inside the subquery, or WITH."


_CHECKS: Mapping[str, Callable[[Any, str], Unsupported]] = {
    "In": _in,
    "Join": _join,
    "Subquery": _subquery,
    "Select": _select,
    "Max": _extreme,
    "Min": _extreme,
    "Count": _count,
    "With": _with,
    "GroupConcat": _ordered_list,
    "TableAlias": _named_columns,
    "DecodeCase": lambda *_: ("DECODE()", "CASE."),
    "National": lambda _, dialect: ("N'…'", "the text without N.") if dialect == "sqlite" else None,
}
"""The check of each kind of part that some of these have not, or not in each form."""
