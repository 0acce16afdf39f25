{# How far the numbers of a column change, in per cent of their values before, and the row with the largest change.
   Prices in several tiers are compared tier by tier; both lists are in the same order. #}
with
change as (
    select
        position,
        column_name,
        old,
        new,
        unnest(
            list_transform(
                list_zip(read_prices(old), read_prices(new)),
                lambda pair: case
                    when
                        struct_extract(pair, 1).tier is not distinct from struct_extract(pair, 2).tier
                        and struct_extract(pair, 1).price <> 0
                        then
                            100 * (struct_extract(pair, 2).price::double - struct_extract(pair, 1).price::double)
                            / abs(struct_extract(pair, 1).price::double)
                end
            )
        ) as percent
    from run.difference
    where
        column_name in ({{ columns }})
        and old is not null
        and new is not null
),

size as (
    select
        column_name,
        min(percent) as lowest,
        max(percent) as highest,
        max_by({'position': position, 'old': old, 'new': new}, abs(percent)) as largest
    from change
    where percent <> 0
    group by column_name
)

select
    size.column_name,
    size.lowest,
    size.highest,
    outgoing._key as key,
    {% if label %}
    published.{{ label | ident }} as label,
    {% else %}
    null as label,
    {% endif %}
    size.largest.old,
    size.largest.new
from size
join run.outgoing as outgoing
    on outgoing.position = size.largest.position
left join {{ published | ident }} as published
    on published._key = outgoing._key
order by size.column_name;
