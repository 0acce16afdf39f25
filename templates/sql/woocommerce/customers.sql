{#
  WooCommerce: one row a customer of its own lookup table, which holds guests with an order, too. template.toml says what
  to confirm in the shop.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set prefix = var("prefix", "wp_", "text") %}
{% set table = prefix ~ "wc_customer_lookup" -%}

select
    {% block columns %}
    {% block code %}
    {{ sql.cast_text(col("person.customer_id")) }} as source_customer_code,
    {% endblock %}
    {% block flag %}
    'Active' as customer_active,
    {% endblock %}
    {% block name %}
    person.first_name as first_name,
    person.last_name as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("person") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    person.email as email
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ table | ident }} as person
{% endblock %}
{% block where %}
where person.email <> ''
{% endblock %}
