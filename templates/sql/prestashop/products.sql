{#
  PrestaShop 1.6 to 8: one row a product without combinations, and one a combination. template.toml says what is published,
  what to confirm in the shop, and what the vars mean. A project changes what is in a block.
#}
{% import "macros/dialect.sql" as sql %}
{% set prefix = var("prefix", "ps_", "text") %}
{% set shop = var("shop", 1, "number") %}
{% set language = var("language", 1, "number") %}
{% set options = var("options", {}, "table") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set tax_percent = var("tax_percent", 0, "number") %}
{% set today = sql.cast_text(sql.today()) %}
{% set own_code -%}
case when variant.id_product_attribute is null then item.reference
        when variant.reference <> '' then variant.reference
        else {{ sql.concat([col("item.reference"), "-", sql.cast_text(col("variant.id_product_attribute"))]) }}
    end
{%- endset %}

{#- A price with what the combination adds to it, and with tax where the shop keeps it without. -#}
{% macro price(amount) -%}
({{ amount }} + coalesce(variant.price, 0)){% if tax_percent %} * (100 + {{ tax_percent }}) / 100{% endif %}
{%- endmacro %}

{#- The fixed price of a group of customers that counts today; dates of zeros are no limits. -#}
{% macro group_price(group) -%}
(
        select min(special.price)
        from {{ (prefix ~ "specific_price") | ident }} as special
        where special.id_product = item.id_product and special.id_group = {{ sql.whole(group) }}
            and special.price >= 0 and special.from_quantity <= 1 and special.id_shop in (0, {{ shop }})
            and left({{ sql.cast_text(col("special.from")) }}, 10) <= {{ today }}
            and ({{ sql.cast_text(col("special.to")) }} like '0000%' or {{ sql.cast_text(col("special.to")) }} >= {{ today }})
    )
{%- endmacro %}

{#- The name of the combination's value in a group of attributes, such as Large in the group Size. -#}
{% macro option(group) -%}
(
        select max(words.name)
        from {{ (prefix ~ "product_attribute_combination") | ident }} as combination
        join {{ (prefix ~ "attribute") | ident }} as attribute on attribute.id_attribute = combination.id_attribute
        join {{ (prefix ~ "attribute_lang") | ident }} as words on words.id_attribute = attribute.id_attribute
        where combination.id_product_attribute = variant.id_product_attribute
            and attribute.id_attribute_group = {{ sql.whole(group) }} and words.id_lang = {{ language }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    item.reference as source_product_code,
    {% endblock %}
    {% block variant %}
    {{ own_code }} as source_variant_code,
    {% endblock %}
    {% block title %}
    (
        select max(title.name)
        from {{ (prefix ~ "product_lang") | ident }} as title
        where title.id_product = item.id_product and title.id_lang = {{ language }} and title.id_shop = {{ shop }}
    ) as title,
    {% endblock %}
    {% block flag %}
    case when shop.active = 1 then 'Active' else 'Delete' end as product_active,
    {% endblock %}
    {% block price %}
    {{ price(col("shop.price")) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for group, name in price_lists.items() %}
    {{ price(group_price(group)) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    {# The row with the combination 0 is the total of a product. #}
    (
        select sum(stock.quantity)
        from {{ (prefix ~ "stock_available") | ident }} as stock
        where stock.id_product = item.id_product and stock.id_shop in (0, {{ shop }})
            and stock.id_product_attribute = coalesce(variant.id_product_attribute, 0)
    ) as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% for group, name in options.items() %}
    {{ option(group) }} as {{ ("variants.option" ~ loop.index ~ "_value") | ident }},
    case when variant.id_product_attribute is not null then {{ name }} end as {{ ("option" ~ loop.index ~ "_name") | ident }},
    {% endfor %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    {{ own_code }} as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ (prefix ~ "product") | ident }} as item
join {{ (prefix ~ "product_shop") | ident }} as shop on shop.id_product = item.id_product and shop.id_shop = {{ shop }}
left join {{ (prefix ~ "product_attribute") | ident }} as variant on variant.id_product = item.id_product
{% endblock %}
{% block where %}
{% endblock %}
