{#
  Syspro: one row a stock code of InvMaster. template.toml says which columns are documented, which to confirm on site,
  and what the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "UserField1", "text") %}
{% set price_list = var("price_list", "A", "text") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set available = sql.available(col("InvWarehouse.QtyOnHand"), col("InvWarehouse.QtyAllocated")) %}

{#- The item's price under a price code. -#}
{% macro price(code) -%}
(
        select max(InvPrice.SellingPrice)
        from InvPrice
        where InvPrice.StockCode = InvMaster.StockCode and InvPrice.PriceCode = {{ code }}
    )
{%- endmacro %}

{#- The item's available quantity, in warehouses by their codes, or in all. -#}
{% macro stock(codes=none) -%}
(
        select {{ sql.warehouse_qty(available, col("InvWarehouse.Warehouse"), codes) if codes else sql.total(available) }}
        from InvWarehouse
        where InvWarehouse.StockCode = InvMaster.StockCode
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    InvMaster.StockCode as source_product_code,
    {% endblock %}
    {% block variant %}
    InvMaster.StockCode as source_variant_code,
    {% endblock %}
    {% block title %}
    InvMaster.Description as title,
    {% endblock %}
    {% block flag %}
    {{ col("InvMaster." ~ flag) }} as product_active,
    {% endblock %}
    {% block price %}
    {{ price(price_list) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for code, name in price_lists.items() %}
    {{ price(code) }} as {{ ("price_" ~ name) | ident }},
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
    InvMaster.StockCode as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from InvMaster
{% endblock %}
{% block where %}
{% endblock %}
