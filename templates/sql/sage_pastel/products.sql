{#
  Sage 50cloud Pastel Partner and Xpress, on Pervasive (Actian Zen): one row an item of Inventory, with MultiStoreTrn
  joined once a store. template.toml says which columns are documented, which to confirm on site, and what the vars mean.
  A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set flag = var("flag", "UDFieldStock2Shop", "text") %}
{% set price_list = var("price_list", "01", "text") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set warehouses = var("warehouses", ["001"], "names") %}
{% set movements = var("movements", ["StockMovements"], "names") %}

{% if not warehouses %}
{{ fail("vars.warehouses names no store: prices and stock are kept by store here.") }}
{% endif %}

{#- What a store has, by the store's place among the warehouses: the opening quantity and the movements since. -#}
{% macro stock(place) -%}
({{ sql.coalesce(col("store_" ~ place ~ ".OpeningQty"), 0) }}
{%- for movement in movements %} {{ moved(place, movement) }}{% endfor %})
{%- endmacro %}

{#- One movement: a name with a minus before it, such as "-QtySold", is taken off. -#}
{% macro moved(place, movement) -%}
{% set quantity = sql.coalesce(col("store_" ~ place ~ "." ~ movement.lstrip("-+ ")), 0) -%}
{% if movement[0] == "-" %}- {{ quantity }}{% else %}+ {{ quantity }}{% endif %}
{%- endmacro %}

{% macro stocks(places) -%}
{% for place in places %}{{ stock(place) }}{% if not loop.last %} + {% endif %}{% endfor %}
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    Inventory.ItemCode as source_product_code,
    {% endblock %}
    {% block variant %}
    Inventory.ItemCode as source_variant_code,
    {% endblock %}
    {% block title %}
    Inventory.Description as title,
    {% endblock %}
    {% block flag %}
    {{ col("Inventory." ~ flag) }} as product_active,
    {% endblock %}
    {% block price %}
    {{ col("store_1.SellInc" ~ price_list) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for number, name in price_lists.items() %}
    {{ col("store_1.SellInc" ~ number) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    {{ stocks(range(1, warehouses | length + 1)) }} as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block warehouses %}
    {% for code in warehouses %}
    {{ stock(loop.index) }} as {{ ("qty_" ~ (warehouses[code] if warehouses is mapping else code)) | ident }},
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
    Inventory.ItemCode as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from Inventory
{% for code in warehouses %}
left join MultiStoreTrn {{ ("store_" ~ loop.index) | ident }}
    on {{ col("store_" ~ loop.index ~ ".ItemCode") }} = Inventory.ItemCode and {{ col("store_" ~ loop.index ~ ".StoreCode") }} = {{ code }}
{% endfor %}
{% endblock %}
{% block where %}
{% endblock %}
