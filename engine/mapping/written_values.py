"""Find out whether a template does nothing with certain values but write them into its SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jinja2 import nodes

ALL_FIELDS: frozenset[str] = frozenset()
"""Stands for every field of a name, and the fields of those."""


def only_writes(template: str, values: Mapping[str, frozenset[str]]) -> bool:
    """Return whether ``template`` does nothing with some values but write them, as in ``{{ order.customer_code }}``.

    ``values`` names the fields that are meant, by the variable that has them; :data:`ALL_FIELDS` are all. A template
    that compares, loops over, filters or hands on one of them does more, and so may one that includes others. False
    too where the template cannot be parsed.

    >>> only_writes("insert into t values ({{ results.header.id }})", {"results": ALL_FIELDS})
    True
    >>> only_writes("insert into t values ({{ results.header.id + 1 }})", {"results": ALL_FIELDS})
    False
    """
    import jinja2
    from jinja2 import nodes

    try:
        parsed = jinja2.Environment(autoescape=True).parse(template)
    except jinja2.TemplateSyntaxError:
        return False
    if next(parsed.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)), None) is not None:
        return False
    written = {id(node) for output in parsed.find_all(nodes.Output) for node in output.nodes}
    return all(_is_written(chain, values[name], written) for name, chain in _chains(parsed, ()) if name in values)


def _chains(node: nodes.Node, parents: tuple[nodes.Node, ...]) -> Iterator[tuple[str, tuple[nodes.Node, ...]]]:
    """Yield each use of a variable: its name, and the nodes from it outwards that take a part of it by name."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        chain: list[nodes.Node] = [node]
        for parent in reversed(parents):
            if _part(parent) is None or parent.node is not chain[-1]:  # type: ignore[attr-defined]  # those have one
                break
            chain.append(parent)
        yield node.name, tuple(chain)
    for child in node.iter_child_nodes():
        yield from _chains(child, (*parents, node))


def _part(node: nodes.Node) -> str | int | None:
    """Return which part of something a node takes; None where it does anything else."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        value = node.arg.value
        return value if isinstance(value, (str, int)) and not isinstance(value, bool) else None
    return None


def _is_written(chain: tuple[nodes.Node, ...], fields: frozenset[str], written: set[int]) -> bool:
    """Return whether a use of a variable leaves its ``fields`` alone, or only writes one of them."""
    if fields:
        part = _part(chain[1]) if len(chain) > 1 else None
        # A dictionary's methods reach every field.
        if isinstance(part, str) and part not in fields and not hasattr(dict, part):
            return True
        return isinstance(part, str) and part in fields and len(chain) == 2 and id(chain[1]) in written  # noqa: PLR2004 - the name and the field
    return len(chain) > 1 and id(chain[-1]) in written
