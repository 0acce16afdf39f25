"""Whether a template does nothing with a value but write it."""

from __future__ import annotations

import pytest

from engine.mapping.written_values import ALL_FIELDS, only_writes

UNKNOWN = {"results": ALL_FIELDS, "order": frozenset({"customer_code"}), "line": frozenset({"backorder"})}


@pytest.mark.parametrize(
    "template",
    [
        "insert into t values ({{ results.header.id }}, {{ line.sku }}, {{ order.id * 2 }})",
        "insert into t values ({{ results.lines[0].id }}, {{ results['header']['id'] }}, {{ order.customer_code }})",
        "{% if order.notes %}{{ results.header.id }}{% else %}{{ order['customer_code'] }}{% endif %}",
        "{% for each in lines %}({{ each.sku }}, {{ results.header.id }}){% endfor %}",
        "select 1 -- results",
    ],
)
def test_a_value_that_is_only_written(template: str) -> None:
    """Wherever it stands."""
    assert only_writes(template, UNKNOWN)


@pytest.mark.parametrize(
    "template",
    [
        "{{ results.header.id + 1 }}",
        "{{ 'SO' ~ results.header.id }}",
        "{{ results.header.id | upper }}",
        "{{ results.header.id | default(0) }}",
        "{% if results.header.id is none %}1{% endif %}",
        "{% if results.header.id is defined %}1{% endif %}",
        "{{ results.lines[-1].id }}",
        "{{ results.lines[line.number].id }}",
        "{{ results.lines[0] is string }}",
        "{% for row in results.lines %}{{ row.id }}{% endfor %}",
        "{% set id = results.header.id %}{{ id }}",
        "{{ results }}",
        "{{ results.header.get('id') }}",
        "{{ order.customer_code[:5] }}",
        "{{ order.customer_code or 'CASH' }}",
        "{% for name, value in order.items() %}{{ value }}{% endfor %}",
        "{{ order | length }}",
        "{{ order[line.sku] }}",
        "{% set o = order %}{{ o.customer_code }}",
        "{{ 'yes' if line.backorder else 'no' }}",
        "{% macro m(l) %}{{ l.backorder }}{% endmacro %}{{ m(line) }}",
        "{% include 'orders/other.sql' %}",
        "{% import 'macros/sql.sql' as sql %}{{ sql.x() }}",
        "{{ results.header.id",
    ],
)
def test_a_value_with_which_more_is_done(template: str) -> None:
    """Or may be, in a file that is included."""
    assert not only_writes(template, UNKNOWN)
