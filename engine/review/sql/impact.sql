{# What another mapping does to the rows that the first one published: samples, so many of each kind and column. #}
with
named as (
    select
        outgoing.position,
        outgoing._key,
        outgoing._group,
        outgoing.kind,
        outgoing.cause,
        {% if label %}
        coalesce(landed.{{ label | ident }}, published.{{ label | ident }})
        {% else %}
        null
        {% endif %} as label
    from run.outgoing as outgoing
    left join run.landed as landed
        on landed._raw = outgoing._raw
    left join {{ published | ident }} as published
        on published._key = outgoing._key
)

select
    kind as sort,
    cause as what,
    _key as key,
    _group as product,
    label,
    null as old,
    null as new
from named
where
    kind in ('insert', 'delete')
    and cause <> 'replaced'
qualify row_number() over (partition by kind order by position) <= {{ limit }}
union all
select
    'replace' as sort,
    cause as what,
    _key as key,
    _group as product,
    label,
    null as old,
    null as new
from named
where
    kind = 'insert'
    and cause = 'replaced'
qualify row_number() over (order by position) <= {{ limit }}
union all
select
    'update' as sort,
    difference.column_name as what,
    named._key as key,
    named._group as product,
    named.label,
    difference.old,
    difference.new
from run.difference as difference
join named
    on
        named.position = difference.position
qualify row_number() over (partition by difference.column_name order by named.position) <= {{ limit }}
order by
    sort,
    what,
    key;
