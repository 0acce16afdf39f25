{# What another mapping does to the rows that the first one published: samples, so many of each kind and column. #}
with
named as (
    select
        outgoing.position,
        outgoing._key as key,
        outgoing._group as product,
        case when outgoing.kind = 'insert' and outgoing.cause = 'replaced' then 'replace' else outgoing.kind end as sort,
        outgoing.cause,
        outgoing.is_held,
        {% if label %}
        coalesce(landed.{{ label | ident }}, published.{{ label | ident }})
        {% else %}
        null
        {% endif %} as label,
        {% if sku %}
        coalesce(published.{{ sku | ident }}, landed.{{ sku | ident }})
        {% else %}
        null
        {% endif %} as sku
    from run.outgoing as outgoing
    left join run.landed as landed
        on landed._raw = outgoing._raw
    left join {{ published | ident }} as published
        on published._key = outgoing._key
),

unsynced as (
    select
        _key,
        case fate
            when 'retained' then 'gone from the view'
            else 'gone from the view, which has a row without a code'
        end as cause
    from run.missing
    where fate in ('retained', 'withheld')
    union
    select
        _key,
        'ignored by its flag' as cause
    from run.landed
    where _flag = 'Ignore'
),

sample as (
    select
        'unsynced' as sort,
        unsynced.cause as what,
        unsynced.cause as kind,
        published._key as key,
        published._group as product,
        {% if sku %}
        published.{{ sku | ident }}
        {% else %}
        null
        {% endif %} as sku,
        {% if label %}
        published.{{ label | ident }}
        {% else %}
        null
        {% endif %} as label,
        null as old,
        null as new,
        row_number() over (order by published._key) as position
    from unsynced
    inner join {{ published | ident }} as published
        on published._key = unsynced._key
    union all
    select
        sort,
        cause as what,
        sort as kind,
        key,
        product,
        sku,
        label,
        null as old,
        null as new,
        position
    from named
    where
        sort in ('insert', 'replace')
        or (sort = 'delete' and cause <> 'replaced' and is_held)
    union all
    select
        'update' as sort,
        difference.column_name as what,
        difference.column_name as kind,
        named.key,
        named.product,
        named.sku,
        named.label,
        difference.old,
        difference.new,
        difference.position
    from run.difference as difference
    join named
        on
            named.position = difference.position
)

select
    sort,
    what,
    key,
    sku,
    label,
    old,
    new
from sample
qualify row_number() over (partition by sort, kind order by position) <= {{ limit }}
order by
    sort,
    what,
    key;
