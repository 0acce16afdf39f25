{#
  iQ Retail: one row an item of STOCK. template.toml says which columns are documented, which to confirm on site, and what
  the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "WebItem", "text") %}
{% set price_list = var("price_list", 1, "number") %}
{% set price_lists = var("price_lists", {}, "table") -%}

select
    {% block columns %}
    {% block product %}
    STOCK.CODE as source_product_code,
    {% endblock %}
    {% block variant %}
    STOCK.CODE as source_variant_code,
    {% endblock %}
    {% block title %}
    STOCK.DESCRIPT as title,
    {% endblock %}
    {% block flag %}
    {{ col("STOCK." ~ flag) }} as product_active,
    {% endblock %}
    {% block price %}
    {{ col("STOCK.SELLPRICE" ~ price_list) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for number, name in price_lists.items() %}
    {{ col("STOCK.SELLPRICE" ~ number) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    {{ sql.available(col("STOCK.ONHAND"), col("STOCK.SALESORDER")) }} as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    STOCK.CODE as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from STOCK
{% endblock %}
{% block where %}
{% endblock %}
