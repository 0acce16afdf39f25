{#
  Magento 1: one row a simple product. Those of a configurable product share its SKU as their product code. template.toml
  says what is published, what to confirm in the shop, and what the vars mean. A project changes what is in a block.
#}
{% import "macros/dialect.sql" as sql %}
{% set prefix = var("prefix", "", "text") %}
{% set store = var("store", 0, "number") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set tax_percent = var("tax_percent", 0, "number") %}
{% set options = var("options", {}, "table") %}

{#- The value of one of the item's attributes, of the table of its type: in the store, or else for all stores. -#}
{% macro attribute(type, code, of="item") -%}
{% set detail = "detail_" ~ type -%}
{% set value = col(detail ~ ".value") -%}
(
        select coalesce(
            max(case when {{ col(detail ~ ".store_id") }} = {{ store }} then {{ value }} end),
            max(case when {{ col(detail ~ ".store_id") }} = 0 then {{ value }} end)
        )
        from {{ (prefix ~ "catalog_product_entity_" ~ type) | ident }} as {{ detail | ident }}
        join {{ (prefix ~ "eav_attribute") | ident }} as attribute
            on attribute.attribute_id = {{ col(detail ~ ".attribute_id") }}
        where {{ col(detail ~ ".entity_id") }} = {{ col(of ~ ".entity_id") }} and attribute.attribute_code = {{ code }}
    )
{%- endmacro %}

{#- A price, with tax where the shop keeps it without. -#}
{% macro price(amount) -%}
{{ amount }}{% if tax_percent %} * (100 + {{ tax_percent }}) / 100{% endif %}
{%- endmacro %}

{#- The price of a group of customers for one piece. -#}
{% macro group_price(group) -%}
(
        select min(special.value)
        from {{ (prefix ~ "catalog_product_entity_group_price") | ident }} as special
        where special.entity_id = item.entity_id and special.customer_group_id = {{ sql.whole(group) }}
    )
{%- endmacro %}

{#- The words of one of the item's attributes with a list of values, such as its colour. -#}
{% macro option(code) -%}
(
        select max(words.value)
        from {{ (prefix ~ "eav_attribute_option_value") | ident }} as words
        where words.store_id = 0 and words.option_id = {{ attribute("int", code) }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    coalesce(parent.sku, item.sku) as source_product_code,
    {% endblock %}
    {% block variant %}
    item.sku as source_variant_code,
    {% endblock %}
    {% block title %}
    coalesce({{ attribute("varchar", "name", of="parent") }}, {{ attribute("varchar", "name") }}) as title,
    {% endblock %}
    {% block flag %}
    {# 1 is enabled, 2 disabled. #}
    case when {{ attribute("int", "status") }} = 1 then 'Active' else 'Delete' end as product_active,
    {% endblock %}
    {% block price %}
    {{ price(attribute("decimal", "price")) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for group, name in price_lists.items() %}
    {{ price(group_price(group)) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    (
        select sum(stock.qty)
        from {{ (prefix ~ "cataloginventory_stock_item") | ident }} as stock
        where stock.product_id = item.entity_id
    ) as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% for code, name in options.items() %}
    case when parent.entity_id is not null then {{ option(code) }} end as {{ ("variants.option" ~ loop.index ~ "_value") | ident }},
    case when parent.entity_id is not null then {{ name }} end as {{ ("option" ~ loop.index ~ "_name") | ident }},
    {% endfor %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    item.sku as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ (prefix ~ "catalog_product_entity") | ident }} as item
left join (
    select link.product_id as product_id, min(link.parent_id) as parent_id
    from {{ (prefix ~ "catalog_product_super_link") | ident }} as link
    group by link.product_id
) as family on family.product_id = item.entity_id
left join {{ (prefix ~ "catalog_product_entity") | ident }} as parent on parent.entity_id = family.parent_id
{% endblock %}
{% block where %}
where item.type_id = 'simple'
{% endblock %}
