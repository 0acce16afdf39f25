{# Rows that only the old mapping quarantines, with what names them. #}
with
gone as (
    select key
    from run.held_before
    where coalesce(key, '') not in (select coalesce(key, '') from run.violation)
    order by key
    limit {{ limit }}
)

select
    gone.key,
    {% for name in (sku, label) %}
    {% if name %}
    (select any_value(landed.{{ name | ident }}) from run.landed as landed where landed._key = gone.key)
    {% else %}
    null
    {% endif %}
    {{ "," | sql if not loop.last else "" | sql }}
    {% endfor %}
from gone
order by gone.key;
