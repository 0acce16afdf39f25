{#
  Sage 300: one row an item of ICITEM. template.toml says which columns are documented, which to confirm on site, and what
  the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "S2SACTIVE", "text") %}
{% set price_list = var("price_list", "RETAIL", "text") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set currency = var("currency", "ZAR", "text") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set available = sql.available(col("ICILOC.QTYONHAND"), col("ICILOC.QTYCOMMIT")) %}

{#- The item's base price in a price list, by the list's code: in one currency, for its stocking unit. -#}
{% macro price(code) -%}
(
        select max(ICPRICP.UNITPRICE)
        from ICPRICP
        where ICPRICP.ITEMNO = ICITEM.ITEMNO
            and ICPRICP.PRICELIST = {{ code }}
            and ICPRICP.CURRENCY = {{ currency }}
            and ICPRICP.DPRICETYPE = 1
            and ICPRICP.QTYUNIT = ICITEM.STOCKUNIT
    )
{%- endmacro %}

{#- The item's available quantity, in locations by their codes, or in all. -#}
{% macro stock(codes=none) -%}
(
        select {{ sql.warehouse_qty(available, col("ICILOC.LOCATION"), codes) if codes else sql.total(available) }}
        from ICILOC
        where ICILOC.ITEMNO = ICITEM.ITEMNO
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    ICITEM.ITEMNO as source_product_code,
    {% endblock %}
    {% block variant %}
    ICITEM.ITEMNO as source_variant_code,
    {% endblock %}
    {% block title %}
    {{ col("ICITEM.DESC") }} as title,
    {% endblock %}
    {% block flag %}
    (
        select max(ICITEMO.VALUE)
        from ICITEMO
        where ICITEMO.ITEMNO = ICITEM.ITEMNO and ICITEMO.OPTFIELD = {{ flag }}
    ) as product_active,
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
    ICITEM.ITEMNO as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from ICITEM
{% endblock %}
{% block where %}
{% endblock %}
