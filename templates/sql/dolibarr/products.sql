{#
  Dolibarr: one row a product of llx_product; a variant is a product that another one has as its child. template.toml says
  what is published, what to confirm on site, and what the vars mean. A project changes what is in a block.
#}
{% import "macros/dialect.sql" as sql %}
{% set prefix = var("prefix", "llx_", "text") %}
{% set entity = var("entity", 1, "number") %}
{% set price_column = var("price_column", "price", "text") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set options = var("options", {}, "table") %}

{#- The item's newest price on a level. -#}
{% macro price(level) -%}
(
        select max({{ col("price." ~ price_column) }})
        from {{ (prefix ~ "product_price") | ident }} as price
        where price.rowid = (
            select max(newest.rowid)
            from {{ (prefix ~ "product_price") | ident }} as newest
            where newest.fk_product = item.rowid and newest.price_level = {{ sql.whole(level) }}
        )
    )
{%- endmacro %}

{#- The item's stock, in warehouses by their references, or in all. -#}
{% macro stock(codes=none) -%}
(
        select {{ sql.warehouse_qty(col("stock.reel"), col("warehouse.ref"), codes) if codes else sql.total(col("stock.reel")) }}
        from {{ (prefix ~ "product_stock") | ident }} as stock
        join {{ (prefix ~ "entrepot") | ident }} as warehouse on warehouse.rowid = stock.fk_entrepot
        where stock.fk_product = item.rowid
    )
{%- endmacro %}

{#- The variant's value of an attribute, by the attribute's reference. -#}
{% macro option(attribute) -%}
(
        select max(choice.value)
        from {{ (prefix ~ "product_attribute_combination2val") | ident }} as chosen
        join {{ (prefix ~ "product_attribute") | ident }} as attribute on attribute.rowid = chosen.fk_prod_attr
        join {{ (prefix ~ "product_attribute_value") | ident }} as choice on choice.rowid = chosen.fk_prod_attr_val
        where chosen.fk_prod_combination = combination.rowid and attribute.ref = {{ attribute }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    coalesce(parent.ref, item.ref) as source_product_code,
    {% endblock %}
    {% block variant %}
    item.ref as source_variant_code,
    {% endblock %}
    {% block title %}
    coalesce(parent.label, item.label) as title,
    {% endblock %}
    {% block flag %}
    case when item.tosell = 1 then 'Active' else 'Delete' end as product_active,
    {% endblock %}
    {% block price %}
    {{ col("item." ~ price_column) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for level, name in price_lists.items() %}
    {{ price(level) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    {{ stock(warehouses) }} as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block warehouses %}
    {% for code in warehouses %}
    {{ stock([code]) }} as {{ ("qty_" ~ (warehouses[code] if warehouses is mapping else code)) | ident }},
    {% endfor %}
    {% endblock %}
    {% block options %}
    {% for attribute, name in options.items() %}
    {{ option(attribute) }} as {{ ("variants.option" ~ loop.index ~ "_value") | ident }},
    case when combination.rowid is not null then {{ name }} end as {{ ("option" ~ loop.index ~ "_name") | ident }},
    {% endfor %}
    {% endblock %}
    {% block more %}
    item.barcode as {{ "variants.barcode" | ident }},
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    item.ref as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ (prefix ~ "product") | ident }} as item
left join {{ (prefix ~ "product_attribute_combination") | ident }} as combination on combination.fk_product_child = item.rowid
left join {{ (prefix ~ "product") | ident }} as parent on parent.rowid = combination.fk_product_parent
{% endblock %}
{% block where %}
{# Services are of the type 1. A product with variants is not sold itself. #}
where item.fk_product_type = 0 and item.entity = {{ entity }}
    and item.rowid not in (
        select family.fk_product_parent from {{ (prefix ~ "product_attribute_combination") | ident }} as family
    )
{% endblock %}
