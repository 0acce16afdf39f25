"""What of another dialect's SQL is not known to mean the same in DuckDB, or to be made to.

The tables say what is known, never what is feared: a part of a statement that no table has is refused. The meanings are
those of the makers' reference manuals; those of PostgreSQL, MariaDB and SQLite are compared with the real ones in
``tests/mapping/transpile/test_to_duckdb.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.facts import (
    ASCII,
    COMPARISONS,
    DATE_STYLES,
    DATES,
    INTEGERS,
    KNOWN,
    LONGEST_DATE,
    LOOSE,
    MAIN,
    MONEY,
    PADDED,
    PLACES,
    PLAIN,
    PLAIN_DATES,
    SELECT_PARTS,
    TEXTS,
    UNITS,
    XML,
    construct_name,
    fractional,
    is_current_time,
    is_text,
    is_textual,
    is_whole,
    numeric,
    operands,
    places,
    takes_all,
)
from engine.quoting import blanked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    Said = tuple[str, str] | None
    """The name of what is refused and what to write instead; None where nothing is."""

WORDS = (
    (
        r"\bfor\s+xml\b",
        XML,
        (
            "sql.list_of(…), which joins rows for every database, or STUFF((SELECT ',' + …"
            " ORDER BY … FOR XML PATH('')), 1, 1, ''), with its order."
        ),
    ),
    (r"\{\s*(fn|d|t|ts)\b", "an ODBC escape {…}", "the database's own function or literal, or a macro."),
    (r"\bcollate\b", "COLLATE", "the comparison without it: fixtures compare texts exactly."),
    (r"\b(un)?pivot\b", "PIVOT", "a sum of CASE for each column."),
    (r"\(\s*\+\s*\)", "Oracle's (+)", "LEFT JOIN."),
    (r"\bconnect\s+by\b", "CONNECT BY", "a recursive WITH."),
)
"""Constructs that sqlglot drops or changes without a word, found in the text."""

BARS = (r"\|\|", "||, which MySQL reads as OR", "sql.concat([…]).")

STANDARD_WINDOWS = KNOWN | {"hana", "firebird"}
"""Dialects whose window functions are the standard's, as SAP's and Firebird's references have them."""

RANKS = frozenset({"RowNumber", "Rank", "DenseRank"})

FRACTIONAL_DIVISION = frozenset({"mysql", "oracle"})
"""Dialects in which 1/2 is 0.5; it is 0 in most others, and nowhere else is it taken for known."""

LONG_QUOTIENTS = frozenset({"postgres", "oracle"})
"""Dialects whose quotients have 16 digits and more, so that a product of one may still be rounded."""

BACKSLASH_PATTERNS = frozenset({"mysql", "postgres"})
"""Dialects in which a backslash in the pattern of LIKE escapes what follows it."""

ODD_NUMBER = re.compile(r"\s*[-+]?(\d+[.eE]|[.]\d)[-+\d.eE]*\s*|\s+[-+]?\d+\s*|[-+]?\d+\s+")
"""A text that reads as a number, but not as a plain whole one."""

ALIKE = re.compile(r"\^?[\w ,/(){}?*+|-]*\$?", re.ASCII)
"""What all engines of regular expressions read alike, beside sets of letters."""


def scan_text(sql: str, dialect: str) -> Iterator[tuple[int, str, str]]:
    """What is refused by its words alone: its offset in the SQL, the name, and what to write instead."""
    text = blanked(sql, dialect)
    for pattern, name, instead in (*WORDS, BARS) if dialect == "mysql" else WORDS:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            yield found.start(), name, instead


def find_unsupported(node: Any, dialect: str) -> Said:
    """What is refused of one part of a parsed statement: its name, and what to write instead; None if nothing is."""
    name = type(node).__name__
    check = CHECKS.get(name)
    if check is not None:
        return check(node, dialect)
    if name in PLAIN or (name in MAIN and dialect in KNOWN) or (name in RANKS and dialect in STANDARD_WINDOWS):
        return None
    return construct_name(node), "a macro, or CASE."


def _select(node: Any, _: str) -> Said:
    others = sorted(key for key, value in node.args.items() if value and key not in SELECT_PARTS)
    if others:
        return others[0].strip("_").upper(), "plainer SQL."
    distinct = node.args.get("distinct")
    if distinct is not None and distinct.args.get("on") is not None and not node.args.get("order"):
        return "DISTINCT ON without ORDER BY", "ORDER BY too."
    return None


def _join(node: Any, _: str) -> Said:
    return ("a join of its own kind", "JOIN … ON.") if node.args.get("method") not in {None, "", "NATURAL"} else None


def _group_by(node: Any, _: str) -> Said:
    others = [key for key, value in node.args.items() if value and key != "expressions"]
    return ("GROUP BY with more than columns", "a UNION of groups.") if others else None


def _column(node: Any, dialect: str) -> Said:
    from sqlglot import exp

    if not isinstance(node.this, (exp.Identifier, exp.Star)):
        return "a value with a currency sign", "the number alone."
    pseudo = {"rownum", "rowid", "level", "systimestamp", "nextval", "currval"}
    if (
        dialect not in {"tsql", "mysql", "postgres"}
        and node.name.lower() in pseudo
        and not node.this.args.get("quoted")
    ):
        return node.name.upper(), "ROW_NUMBER() with an order, or a macro."
    return None


def _literal(node: Any, dialect: str) -> Said:
    """A number in quotes, where the database may compare or choose by rules of its own."""
    if dialect not in LOOSE or not node.is_string:
        return None
    at = node
    while type(at.parent).__name__ in {"Paren", "National"}:
        at = at.parent
    parent = type(at.parent).__name__
    if parent == "If" and at.arg_key == "this":
        at, parent = at.parent, "Case"
    if parent not in COMPARISONS | {"Nullif", "Case", "Coalesce", "If", "Greatest", "Least", "DecodeCase"}:
        return None
    whole = re.fullmatch(r"[-+]?\d+", node.name)
    if ODD_NUMBER.fullmatch(node.name) or (whole and dialect == "sqlite" and not _with_a_column(at.parent)):
        return "a number in quotes", "the number without quotes, or another text."
    return None


def _with_a_column(node: Any) -> bool:
    """Whether what is compared is a column, by whose type SQLite reads a text."""
    kinds = {"Column", "Literal"}
    return type(node).__name__ in COMPARISONS and {type(part).__name__ for part in operands(node)} <= kinds


def _among(node: Any, _: str) -> Said:
    kinds = {is_text(part) for part in node.expressions if is_text(part) or numeric(part)}
    return ("IN with texts and numbers", "one kind of them.") if len(kinds) > 1 else None


def _limit(node: Any, _: str) -> Said:
    from sqlglot import exp

    if takes_all(node):
        return None
    options = node.args.get("limit_options")
    if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
        return "TOP or FETCH with PERCENT or TIES", "a number of rows."
    if node.parent.args.get("order") or isinstance(node.parent.parent, exp.Exists):
        return None
    return "TOP or LIMIT without ORDER BY", "ORDER BY too."


def _lateral(node: Any, _: str) -> Said:
    return None if type(node.this).__name__ == "Subquery" else ("APPLY with a function", "a join.")


def _coalesce(node: Any, dialect: str) -> Said:
    """T-SQL's ISNULL gives its second value the type of its first, so that 0.5 is 0 beside a whole number."""
    if not node.args.get("is_null"):
        return None
    (value,) = node.expressions
    if is_whole(value):
        return None
    return ("ISNULL, which takes 0.5 for 0 beside a whole number", "COALESCE.") if fractional(value, dialect) else None


def _addition(node: Any, dialect: str) -> Said:
    if any(type(side).__name__ in {"Interval", "CurrentDate", "CurrentTimestamp"} for side in node.iter_expressions()):
        return _moment(node, dialect)
    if dialect == "tsql" or not is_textual(node):
        return None
    return "+ between texts", "sql.concat([…])."


def _division(node: Any, dialect: str) -> Said:
    if dialect not in KNOWN:
        return "a division", "a macro for it."
    if dialect not in FRACTIONAL_DIVISION and not (
        fractional(node.this, dialect) or fractional(node.expression, dialect)
    ):
        return "a division that may be one of integers", "one side as sql.cast_number(…)."
    if not (_only_moved(node) or _rounded(node, dialect)):
        return "a division whose digits each database rounds in its own way", "ROUND(…, 2) around it."
    return None


def _only_moved(node: Any) -> bool:
    """Whether a division is by 10, 100, 1000 or 10000, as of a percentage, and nothing is cut off of it."""
    by = node.expression
    if type(by).__name__ != "Literal" or not re.fullmatch(rf"10{{1,{PLACES}}}([.]0+)?", by.name):
        return False
    within = [type(part).__name__ for part in node.this.walk()]
    if "Div" in within or within.count("Mul") > 1:  # more digits than are kept
        return False
    while node.parent is not None:
        node = node.parent
        cast = type(node).__name__ == "Cast" and node.to.this.name in INTEGERS
        if cast or type(node).__name__ in {"Floor", "Ceil"}:
            return False
    return True


def _average(node: Any, dialect: str) -> Said:
    if dialect not in KNOWN - {"tsql"} and not fractional(node.this, dialect):
        return "an average that may be one of integers", "AVG(sql.cast_number(…))."
    if dialect not in KNOWN or not _rounded(node, dialect):
        return "an average whose digits each database rounds in its own way", "ROUND(…, 2) around it."
    return None


def _rounded(node: Any, dialect: str) -> bool:
    """Whether a quotient is rounded to few decimals before anything else can see its digits."""
    passing = {"Paren", "Add", "Sub", "Neg", "Coalesce", "Case", "If", "Nullif", "Sum", "Max", "Min"}
    if dialect in LONG_QUOTIENTS:
        passing |= {"Mul", "Div"}
    at, below = node.parent, node
    while at is not None and type(at).__name__ in passing:
        if (type(at).__name__ in {"If", "Case"} and below.arg_key == "this") or type(at).__name__ == "Nullif":
            return False
        at, below = at.parent, at
    name = type(at).__name__
    if name == "Cast" and at.to.this.name in {"DECIMAL", "MONEY"} and dialect != "sqlite":
        given = MONEY.get(at.to.this.name)
        decimals = PLACES if given else places(at.to)
        return decimals is not None and decimals <= PLACES
    if name == "Round":
        asked = at.args.get("decimals")
        return below.arg_key == "this" and (asked is None or (asked.name.isdigit() and int(asked.name) <= PLACES))
    return False


def _round(node: Any, dialect: str) -> Said:
    decimals = node.args.get("decimals")
    if node.args.get("truncate"):
        return "ROUND with a third value", "CASE, or FLOOR."
    if dialect in KNOWN and (decimals is None or decimals.name.isdigit()):
        return None
    return "ROUND to other than a number of decimals", "ROUND(…, 2)."


def _cast(node: Any, dialect: str) -> Said:
    to = node.to if type(node).__name__ == "Cast" else node.this
    kind = to.this.name
    if dialect not in KNOWN:
        return "a cast", "sql.cast_number(…) or sql.cast_text(…)."
    if kind == "DATE" and dialect in PLAIN_DATES and not is_current_time(node):
        return None
    if kind in DATES:
        return _moment(node, dialect)
    if kind in PADDED and dialect in {"postgres", "sqlite"}:
        return f"a cast to {kind}, which pads", "VARCHAR, or sql.cast_text(…)."
    known = INTEGERS | TEXTS | PADDED | {"DECIMAL", "DOUBLE"}
    if dialect == "tsql":
        known |= MONEY.keys() | {"BIT"}
    if kind == "FLOAT" and dialect in {"tsql", "sqlite"} and not to.expressions:
        return None
    return None if kind in known else (f"a cast to {kind}", "sql.cast_number(…) or sql.cast_text(…).")


def _try_cast(node: Any, dialect: str) -> Said:
    to = node.to if type(node).__name__ == "TryCast" else node.this
    fine = dialect == "tsql" and (to.this.name in INTEGERS or (to.this.name == "DECIMAL" and to.expressions))
    said = "TRY_CAST or TRY_CONVERT to other than a whole number or a decimal with digits"
    return None if fine else (said, "sql.try_number(…) or sql.try_int(…).")


def _convert(node: Any, dialect: str) -> Said:
    style = node.args.get("style")
    if style is not None:
        to = node.this
        length = to.expressions[0].name if to.expressions else ""
        dated = to.this.name in TEXTS | PADDED and not node.args.get("safe") and style.name in DATE_STYLES
        if dated and length.isdigit() and int(length) <= LONGEST_DATE and not is_current_time(node):
            return None
        return (
            "CONVERT with a style of its own",
            "style 23, 120, 112, 103 or another of dates, to a text of 19 letters at most, or sql.cast_text(…).",
        )
    if node.args.get("safe"):
        return _try_cast(node, dialect)
    return _cast(node, dialect)


def _moment(node: Any, dialect: str) -> Said:
    """A point in time is compared alike everywhere, but written in as many ways as there are databases."""
    at = node.parent
    passing = {"Paren", "Add", "Sub", "DateAdd", "DateSub", "Cast", "Convert", "Neg", "TimeStrToTime", "TsOrDsToDate"}
    while at is not None and type(at).__name__ in passing:
        at = at.parent
    if dialect in KNOWN - {"sqlite"} and type(at).__name__ in COMPARISONS | {"DateDiff", "Extract", "Year", "Month"}:
        return None
    return "a date that is not compared", "the column as it is: times are staged alike from every database."


def _interval(node: Any, dialect: str) -> Said:
    unit = node.args.get("unit")
    fine = unit is not None and unit.name.upper().rstrip("S") in UNITS | {"HOUR", "MINUTE", "SECOND", "WEEK"}
    return _moment(node, dialect) if fine else ("an interval", "one of days, months or years.")


def _difference(node: Any, dialect: str) -> Said:
    unit = node.args.get("unit")
    if dialect == "tsql" and unit is not None and unit.name.upper() in UNITS:
        return None
    return "a difference of dates", "a condition on the dates themselves."


def _date_part(node: Any, dialect: str) -> Said:
    if type(node).__name__ == "Extract" and node.name.upper() not in UNITS:
        return f"the {node.name.lower()} of a date", "its year, month or day."
    return None if dialect in KNOWN - {"sqlite"} else ("a part of a date", "a macro.")


def _is(node: Any, _: str) -> Said:
    kind = type(node.expression).__name__
    return None if kind in {"Null", "Boolean"} else ("IS between values", "=.")


def _like(node: Any, dialect: str) -> Said:
    pattern = node.expression
    if not is_text(pattern):
        odd = dialect not in {"oracle", "sqlite"}
        return ("LIKE with a pattern that is no text", "sql.concat([…]) compared in another way.") if odd else None
    if dialect not in KNOWN - {"tsql"} and re.search(r"[\[\]#?*]", pattern.name):
        return "LIKE with a class of letters", "several conditions."
    if dialect in BACKSLASH_PATTERNS and "\\" in pattern.name:
        return "LIKE with a backslash", "ESCAPE '!' and an exclamation mark."
    return None


def _escape(node: Any, _: str) -> Said:
    fine = re.fullmatch(r"[^\w%]", node.expression.name)
    return None if fine else ("ESCAPE with a letter", "ESCAPE '!' and an exclamation mark.")


def _regular(node: Any, dialect: str) -> Said:
    pattern = node.expression
    instead = ("a regular expression", "sql.try_number(…), LIKE, or a macro of your own.")
    if dialect not in {"postgres", "mysql"} or not is_text(pattern) or node.args.get("flag"):
        return instead
    outside = re.sub(r"\[\^?[-\w. ]+\]", "", pattern.name, flags=re.ASCII)
    cased = dialect == "mysql" and re.search(r"[A-Za-z]", pattern.name)
    return instead if cased or not ALIKE.fullmatch(outside) or "(?" in outside else None


def _trim(node: Any, dialect: str) -> Said:
    letters = node.args.get("expression")
    if letters is None:
        return None
    single = dialect in {"mysql", "oracle"}
    fine = dialect in KNOWN and is_text(letters) and letters.name and (len(letters.name) == 1 or not single)
    return None if fine else ("TRIM of more than one letter", "REPLACE.")


def _substring(node: Any, dialect: str) -> Said:
    start = node.args.get("start")
    if dialect not in KNOWN or start is None or is_text(start):
        return "SUBSTRING", "sql.first_word(…), or a macro of your own."
    whole = type(start).__name__ == "Literal" and start.name.isdigit()
    if type(start).__name__ == "Neg" or (type(start).__name__ == "Literal" and not (whole and int(start.name))):
        return "SUBSTRING that does not begin at 1 or later", "RIGHT, or a positive place."
    return None


def _position(node: Any, dialect: str) -> Said:
    if dialect not in KNOWN:
        return "LOCATE, or another search for a text", "sql.first_word(…), or a macro of your own."
    if node.args.get("position") or node.args.get("occurrence"):
        return "a search from a place", "the search from the beginning."
    substring = node.args["substr"]
    if is_text(substring) and not substring.name:
        return "a search for nothing", "another text."
    return None


def _replace(node: Any, _: str) -> Said:
    if node.args.get("replacement") is None:
        return "REPLACE without a third value", "'' as the third."
    return None


def _padding(node: Any, dialect: str) -> Said:
    fine = dialect in {"mysql", "postgres"} and is_text(node.args.get("fill_pattern"))
    fine = fine and node.args["fill_pattern"].name and node.expression.name.isdigit()
    return None if fine else ("LPAD or RPAD", "sql.concat([…]), or a macro of your own.")


def _split(node: Any, dialect: str) -> Said:
    index, letters = node.args.get("part_index"), node.args.get("delimiter")
    fine = dialect == "postgres" and is_text(letters) and letters.name and index.name.isdigit() and int(index.name)
    return None if fine else ("SPLIT_PART", "sql.first_word(…), or a macro of your own.")


def _before(node: Any, _: str) -> Said:
    letters, count = node.args.get("delimiter"), node.args.get("count")
    fine = is_text(letters) and len(letters.name) == 1 and count is not None and count.name == "1"
    return None if fine else ("SUBSTRING_INDEX", "sql.first_word(…), or a macro of your own.")


def _joined(node: Any, dialect: str) -> Said:
    """Texts of several rows in one, in an order that nobody says."""
    from sqlglot import exp

    if isinstance(node.this, exp.Order) or isinstance(node.parent, exp.WithinGroup):
        return None
    select = node.find_ancestor(exp.Select)
    source = select.args["from_"].this if select is not None and select.args.get("from_") else None
    inner = source.this if isinstance(source, exp.Subquery) else None
    plain = select is not None and not select.args.get("joins") and not select.args.get("group")
    if dialect == "sqlite" and inner is not None and inner.args.get("order") and plain:
        return None
    return "texts of several rows without an order", "sql.list_of(…), which has one."


def _window(node: Any, dialect: str) -> Said:
    if dialect not in STANDARD_WINDOWS:
        return "a window", "a join with a group."
    if type(node.this).__name__ in RANKS and not node.args.get("order"):
        return "ROW_NUMBER or RANK without ORDER BY", "ORDER BY in it."
    return None


def _neighbour(node: Any, dialect: str) -> Said:
    """LAG, LEAD and FIRST_VALUE: standard in the dialects that are known, if the order is said."""
    at = node.parent
    while type(at).__name__ in {"IgnoreNulls", "RespectNulls"}:
        return f"{construct_name(node)} with NULLs ignored or respected", "a subquery."
    ordered = type(at).__name__ == "Window" and at.args.get("order") is not None
    fine = dialect in KNOWN and ordered and (node.args.get("offset") is None or node.args["offset"].name.isdigit())
    return (
        None if fine else (f"{construct_name(node)} without ORDER BY, or with a calculated offset", "ORDER BY in it.")
    )


def _repeated(node: Any, dialect: str) -> Said:
    """So many times the same text; a negative number of times is each database's own affair."""
    times = node.args.get("times") or node.this
    fine = dialect in {"tsql", "mysql", "postgres"} and type(times).__name__ == "Literal" and times.name.isdigit()
    return (
        None
        if fine
        else (f"{construct_name(node)} with a calculated number", "LPAD by RIGHT('0000' + …, 4), or a macro.")
    )


def _stuffed(node: Any, _: str) -> Said:
    """T-SQL's STUFF with places that are written out; with FOR XML see ``rewrite.xml_lists``."""
    numbers = (node.args["start"], node.args["length"])
    whole = all(type(number).__name__ == "Literal" and number.name.isdigit() for number in numbers)
    plain = whole and int(numbers[0].name) and type(node.this).__name__ not in {"Subquery", "Dot"}
    return None if plain else ("STUFF of rows, or at a calculated place", "sql.list_of(…), or LEFT and SUBSTRING.")


def _character(node: Any, dialect: str) -> Said:
    codes = node.expressions
    fine = (
        dialect in KNOWN - {"mysql"} and len(codes) == 1 and codes[0].name.isdigit() and 0 < int(codes[0].name) < ASCII
    )
    return None if fine else ("CHAR() of more than one letter of ASCII", "the letters in quotes.")


def _to_char(node: Any, _: str) -> Said:
    return ("TO_CHAR with a format", "sql.number_text(…).") if node.args.get("format") else None


def _only_of(dialects: Collection[str], name: str, instead: str) -> Callable[[Any, str], Said]:
    return lambda _, dialect: None if dialect in dialects else (name, instead)


CHECKS: dict[str, Callable[[Any, str], Said]] = {
    "Select": _select,
    "Join": _join,
    "Group": _group_by,
    "Column": _column,
    "Literal": _literal,
    "In": _among,
    "Limit": _limit,
    "Fetch": _limit,
    "Lateral": _lateral,
    "Coalesce": _coalesce,
    "Add": _addition,
    "Div": _division,
    "Avg": _average,
    "Mod": _only_of(KNOWN - {"sqlite"}, "a remainder, which each database takes of other numbers", "CASE."),
    "IntDiv": _only_of((), "a division without a remainder", "FLOOR(…) of a division."),
    "Round": _round,
    "Cast": _cast,
    "TryCast": _try_cast,
    "Convert": _convert,
    "DateAdd": _moment,
    "DateSub": _moment,
    "Interval": _interval,
    "DateDiff": _difference,
    "Extract": _date_part,
    "Year": _date_part,
    "Month": _date_part,
    "Day": _date_part,
    "Is": _is,
    "Like": _like,
    "ILike": _like,
    "Escape": _escape,
    "RegexpLike": _regular,
    "Trim": _trim,
    "Substring": _substring,
    "StrPosition": _position,
    "Replace": _replace,
    "Pad": _padding,
    "SplitPart": _split,
    "SubstringIndex": _before,
    "GroupConcat": _joined,
    "Window": _window,
    "Lag": _neighbour,
    "Lead": _neighbour,
    "FirstValue": _neighbour,
    "Repeat": _repeated,
    "Space": _repeated,
    "Stuff": _stuffed,
    "Chr": _character,
    "ToChar": _to_char,
    "CurrentTimestamp": _moment,
    "CurrentDate": _moment,
    "Dot": _only_of((), "a function of a schema, or of a value", "its expression."),
    "Placeholder": _only_of((), "a parameter", "the value as {{ value }}."),
    "Parameter": _only_of((), "a parameter", "the value as {{ value }}."),
}
"""Parts of a statement that mean the same only in some cases."""
