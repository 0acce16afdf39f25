{#
  Sage 200 Evolution: one row an item of StkItem. template.toml says which columns are documented, which to confirm on
  site, and what the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "ulIIStock2Shop", "text") %}
{% set price_list = var("price_list", 1, "number") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set price_column = var("price_column", "fExclPrice", "text") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set available = sql.available(col("WhseStk.WHQtyOnHand"), col("WhseStk.WHQtyOnSO")) %}
{#- What an item has that is not kept in warehouses. -#}
{% set own = sql.available(col("StkItem.Qty_On_Hand"), col("StkItem.QtyOnSO")) %}

{#- The item's price in a price list, by the list's number. -#}
{% macro price(number) -%}
(
        select max({{ col("_etblPriceListPrices." ~ price_column) }})
        from _etblPriceListPrices
        where _etblPriceListPrices.iStockID = StkItem.StockLink
            and _etblPriceListPrices.iPriceListNameID = {{ sql.whole(number) }}
            and _etblPriceListPrices.iWarehouseID = 0
    )
{%- endmacro %}

{#- The item's available quantity in warehouses, by their codes. -#}
{% macro stock(codes) -%}
(
        select {{ sql.warehouse_qty(available, col("WhseMst.Code"), codes) }}
        from WhseStk
        join WhseMst on WhseMst.WhseLink = WhseStk.WHWhseID
        where WhseStk.WHStockLink = StkItem.StockLink
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    StkItem.Code as source_product_code,
    {% endblock %}
    {% block variant %}
    StkItem.StockLink as source_variant_code,
    {% endblock %}
    {% block title %}
    StkItem.Description_1 as title,
    {% endblock %}
    {% block flag %}
    {{ col("StkItem." ~ flag) }} as product_active,
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
    {% if warehouses %}
    case when StkItem.WhseItem = 1 then {{ stock(warehouses) }} else {{ own }} end as {{ "variants.qty" | ident }},
    {% else %}
    {{ own }} as {{ "variants.qty" | ident }},
    {% endif %}
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
    StkItem.Code as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from StkItem
{% endblock %}
{% block where %}
{% endblock %}
