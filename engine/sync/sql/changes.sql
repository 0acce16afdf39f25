{# The delta as a plan lists it: removals first, then by product and key; for an update the columns with old and new. #}
with shown as (
    select *
    from run.outgoing
    order by position
    {% if limit is not none %}
    limit {{ limit }}
    {% endif %}
)

select
    shown._key,
    shown._group,
    shown.kind,
    shown.cause,
    to_json(
        list([difference.column_name, difference.old, difference.new] order by difference.column_name)
            filter (where difference.column_name is not null)
    )::varchar as columns
from shown
left join run.difference as difference
    on
        difference.position = shown.position
group by
    shown.position,
    shown._key,
    shown._group,
    shown.kind,
    shown.cause
order by shown.position;
