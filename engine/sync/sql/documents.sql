{# The rows of the delta in a window, each with the item that queues it at Stock2Shop, as JSON in UTF-8: exactly the fields
   that the mapping gives. A field that a linked source does not map must not overwrite what another source owns. #}

{% macro value(field) %}coalesce({{ field.name | ident }}, {{ {"boolean": false, "integer": 0}.get(field.type, "") }}){% endmacro %}

{# A price as digits, without an exponent and trailing zeros: a float would not hold every price. #}
{% macro digits(field) %}rtrim(rtrim({{ field.name | ident }}::varchar, '0'), '.'){% endmacro %}

{# The price of a tier in csv_price_tiers. #}
{% macro listed(tier) %}list_extract(_tier_prices, list_position(_tier_names, {{ tier }})){% endmacro %}

{# The price of a tier that has a column; what stands for a blank one comes last. #}
{% macro tier_price(field, blank) %}
coalesce({{ digits(field) }}{% if csv_prices %}, {{ listed(field.placeholder_value) }}{% endif %}
{%- if blank is not none %}, {{ blank }}{% endif %}, null)
{%- endmacro %}

{# A list with a member for each field of a role. #}
{% macro members(role, label, name) %}
[
    {%- for field in roles[role] %}
    {
        {{ label }}: {{ field.placeholder_value }},
        {{ name }}: {{ value(field) }}
    }{% if not loop.last %},{% endif %}
    {%- endfor %}
]
{%- endmacro %}

select
    position,
    _key,
    _group,
    kind,
    is_doubted,
    encode(
        case
            when kind = 'delete'
                then to_json({
                    'source': {
                        'source_id': {{ source_id }},
                        {% if group %}
                        'product_active': 'false',
                        'source_product_code': _group,
                        'sync_token': {{ sync_token }},
                        'fetch_token': '0'
                    },
                    {# Stock2Shop needs a title and a SKU even of what is removed. #}
                    'product': {
                        'title': {{ ("coalesce(title, _key)" if has_title else "_key") | sql }},
                        'variants': {
                            'source_variant_code': _key,
                            'sku': {{ ('coalesce("variants.sku", _key)' if has_sku else "_key") | sql }}
                        }
                    }
                        {% else %}
                        'customer_active': 'false',
                        'source_customer_code': _key,
                        'sync_token': {{ sync_token }}
                    },
                    'customer': {
                        'source_customer_code': _key,
                        'email': {{ ("coalesce(email, '')" if has_email else "''") | sql }}
                    }
                        {% endif %}
                })::varchar
            {% if group %}
            {# What may be missing, and what may be long, is put behind the rest, whose last three brackets are taken off. #}
            else concat(
                left(
                    to_json({
                        'source': {
                            'source_id': {{ source_id }},
                            'product_active': 'true',
                            'source_product_code': _group,
                            'sync_token': {{ sync_token }},
                            'fetch_token': '0'
                        },
                        'product': {
                            {% for field in roles.product if field.type != "html" %}
                            {{ field.json_name }}: {{ value(field) }},
                            {% endfor %}
                            {% if roles.option %}
                            'options': list_filter(
                                [
                                    {%- for field in roles.option_name %}
                                    case
                                        when {{ field.name | ident }} is not null
                                            then {'name': {{ field.name | ident }}, 'position': {{ field.position }}}
                                    end{% if not loop.last %},{% endif %}
                                    {%- endfor %}
                                ],
                                lambda name: name is not null
                            ),
                            {% endif %}
                            {% if roles.meta %}
                            'meta': {{ members("meta", "key", "value") }},
                            {% endif %}
                            'variants': {
                                'source_variant_code': _key
                                {%- for field in roles.variant if field.type != "boolean" %},
                                {{ field.json_name }}: {{ value(field) }}
                                {%- endfor %}
                                {%- for field in roles.option %},
                                {{ field.json_name }}: {{ field.name | ident }}
                                {%- endfor %}
                                {%- if roles.warehouse %},
                                'qty_availability': {{ members("warehouse", "description", "qty") }}
                                {%- endif +%}
                            }
                        }
                    })::varchar,
                    -3
                ),
                {% for field in roles.variant if field.type == "boolean" %}
                case
                    when {{ field.name | ident }} then {{ ',"' ~ field.json_name ~ '":"true"' }}
                    when not {{ field.name | ident }} then {{ ',"' ~ field.json_name ~ '":"false"' }}
                end,
                {% endfor %}
                ',"price":' || coalesce(
                    {%- for field in roles.price %}
                    {{ digits(field) }},
                    {%- endfor %}
                    {%- if csv_prices %}
                    _default_price,
                    {%- endif %}
                    {%- if default_tier is not none %}
                    {%- for field in roles.tier if field.placeholder_value == default_tier %}
                    {{ digits(field) }},
                    {%- endfor %}
                    {%- if csv_prices %}
                    {{ listed(default_tier) }},
                    {%- endif %}
                    {%- endif %}
                    {{ blank_price }},
                    null
                ),
                {% if roles.tier or csv_prices %}
                {# An empty list too, so that a tier can go. #}
                ',"price_tiers":[',
                {% if csv_prices %}
                case
                    when _listed_tiers is not null
                        then list_aggregate(
                            list_transform(
                                list_sort(
                                    {% if roles.tier %}
                                    list_concat(
                                        list_filter(
                                            _listed_tiers,
                                            lambda each: each.tier not in (
                                                {%- for field in roles.tier %}
                                                {{ field.placeholder_value }}{% if not loop.last %},{% endif %}
                                                {%- endfor %}
                                            )
                                        ),
                                        list_filter(
                                            [
                                                {%- for field in roles.tier %}
                                                {
                                                    'tier': {{ field.placeholder_value }},
                                                    'price': {{ tier_price(field, blank_tier) }}
                                                }{% if not loop.last %},{% endif %}
                                                {%- endfor %}
                                            ],
                                            lambda each: each.price is not null
                                        )
                                    )
                                    {% else %}
                                    _listed_tiers
                                    {% endif %}
                                ),
                                lambda each: '{"tier":' || to_json(each.tier) || ',"price":' || each.price || '}'
                            ),
                            'string_agg',
                            ','
                        )
                    else
                {% endif %}
                {% if roles.tier %}
                concat_ws(
                    ','
                    {%- for field in roles.tier | sort(attribute="placeholder_value", case_sensitive=true) %},
                    {{ '{"tier":' ~ tier_names[field.placeholder_value] ~ ',"price":' }} || {{ tier_price(field, blank_tier) }} || '}'
                    {%- endfor %}
                )
                {% else %}
                ''
                {% endif %}
                {% if csv_prices %}
                end,
                {% else %},
                {% endif %}
                ']',
                {% endif %}
                '}',
                {% for field in roles.product if field.type == "html" %}
                {{ ',"' ~ field.json_name ~ '":' }},
                to_json({{ value(field) }}),
                {% endfor %}
                '}}'
            )
            {% else %}
            else to_json({
                'source': {
                    'source_id': {{ source_id }},
                    'customer_active': 'true',
                    'source_customer_code': _key,
                    'sync_token': {{ sync_token }}
                },
                'customer': {
                    'source_customer_code': _key
                    {%- for field in roles.customer %},
                    {{ field.json_name }}: {{ value(field) }}
                    {%- endfor %}
                    {%- if addresses %},
                    'addresses': list_filter(
                        [
                            {%- for parts in addresses %}
                            case
                                when
                                    {% for field in parts if field.json_name in address_content %}
                                    {{ field.name | ident }} <> '' or
                                    {%- endfor %} false
                                    then to_json({
                                        {%- for field in parts %}
                                        {{ field.json_name }}: {{ value(field) }}{% if not loop.last %},{% endif %}
                                        {%- endfor %}
                                    })
                            end{% if not loop.last %},{% endif %}
                            {%- endfor %}
                        ],
                        lambda address: address is not null
                    )
                    {%- endif %}
                    {%- if roles.user %},
                    'user': {
                        {%- for field in roles.user %}
                        {{ field.json_name }}: {{ value(field) }}{% if not loop.last %},{% endif %}
                        {%- endfor %}
                    }
                    {%- endif %}
                    {%- if roles.meta %},
                    'meta': {{ members("meta", "key", "value") }}
                    {%- endif +%}
                }
            })::varchar
            {% endif %}
        end
    ) as item
from {% if csv_prices %}(
    {# A bare number is the default price; a tier stands in quotes where it has a comma, a colon or quotes. #}
    select
        *,
        list_transform(_listed_tiers, lambda each: each.tier) as _tier_names,
        list_transform(_listed_tiers, lambda each: each.price) as _tier_prices
    from (
        select
            *,
            case
                when contains({{ csv_prices | ident }}, ':')
                    then nullif(regexp_extract({{ csv_prices | ident }}, '^([^,:"]+),', 1), '')
                else {{ csv_prices | ident }}
            end as _default_price,
            case
                when contains({{ csv_prices | ident }}, ':')
                    then list_transform(
                        regexp_extract_all({{ csv_prices | ident }}, '(?:"(?:[^"]|"")*"|[^,:"]*):[^,:"]+'),
                        lambda item: {
                            'tier': case
                                when starts_with(item, '"')
                                    then replace(regexp_extract(item, '^"(.*)":[^:]*$', 1), '""', '"')
                                else regexp_extract(item, '^(.*):[^:]*$', 1)
                            end,
                            'price': regexp_extract(item, '([^:]*)$', 1)
                        }
                    )
            end as _listed_tiers
        from run.window_rows
    )
)
{%- else %}run.window_rows{% endif +%}
where
    position > $after
    and position <= $upto;
