{# What Stock2Shop acknowledged, the newest first. #}
select
    run_id,
    entity,
    key,
    product,
    kind,
    columns::varchar as columns,
    status,
    acknowledged_at
from changes
where
    true
    {% if entity is not none %}
    and entity = {{ entity }}
    {% endif %}
    {% if key is not none %}
    and key = {{ key }}
    {% endif %}
    {% if run_id is not none %}
    and run_id = {{ run_id }}
    {% endif %}
order by
    acknowledged_at desc,
    key
limit {{ limit }};
