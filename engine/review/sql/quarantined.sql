{# Rows that only the new mapping quarantines, with what names them: so many of each rule. #}
with
fresh as (
    select
        key,
        product,
        column_name,
        rule,
        value,
        raw
    from run.violation
    where coalesce(key, '') not in (select coalesce(key, '') from run.held_before)
    qualify row_number() over (partition by rule order by key, column_name) <= {{ limit }}
)

select
    fresh.key,
    fresh.product,
    fresh.column_name,
    fresh.rule,
    fresh.value,
    {% for name in (sku, label) %}
    {% if name %}
    (select any_value(landed.{{ name | ident }}) from run.landed as landed where landed._raw = fresh.raw)
    {% else %}
    null
    {% endif %}
    {{ "," | sql if not loop.last else "" | sql }}
    {% endfor %}
from fresh
order by
    fresh.rule,
    fresh.key;
