"""Find what a template writes for other databases than one, without a word of what DuckDB gets.

A view that cannot be translated is rendered once more for DuckDB. Where its author wrote for DuckDB, that is meant; but
``{% if dialect == "mysql" %}and item.web = 1{% endif %}`` says nothing of DuckDB, which would then read other rows than
the database does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

REHEARSED = "duckdb"
"""The dialect of a rehearsal."""


def undecided_branches(path: Path, template: str, *, dialect: str, lines: Collection[int]) -> Iterator[Diagnostic]:
    """Yield where a template does something else for ``dialect`` than for DuckDB, and does not name DuckDB there.

    ``path`` is the template's file. A condition around text counts if one of the ``lines`` that were rendered from
    the file is within it. What else depends on ``dialect``, such as a value or the name of a template, always counts.
    """
    import jinja2
    from jinja2 import nodes

    if "dialect" not in template:
        return
    deciding = (nodes.If, nodes.CondExpr, nodes.Assign, nodes.Include, nodes.Import, nodes.FromImport, nodes.Getitem)
    parsed = jinja2.Environment(autoescape=True).parse(template)
    handled: set[int] = set()
    for node in _walk(parsed):
        if id(node) in handled or not isinstance(node, (*deciding, nodes.Call)) or _fails(node):
            continue
        tests: list[Any] = _tests(node)
        if isinstance(node, nodes.If):
            handled |= {id(each) for each in node.elif_}
            if not any(node.lineno <= line <= _last_line(node) for line in lines):
                continue
        if any(map(_reads_dialect, tests)) and not any(map(_names_duckdb, tests)) and _differs(tests, dialect):
            yield Diagnostic(
                path=path,
                line=node.lineno,
                message=f"The template writes something else for {dialect} than for other databases, and does not say"
                " what the fixtures' DuckDB gets.",
                hint=f'Name it in that condition, as in {{% if dialect in ("{dialect}", "duckdb") %}}.',
            )
            return


def _fails(node: Any) -> bool:
    """Return whether a part of a template is a call of ``fail``, which writes nothing."""
    return type(node).__name__ == "Call" and type(node.node).__name__ == "Name" and node.node.name == "fail"


def _tests(node: Any) -> list[Any]:
    """Return the expressions that decide what a part of a template writes."""
    if type(node).__name__ == "If":
        return [node.test, *(each.test for each in node.elif_)]
    templates = dict.fromkeys(("Include", "Import", "FromImport"), "template")
    name = {"CondExpr": "test", "Assign": "node", **templates}.get(type(node).__name__)
    return [node if name is None else getattr(node, name)]


def _differs(tests: list[Any], dialect: str) -> bool:
    """Return whether expressions are, or may be, something else for a dialect than for DuckDB."""
    for test in filter(_reads_dialect, tests):
        value = _value(test, dialect)
        if value is None or value != _value(test, REHEARSED):
            return True
    return False


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)


def _reads_dialect(node: Any) -> bool:
    return any(type(part).__name__ == "Name" and part.name == "dialect" for part in _walk(node))


def _names_duckdb(node: Any) -> bool:
    return any(type(part).__name__ == "Const" and part.value == REHEARSED for part in _walk(node))


def _last_line(node: Any) -> int:
    texts = [part for part in _walk(node) if type(part).__name__ == "TemplateData"]
    return max(int(line) for line in [node.lineno, *(part.lineno + part.data.count("\n") for part in texts)])


def _value(node: Any, dialect: str) -> object:
    """Return what an expression of ``dialect`` and constants is for a dialect; None where it depends on more."""
    name = type(node).__name__
    if name == "Name":
        return dialect if node.name == "dialect" else None
    if name == "Const":
        return node.value
    if name in {"Tuple", "List"}:
        return tuple(_value(each, dialect) for each in node.items)
    if name == "Not":
        inner = _value(node.node, dialect)
        return None if inner is None else not inner
    if name in {"And", "Or"}:
        sides = [_value(node.left, dialect), _value(node.right, dialect)]
        decisive = name == "Or"
        if any(side is not None and bool(side) == decisive for side in sides):
            return decisive
        return None if None in sides else not decisive
    if name == "Compare" and len(node.ops) == 1:
        left, right = _value(node.expr, dialect), _value(node.ops[0].expr, dialect)
        if left is None or right is None or (isinstance(right, tuple) and None in right):
            return None
        compare = {"eq": lambda: left == right, "ne": lambda: left != right}
        compare |= {"in": lambda: left in right, "notin": lambda: left not in right}  # type: ignore[operator]  # texts
        return compare[node.ops[0].op]() if node.ops[0].op in compare else None
    return None
