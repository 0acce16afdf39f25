"""Infer of each part of a parsed view what kind of value it gives, from the types of the fixtures' columns.

A kind is ``integer``, ``decimal:2`` with its decimals, ``double``, ``text``, ``date``, ``timestamp``, ``boolean``,
``json``, ``interval`` or ``list``; blank where it is not known. Of columns alone are ``single``, ``numeric``,
``zerodate``, ``zerotime``, ``listed`` (of ENUM and SET), ``zerofill``, ``bit`` and ``year``. The kind of a number is
only taken from a column whose type the database or a person has declared: that all values of a fixture are whole
numbers does not say that the column's type is.

A column's kind may say after a slash in what its texts differ and are equal all the same, such as ``text/ci-pad``: in
case, and in blanks at the end; ``integer/unsigned`` is a number of MySQL's that is not below 0, and
``timestamp/fraction`` a time of its with parts of a second. That is noted in ``meta["fold"]``. What fixtures keep as
its text, for want of a type of DuckDB's, is of a kind that :mod:`engine.mapping.transpile.own_types` describes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.mapping.parse import union_arms
from engine.mapping.scopes import Scopes
from engine.mapping.transpile.facts import INTEGER_TYPES, MONEY_TYPES, PADDED_TYPES, TEXT_TYPES, literal_integer
from engine.mapping.transpile.kind_parts import (
    BRANCHING_PARTS,
    CONDITION_PARTS,
    INTEGER_PARTS,
    TEXT_PARTS,
    branches,
    interval_units,
    mixes_texts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Columns = Mapping[str, Mapping[str, str]]
    """The kinds of the fixtures' columns, by table and column in lower case."""

NUMBERS = frozenset({"integer", "double", "numeric"})

MOMENTS = frozenset({"date", "timestamp"})


def infer_kinds(statement: Any, dialect: str, columns: Columns) -> None:
    """Note the kind of each part of a statement, before anything is renamed or rewritten."""
    inference = _Inference(statement, dialect, columns)
    if dialect == "postgres":
        for parts in zip(*(arm.selects for arm in union_arms(statement)), strict=False):
            if inference.mixes_decimals(parts):
                parts[0].meta["own_decimals"] = True
    for node in statement.walk():
        for name, found in (("kind", inference.kind(node)), ("fold", inference.fold(node))):
            if found or name in node.meta:
                node.meta[name] = found


def kind(node: Any) -> str:
    """Return the kind that was noted of a part; blank where none was."""
    return str(node.meta.get("kind") or "") if node is not None else ""


def fold_of(node: Any) -> str:
    """Return in what a part's texts differ and are equal all the same, as ``ci-pad``; ``?`` where columns disagree."""
    return str(node.meta.get("fold") or "") if node is not None else ""


def is_kind(node: Any, *kinds: str) -> bool:
    """Return whether a part is of one of these kinds; ``decimal`` and ``number`` stand for several."""
    found = kind(node)
    return any(
        found == each
        or (each in {"decimal", "number"} and found.startswith("decimal"))
        or (each == "interval" and found.startswith("interval"))
        or (each == "number" and found in NUMBERS)
        for each in kinds
    )


def scale_of(node: Any) -> int | None:
    """Return the decimals of a whole or decimal number; None for what is neither."""
    found = kind(node)
    if found == "integer":
        return 0
    return int(found.partition(":")[2]) if found.startswith("decimal:") else None


def has_own_decimals(output: Any) -> bool:
    """Return whether the values of an output column of a view differ in their decimals, as PostgreSQL keeps them.

    Its ``numeric`` without a scale has those of each value, and so has what mixes ``0`` with a price of two.
    """
    return bool(output.meta.get("own_decimals"))


class _Inference:
    def __init__(self, statement: Any, dialect: str, columns: Columns) -> None:
        self._statement = statement
        self._scopes = Scopes(statement, {table: list(names) for table, names in columns.items()})
        self._columns = columns
        self.dialect = dialect
        self._known: dict[int, str] = {}
        self._folds: dict[int, str] = {}
        self._own_decimals: dict[int, bool] = {}

    def kind(self, node: Any) -> str:
        """The kind of a part, inferred once; a recursive WITH has none of its own."""
        if node is None:
            return ""
        if id(node) not in self._known:
            self._known[id(node)] = ""
            self._known[id(node)] = self._infer(node)
        return self._known[id(node)]

    def _infer(self, node: Any) -> str:
        name = type(node).__name__
        if name in KIND_RULES:
            return KIND_RULES[name](self, node)
        if name in TEXT_PARTS:
            return "text"
        if name in INTEGER_PARTS:
            return "integer"
        if name in CONDITION_PARTS:
            return "integer" if self.dialect in {"mysql", "sqlite"} else "boolean"
        if name in BRANCHING_PARTS:
            return self.common(branches(node))
        return ""

    def common(self, parts: Iterable[Any]) -> str:
        """The kind that all parts have in common, NULL aside; blank where there is none."""
        kinds = {self.kind(part) for part in parts if type(part).__name__ != "Null"}
        if len(kinds) == 1:
            return kinds.pop()
        scales = [
            0 if each == "integer" else int(each[8:]) for each in kinds if each == "integer" or each[:8] == "decimal:"
        ]
        if kinds == {"text", "listed"}:
            return "text"
        if "numeric" in kinds and len(scales) + 1 == len(kinds):
            return "numeric"
        return f"decimal:{max(scales)}" if kinds and len(scales) == len(kinds) else ""

    def column(self, node: Any) -> str:
        """The kind of a column: of the fixture's, or of what a query calls so."""
        found = []
        for each in self._scopes.definitions(node):
            if isinstance(each, tuple):
                table, column = each
                found.append(self._declared(table, column).partition("/")[0])
            else:
                found.append(self.kind(each))
        return found[0] if len(set(found)) == 1 else ""

    def _declared(self, table: str, column: str) -> str:
        return self._columns.get(table.lower().rpartition(".")[2], {}).get(column.lower(), "")

    def fold(self, node: Any) -> str:
        """In what the texts of a part differ and are equal all the same, inferred once."""
        if id(node) not in self._folds:
            self._folds[id(node)] = ""
            self._folds[id(node)] = self._infer_fold(node)
        return self._folds[id(node)]

    def _infer_fold(self, node: Any) -> str:
        name = type(node).__name__
        if name == "Join":
            return self._one_of(self._named(part.name) for part in node.args.get("using") or ())
        if name == "Column":
            return self._one_of(
                self._declared(*each).partition("/")[2] if isinstance(each, tuple) else self.fold(each)
                for each in self._scopes.definitions(node)
            )
        if name in {"Paren", "Alias", "AnyValue"}:
            return self.fold(node.this)
        if self.dialect == "postgres" and name in BRANCHING_PARTS | {"Max", "Min", "AnyValue"}:
            parts = branches(node) if name in BRANCHING_PARTS else [node.this]
            return self._one_of(self.fold(part) for part in parts if type(part).__name__ != "Literal")
        if self.dialect == "mysql" and self.kind(node) == "integer":
            return "unsigned" if self._is_unsigned(name, node) else ""
        if self.dialect == "mysql":
            noted = self._shown_otherwise(name, node)
            if noted:
                return noted
        texts = {"text", "listed"}
        if self.dialect in {"mysql", "tsql"} and self.kind(node) in texts:
            return self._one_of(self.fold(part) for part in node.iter_expressions() if self.kind(part) in texts)
        return ""

    def _shown_otherwise(self, name: str, node: Any) -> str:
        """What MySQL writes of a value that DuckDB does not: parts of a second, or decimals that are 0."""
        if name == "Round" and self.kind(node.this) == "double" and literal_integer(node.args.get("decimals")):
            return "decimals"
        passing = {"Subquery", "Select", "Max", "Min", "Window", "Filter", "Lag", "Lead", "FirstValue", "Neg", "Abs"}
        passing |= {"DateAdd", "DateSub", "TimestampAdd"}
        if name in BRANCHING_PARTS:
            parts = branches(node)
        elif name in {"Add", "Sub", "Mul"}:
            parts = [node.left, node.right]
        else:
            parts = [*getattr(node, "selects", ()), node.this] if name in passing else []
        noted = {self.fold(part) for part in parts if hasattr(part, "args")} & {"fraction", "decimals"}
        return min(noted, default="")

    def _is_unsigned(self, name: str, node: Any) -> bool:
        """Whether MySQL takes a whole number for one that cannot be below 0."""
        if name in {"Add", "Sub", "Mul", "IntDiv"}:
            return "unsigned" in {self.fold(node.left), self.fold(node.right)}
        values = branches(node) if name in BRANCHING_PARTS else [node.this]
        known = name in BRANCHING_PARTS | {"Mod", "Abs", "Max", "Min"}
        return known and {self.fold(value) for value in values if type(value).__name__ != "Null"} == {"unsigned"}

    def _named(self, name: str) -> str:
        """The folding of the columns of this name, of whatever table and query of the statement."""
        from sqlglot import exp

        tables = {table.name for table in self._statement.find_all(exp.Table)}
        columns = [column for column in self._statement.find_all(exp.Column) if column.name == name]
        return self._one_of(
            [*(self._declared(table, name).partition("/")[2] for table in tables), *map(self.fold, columns)]
        )

    @staticmethod
    def _one_of(folds: Iterable[str]) -> str:
        """The folding that columns have in common; those of no column have none."""
        found = {fold for fold in folds if fold}
        return found.pop() if len(found) == 1 else "?" if found else ""

    def arithmetic(self, node: Any) -> str:
        """The kind of a sum, a difference or a product."""
        left, right = self.kind(node.left), self.kind(node.right)
        name = type(node).__name__
        if left in MOMENTS:
            return self._moved(name, left, node.right)
        if right in MOMENTS:
            return self._moved(name, right, node.left) if name == "Add" else ""
        spans = [each for each in (left, right) if each.startswith("interval")]
        if spans:
            return spans[0] if len(spans) == 1 and name == "Mul" else ""
        if "text" in {left, right} and self.dialect == "tsql" and name == "Add":
            return "text"
        scales = [
            0 if each == "integer" else int(each[8:])
            for each in (left, right)
            if each == "integer" or each[:8] == "decimal:"
        ]
        if len(scales) == 2:  # noqa: PLR2004 - both sides
            if left == right == "integer":
                return "integer"
            return f"decimal:{sum(scales) if name == 'Mul' else max(scales)}"
        if "numeric" in {left, right} and len(scales) + [left, right].count("numeric") == 2:  # noqa: PLR2004 - as above
            return "numeric"
        return "double" if "double" in {left, right} and {left, right} <= {"double", "integer", ""} else ""

    def mixes_decimals(self, parts: Iterable[Any]) -> bool:
        """Whether values of these parts, NULL aside, may differ in their decimals."""
        given = [part for part in parts if type(part).__name__ != "Null"]
        if "double" in map(self.kind, given):
            return False
        scales = {
            each.partition(":")[2] if each != "integer" else "0"
            for each in map(self.kind, given)
            if each == "integer" or each[:8] == "decimal:"
        }
        return len(scales) > 1 or any(map(self._has_own_decimals, given))

    def _has_own_decimals(self, node: Any) -> bool:
        name = type(node).__name__
        if self.kind(node) in {"integer", "double", "single", "text"}:
            return False
        if name == "Column":
            found = list(self._scopes.definitions(node))
            if any(isinstance(each, tuple) and self._declared(*each).partition("/")[0] == "numeric" for each in found):
                return True
            if id(node) not in self._own_decimals:
                self._own_decimals[id(node)] = False  # of a recursive WITH
                inner = [each for each in found if not isinstance(each, tuple)]
                self._own_decimals[id(node)] = self.mixes_decimals(inner)
            return self._own_decimals[id(node)]
        if name in {"Subquery", "Select"}:
            select = node.this if name == "Subquery" else node
            selects: list[Any] = getattr(select, "selects", [])
            return len(selects) == 1 and self.mixes_decimals([selects[0].unalias()])
        if name in BRANCHING_PARTS:
            return self.mixes_decimals(branches(node))
        if name == "Cast":
            return node.to.this.name == "DECIMAL" and not node.to.expressions
        if name in {"Lag", "Lead"}:
            default = node.args.get("default")
            return self.mixes_decimals([node.this, *([default] if default is not None else [])])
        if name in {"Div", "Avg"}:
            return True
        values = [node.left, node.right] if name in {"Add", "Sub", "Mul", "Mod"} else [node.this]
        passing = {"Add", "Sub", "Mul", "Mod", "Paren", "Neg", "Abs", "Alias", "Max", "Min", "Sum", "Filter", "Window"}
        passing |= {"FirstValue", "LastValue", "AnyValue", "NthValue"}
        return name in passing and any(map(self._has_own_decimals, values))

    def _moved(self, name: str, moment: str, by: Any) -> str:
        """The kind of a date or time from which something is subtracted, or to which it is added."""
        if self.kind(by) == "integer":
            return moment if moment == "date" and self.dialect == "postgres" else ""
        if self.kind(by).startswith("interval"):
            daily = self.dialect == "mysql" and not (interval_units(by) & {"HOUR", "MINUTE", "SECOND", ""})
            return moment if moment == "timestamp" or daily else "timestamp"
        if name == "Sub" and moment == "date" and self.kind(by) == "date" and self.dialect == "postgres":
            return "integer"
        return ""


def _literal(_: _Inference, node: Any) -> str:
    if node.is_string:
        return "text"
    whole, _point, places = node.name.partition(".")
    if not (whole + places).isdigit():
        return "double"
    return f"decimal:{len(places)}" if places else "integer"


def _cast(inference: _Inference, node: Any) -> str:
    to = node.to if type(node).__name__ in {"Cast", "TryCast"} else node.this
    name = to.this.name if hasattr(to.this, "name") else ""
    if name in INTEGER_TYPES:
        return "integer"
    if name in TEXT_TYPES | PADDED_TYPES:
        return "text"
    if name == "DECIMAL":
        sizes = [each.name for each in to.expressions]
        return f"decimal:{sizes[1] if len(sizes) > 1 else 0}" if sizes else ""
    if name in MONEY_TYPES:
        return "decimal:4"
    simple = {"DOUBLE": "double", "FLOAT": "double", "DATE": "date", "BOOLEAN": "boolean"}
    simple |= {
        "TIMESTAMPTZ": "timestamp" if inference.dialect == "mysql" else "",  # as TIMESTAMP '…' is read
        "TIMESTAMP": "timestamp",
        "TIMESTAMPNTZ": "timestamp",
        "DATETIME": "timestamp",
        "INTERVAL": _span(node.this.sql()),
    }
    return simple.get(name, "")


def _span(sql: str) -> str:
    """Return the kind of an interval by the unit that its SQL names."""
    return "interval:months" if re.search(r"(?i)year|quarter|month", sql) else "interval:time"


def _coalesced(inference: _Inference, node: Any) -> str:
    """The kind of a COALESCE: in MySQL a text where one of its values is a text."""
    values = branches(node)
    kinds = {inference.kind(part) for part in values if type(part).__name__ != "Null"}
    return "text" if inference.dialect == "mysql" and mixes_texts(kinds, values) else inference.common(values)


def _call(inference: _Inference, node: Any) -> str:
    """The kind of a function that sqlglot does not know."""
    return "integer" if inference.dialect == "mysql" and str(node.this).lower() in {"field", "find_in_set"} else ""


def _same(inference: _Inference, node: Any) -> str:
    return inference.kind(node.this)


def _rounded(inference: _Inference, node: Any) -> str:
    inner = inference.kind(node.this)
    decimals = node.args.get("decimals")
    count = decimals.name if decimals is not None and type(decimals).__name__ == "Literal" else "0"
    if inference.dialect == "sqlite":
        return "double" if type(node).__name__ == "Round" else inner
    if inference.dialect == "postgres" and inner == "integer":  # which has ROUND and TRUNC of other numbers alone
        return f"decimal:{count}" if decimals is not None and count.isdigit() else "double"
    return f"decimal:{count}" if inner.startswith("decimal") and count.isdigit() else inner


def _sum(inference: _Inference, node: Any) -> str:
    inner = inference.kind(node.this.expressions[0] if type(node.this).__name__ == "Distinct" else node.this)
    if inner == "integer" and inference.dialect == "postgres":
        return ""  # of bigint it is a numeric, whose quotient is no whole number
    return inner


def _quotient(inference: _Inference, node: Any) -> str:
    pair = {inference.kind(node.left), inference.kind(node.right)}
    if pair == {"integer"} and inference.dialect in {"postgres", "sqlite", "tsql"}:
        return "integer"
    return "double" if "double" in pair and "" not in pair and "text" not in pair else ""


def _select(inference: _Inference, node: Any) -> str:
    inner = node.this if type(node).__name__ == "Subquery" else node
    selects: list[Any] = getattr(inner, "selects", [])
    return inference.kind(selects[0].unalias()) if len(selects) == 1 else ""


def _moment_shift(inference: _Inference, node: Any) -> str:
    moment = inference.kind(node.this)
    unit = str(node.args["unit"].name).upper().rstrip("S") if node.args.get("unit") else ""
    return "timestamp" if moment == "date" and unit in {"HOUR", "MINUTE", "SECOND"} else moment


KIND_RULES: dict[str, Callable[[_Inference, Any], str]] = {
    "Column": lambda inference, node: inference.column(node),
    "Literal": _literal,
    "Anonymous": _call,
    "AnyValue": _same,
    "Coalesce": _coalesced,
    "Cast": _cast,
    "TryCast": _cast,
    "Convert": _cast,
    "Paren": _same,
    "Neg": _same,
    "Abs": _same,
    "Alias": _same,
    "Max": _same,
    "Min": _same,
    "Filter": _same,
    "Window": _same,
    "Lag": _same,
    "Lead": _same,
    "FirstValue": _same,
    "LastValue": _same,
    "JSONExtract": lambda inference, _: "json" if inference.dialect == "postgres" else "",
    "JSONExtractScalar": lambda inference, _: "text" if inference.dialect == "postgres" else "",
    "JSONBExtractScalar": lambda *_: "text",
    "LastDay": lambda *_: "date",
    "TimestampTrunc": lambda *_: "timestamp",
    "TsOrDsToTimestamp": lambda *_: "timestamp",
    "Div": _quotient,
    "Add": lambda inference, node: inference.arithmetic(node),
    "Sub": lambda inference, node: inference.arithmetic(node),
    "Mul": lambda inference, node: inference.arithmetic(node),
    "Mod": lambda inference, node: inference.common([node.left, node.right]),
    "Round": _rounded,
    "Sign": lambda inference, _: "" if inference.dialect == "postgres" else "integer",
    "Trunc": _rounded,
    "Sum": _sum,
    "Interval": lambda _, node: _span(node.sql()),
    "DateAdd": _moment_shift,
    "DateSub": _moment_shift,
    "TimestampAdd": _moment_shift,
    "TsOrDsToDate": lambda *_: "date",
    "CurrentDate": lambda *_: "date",
    "CurrentTimestamp": lambda *_: "timestamp",
    "Date": lambda *_: "date",
    "StrToDate": lambda *_: "date",
    "Subquery": _select,
    "Select": _select,
    "Pow": lambda *_: "double",
    "Sqrt": lambda *_: "double",
    "Exp": lambda *_: "double",
    "Ln": lambda *_: "double",
}
"""How the kind of a part follows from those of its own parts."""
