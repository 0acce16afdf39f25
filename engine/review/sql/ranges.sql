{# How far the numbers of a column change, in per cent of their values before, the row with the largest change, and how
   many rows change by how much. Prices in several tiers are compared tier by tier; both lists are in the same order. #}
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
),

farthest as (
    select
        column_name,
        position,
        {# Rounded, so that the digits after the fifteenth do not part rows with the same change. #}
        round(max_by(percent, abs(percent)), 6) as percent
    from change
    where percent <> 0
    group by
        column_name,
        position
),

spread as (
    select
        column_name,
        [
            {% for lowest, highest in bands %}
            count(*) filter (
                where
                    {% if lowest is none %}
                    percent < {{ highest }}
                    {% elif highest is none %}
                    percent > {{ lowest }}
                    {% elif lowest < 0 %}
                    percent >= {{ lowest }}
                    and percent < {{ highest }}
                    {% else %}
                    percent > {{ lowest }}
                    and percent <= {{ highest }}
                    {% endif %}
            ){{ "," | sql if not loop.last else "" | sql }}
            {% endfor %}
        ] as counts
    from farthest
    group by column_name
)

select
    size.column_name,
    size.lowest,
    size.highest,
    spread.counts,
    outgoing._key as key,
    {% if sku %}
    published.{{ sku | ident }} as sku,
    {% else %}
    null as sku,
    {% endif %}
    {% if label %}
    published.{{ label | ident }} as label,
    {% else %}
    null as label,
    {% endif %}
    size.largest.old,
    size.largest.new
from size
join spread
    on spread.column_name = size.column_name
join run.outgoing as outgoing
    on outgoing.position = size.largest.position
left join {{ published | ident }} as published
    on published._key = outgoing._key
order by size.column_name;
