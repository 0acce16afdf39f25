{#
  Omni Accounts, on Firebird: one row a stock item. Stock2Shop names the columns but no table: `stock_table`
  is a placeholder until it is set. template.toml says which columns are documented, which to confirm on
  site, and what the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "EXTRADTLS8", "text") %}
{% set price_list = var("price_list", 1, "number") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set stock_table = var("stock_table", "STOCK_ITEMS", "text") %}
{% set qty_column = var("qty_column", "OAVAILABLE", "text") -%}

select
    {% block columns %}
    {% block product %}
    item.STOCKCODE as source_product_code,
    {% endblock %}
    {% block variant %}
    item.STOCKCODE as source_variant_code,
    {% endblock %}
    {% block title %}
    item.DESCRIPTION as title,
    {% endblock %}
    {% block flag %}
    item.{{ flag | ident }} as product_active,
    {% endblock %}
    {% block price %}
    item.{{ ("SELLINGPRICE" ~ price_list) | ident }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for number, name in price_lists.items() %}
    item.{{ ("SELLINGPRICE" ~ number) | ident }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    item.{{ qty_column | ident }} as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    1 as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    item.STOCKCODE as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ stock_table | ident }} item
{% endblock %}
{% block where %}
{% endblock %}
