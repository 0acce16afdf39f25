{# The prices of a window's rows that are sent otherwise under other settings, though what the view gives for them is the same. #}
insert into run.sent_price
with
item as (
    select
        position,
        {% for name, sql in sides %}
        decode({{ name | ident }}.item) as {{ name | ident }}{{ "," | sql if not loop.last else "" | sql }}
        {% endfor %}
    from ({{ sides[0][1] | sql }}) as before
    join ({{ sides[1][1] | sql }}) as after using (position)
    where
        after.kind in ('update', 'resend')
        or position in (
            select position
            from run.outgoing
            where
                kind = 'insert'
                and cause = 'replaced'
        )
),

price as (
    {% for name in ("price", "price_tiers") %}
    select
        position,
        {{ name }} as column_name,
        {% for side, _ in sides %}
        {% if name == "price" %}
        json_extract_string({{ side | ident }}, '$.product.variants.price') as {{ side | ident }}{{ "," | sql if not loop.last else "" | sql }}
        {% else %}
        array_to_string(
            list_transform(
                from_json(json_extract({{ side | ident }}, '$.product.variants.price_tiers'), '[{"tier": "VARCHAR", "price": "VARCHAR"}]'),
                lambda each: concat(each.tier, ':', each.price)
            ),
            ','
        ) as {{ side | ident }}{{ "," | sql if not loop.last else "" | sql }}
        {% endif %}
        {% endfor %}
    from item
    where position not in (
        select position
        from run.difference
        where column_name in ({% if name == "price" %}{{ default_columns }}{% else %}{{ columns }}{% endif %})
    )
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
)

select
    price.position,
    price.column_name,
    nullif(price.before, '') as before,
    nullif(price.after, '') as after,
    {% if sku %}
    landed.{{ sku | ident }} as sku,
    {% else %}
    null as sku,
    {% endif %}
    {% if label %}
    landed.{{ label | ident }} as label
    {% else %}
    null as label
    {% endif %}
from price
join run.window_rows as landed
    on landed.position = price.position
where nullif(price.before, '') is distinct from nullif(price.after, '');
