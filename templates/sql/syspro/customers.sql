{#
  Syspro: one row a customer of ArCustomer. template.toml says which columns are documented, which to confirm on site, and
  what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set customer_flag = var("customer_flag", "", "text") -%}

select
    {% block columns %}
    {% block code %}
    ArCustomer.Customer as source_customer_code,
    {% endblock %}
    {% block flag %}
    {% if customer_flag %}
    {{ col("ArCustomer." ~ customer_flag) }} as customer_active,
    {% else %}
    'Active' as customer_active,
    {% endif %}
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("ArCustomer.Name")) }} as first_name,
    {{ sql.other_words(col("ArCustomer.Name")) }} as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("ArCustomer") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    ArCustomer.Email as email
    {% endblock %}
    {% endblock %}
{% block from %}
from ArCustomer
{% endblock %}
{% block where %}
{% endblock %}
