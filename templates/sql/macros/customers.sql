{#
  What a project says of its customers beside their names, in [vars]; the same for every system:

  - customer_columns: columns of the customer's table by Stock2Shop's field names, such as
    { "address1.address1" = "Physical1", "address1.city" = "Physical3", "address1.zip" = "PhysicalPC" };
  - customer_price_list: the column with the customer's price list. It becomes the tier's name in price_lists; a list that
    is not among them becomes a blank, for which Stock2Shop takes the channel's default;
  - customer_warehouse: the column with the customer's warehouse, named as in warehouses.

      {% import "macros/customers.sql" as customers %}
      {% block addresses %}
      {{ customers.columns("Client") }}{% endblock %}
#}
{% import "macros/dialect.sql" as sql %}

{# columns: the name of the customer's table in; a line for each column out, each with a comma at its end. #}
{% macro columns(table) %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set warehouses = var("warehouses", [], "names") %}
{% set price_list = var("customer_price_list", "", "text") %}
{% set warehouse = var("customer_warehouse", "", "text") %}
{% for field, column in var("customer_columns", {}, "table").items() %}
    {{ col(table ~ "." ~ column) }} as {{ field | ident }},
{% endfor %}
{% if price_list %}
    {{ name_of(col(table ~ "." ~ price_list), price_lists) }} as price_tier,
{% endif %}
{% if warehouse %}
    {{ name_of(col(table ~ "." ~ warehouse), warehouses) }} as qty_availability,
{% endif %}
{% endmacro %}

{#
  name_of: SQL of a code, and a table of names by code or a list of codes in; the name out. A code that has no name is NULL
  where there are names, else the code itself.
#}
{% macro name_of(code, names) -%}
{% set text = sql.trim(sql.cast_text(code)) -%}
{% if names -%}
case {{ text }}
{%- for each in names %} when {{ each | string }} then {{ names[each] if names is mapping else each }}{% endfor %} end
{%- else -%}
{{ text }}
{%- endif %}
{%- endmacro %}
