{# Whether a row of `table` is sent with a default price, as an expression; `tier` is the price tier that stands in,
   and `blank` whether a price is sent for a blank one. #}
(
    {{ blank | sql }}
    {%- for field in prices %}

    or coalesce(regexp_matches({{ table | sql }}.{{ field.name | ident }}, '^[^,:"]+(,|$)'), false)
    or coalesce(
        list_bool_or(
            list_transform(read_prices({{ table | sql }}.{{ field.name | ident }}), lambda item: item.tier = {{ tier | sql }})
        ),
        {{ blank | sql }}
    )
    {%- endfor %}
    {%- for field in price %}

    or {{ table | sql }}.{{ field.name | ident }} is not null
    {%- endfor %}
    {%- for field in tiers %}

    or coalesce({{ tier | sql }} = {{ field.placeholder_value }}, false) and {{ table | sql }}.{{ field.name | ident }} is not null
    {%- endfor %}

)
