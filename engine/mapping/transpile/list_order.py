"""Raise in DuckDB where the order of texts decides about a list of texts, and databases may disagree about it.

``STRING_AGG(name, ',' ORDER BY name)`` is ``apple,Zebra`` under most collations, and ``Zebra,apple`` by code points.
Texts that are equal but for case have no order among each other at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.mapping.transpile.snippets import snippet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

REJECT_LIST = """
    case when DIFFERENT then error('databases differ in the order of texts with upper and lower case, accents or
    punctuation: order the list by upper(…) of them and then by a key, or by a number or a date') else VALUE end"""

_SORTED = """
    list(distinct VALUE order by VALUE) filter (VALUE is not null) is distinct from
    list_transform(list_sort(list_transform(list(distinct VALUE) filter (VALUE is not null),
        lambda listed: {'first': KEY, 'second': TIE, 'third': listed})), lambda listed: listed.third)"""
"""Whether texts without duplicates stand in another order by a key: an aggregate of these sorts by themselves alone."""


def guard_list(
    node: Any,
    orders: Callable[[list[Any]], Iterable[list[Any]]],
    keys: Iterable[Callable[[Any], Any]],
    ties: Iterable[str],
) -> Any:
    """Return an aggregate of texts that raises where the order of its list is not certain; None where it is.

    ``node`` is what the aggregate was rewritten to, perhaps with FILTER. ``orders`` gives the orders by which databases
    may sort by some terms, ``keys`` what they compare first, and ``ties`` what else, as SQL of a text VALUE.
    """
    from sqlglot import exp

    outer = node if isinstance(node, (exp.Filter, exp.WithinGroup)) else node.find(exp.GroupConcat)
    inner = outer.this if isinstance(outer, exp.Filter) else outer
    order = inner.expression if isinstance(inner, exp.WithinGroup) else inner.this if inner is not None else None
    if not isinstance(order, exp.Order):
        return None
    if isinstance(order.this, exp.Distinct):
        different = list(_sorted_otherwise(order, keys, ties))
    else:
        different = [
            exp.NullSafeNEQ(this=outer.copy(), expression=_ordered(outer, terms)) for terms in orders(order.expressions)
        ]
    if not different:
        return None
    guarded = snippet(REJECT_LIST, different=exp.or_(*different), value=outer)
    if outer is node:
        return guarded
    made = node.copy()  # which says first that texts are equal without being the same
    made.find(exp.GroupConcat).replace(guarded)
    return made


def _ordered(outer: Any, terms: list[Any]) -> Any:
    """Return a copy of an aggregate with another order of its list."""
    from sqlglot import exp

    made = outer.copy()
    made.find(exp.Order).set("expressions", terms)
    return made


def _sorted_otherwise(order: Any, keys: Iterable[Callable[[Any], Any]], ties: Iterable[str]) -> Iterator[Any]:
    from sqlglot import exp

    (value,) = order.this.expressions[:1]
    each = exp.column("listed")
    ties = list(ties)
    for key in keys:
        for tie in ties:
            yield snippet(_SORTED, value=value, key=key(each), tie=snippet(tie, value=each))
