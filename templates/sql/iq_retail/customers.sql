{#
  iQ Retail: one row an account of DEBTORS. template.toml says which columns are documented, which to confirm on site, and
  what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set customer_flag = var("customer_flag", "STATUS", "text") -%}

select
    {% block columns %}
    {% block code %}
    DEBTORS.ACCOUNT as source_customer_code,
    {% endblock %}
    {% block flag %}
    {{ col("DEBTORS." ~ customer_flag) }} as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("DEBTORS.NAME")) }} as first_name,
    {{ sql.other_words(col("DEBTORS.NAME")) }} as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("DEBTORS") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    DEBTORS.EMAIL as email
    {% endblock %}
    {% endblock %}
{% block from %}
from DEBTORS
{% endblock %}
{% block where %}
{% endblock %}
