{#
  OpenCart: one row a product, and where an option makes variants, one a value of it. template.toml says what is published,
  what to confirm in the shop, and what the vars mean. A project changes what is in a block.
#}
{% import "macros/dialect.sql" as sql %}
{% set prefix = var("prefix", "oc_", "text") %}
{% set language = var("language", 1, "number") %}
{% set code = var("code", "model", "text") %}
{% set option_id = var("option_id", 0, "number") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set tax_percent = var("tax_percent", 0, "number") %}
{% set item_code = sql.cast_text(col("item." ~ code)) %}

{#- A price of the item for the variant's value, with tax where the shop keeps it without. -#}
{% macro price(amount) -%}
({{ amount }} + case when variant.price_prefix = '-' then -variant.price else coalesce(variant.price, 0) end)
    {%- if tax_percent %} * (100 + {{ tax_percent }}) / 100{% endif %}
{%- endmacro %}

{#- The price for one piece that a group of customers has by a discount. -#}
{% macro group_price(group) -%}
(
        select min(discount.price)
        from {{ (prefix ~ "product_discount") | ident }} as discount
        where discount.product_id = item.product_id and discount.quantity <= 1
            and discount.customer_group_id = {{ sql.whole(group) }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    {{ item_code }} as source_product_code,
    {% endblock %}
    {% block variant %}
    case when variant.product_option_value_id is null then {{ item_code }}
        else {{ sql.concat([item_code, "-", sql.cast_text(col("variant.option_value_id"))]) }}
    end as source_variant_code,
    {% endblock %}
    {% block title %}
    (
        select max(words.name)
        from {{ (prefix ~ "product_description") | ident }} as words
        where words.product_id = item.product_id and words.language_id = {{ language }}
    ) as title,
    {% endblock %}
    {% block flag %}
    {# A date of zeros is before every other one; as texts, both are compared the same everywhere. #}
    case when item.status = 1 and {{ sql.cast_text(col("item.date_available")) }} <= {{ sql.cast_text(sql.today()) }} then 'Active'
        else 'Delete'
    end as product_active,
    {% endblock %}
    {% block price %}
    {{ price(col("item.price")) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for group, name in price_lists.items() %}
    {{ price(group_price(group)) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    coalesce(variant.quantity, item.quantity) as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% if option_id %}
    (
        select max(value_words.name)
        from {{ (prefix ~ "option_value_description") | ident }} as value_words
        where value_words.option_value_id = variant.option_value_id and value_words.language_id = {{ language }}
    ) as {{ "variants.option1_value" | ident }},
    (
        select max(option_words.name)
        from {{ (prefix ~ "option_description") | ident }} as option_words
        where option_words.option_id = variant.option_id and option_words.language_id = {{ language }}
    ) as option1_name,
    {% endif %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    coalesce(variant.subtract, item.subtract) as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    case when variant.product_option_value_id is null then {{ item_code }}
        else {{ sql.concat([item_code, "-", sql.cast_text(col("variant.option_value_id"))]) }}
    end as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ (prefix ~ "product") | ident }} as item
left join {{ (prefix ~ "product_option_value") | ident }} as variant
    on variant.product_id = item.product_id and variant.option_id = {{ option_id }}
{% endblock %}
{% block where %}
{% endblock %}
