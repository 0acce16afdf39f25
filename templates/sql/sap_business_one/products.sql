{#
  SAP Business One, on SQL Server or HANA: one row an item of OITM. Every name is quoted, since HANA keeps the case of
  SAP's. template.toml says which columns are documented, which to confirm on site, and what the vars mean. A project
  changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "U_S2SActive", "text") %}
{% set price_list = var("price_list", 1, "number") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set available = sql.available(col("OITW.OnHand"), col("OITW.IsCommited")) %}

{#- The item's price in a price list, by the list's number: SAP has 0 where an item has no price. -#}
{% macro price(number) -%}
(
        select max(nullif({{ col("ITM1.Price") }}, 0))
        from {{ col("ITM1") }}
        where {{ col("ITM1.ItemCode") }} = {{ col("OITM.ItemCode") }} and {{ col("ITM1.PriceList") }} = {{ sql.whole(number) }}
    )
{%- endmacro %}

{#- The item's available quantity, in warehouses by their codes, or in all. -#}
{% macro stock(codes=none) -%}
(
        select {{ sql.warehouse_qty(available, col("OITW.WhsCode"), codes) if codes else sql.total(available) }}
        from {{ col("OITW") }}
        where {{ col("OITW.ItemCode") }} = {{ col("OITM.ItemCode") }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    {{ col("OITM.ItemCode") }} as source_product_code,
    {% endblock %}
    {% block variant %}
    {{ col("OITM.ItemCode") }} as source_variant_code,
    {% endblock %}
    {% block title %}
    {{ col("OITM.ItemName") }} as title,
    {% endblock %}
    {% block flag %}
    {{ col("OITM." ~ flag) }} as product_active,
    {% endblock %}
    {% block price %}
    {{ price(price_list) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for number, name in price_lists.items() %}
    {{ price(number) }} as {{ ("price_" ~ name) | ident }},
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
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    {{ col("OITM.ItemCode") }} as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ col("OITM") }}
{% endblock %}
{% block where %}
{% endblock %}
