{# The quarantine, open entries first. #}
select
    entity,
    key,
    product,
    column_name,
    rule,
    value,
    reason,
    first_seen_at,
    last_seen_at,
    resolved_at
from quarantine
where
    true
    {% if entity is not none %}
    and entity = {{ entity }}
    {% endif %}
    {% if not resolved %}
    and resolved_at is null
    {% endif %}
order by
    resolved_at is not null,
    rule,
    key,
    column_name;
