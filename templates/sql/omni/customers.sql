{#
  Omni Accounts, on Firebird: one row a customer. Nothing of this table is documented by Stock2Shop: the table and every
  column are placeholders until they are set. template.toml says what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% set customer_table = vars.customer_table | default("CUSTOMERS") %}
{% set customer_code = vars.customer_code | default("CUSTOMER_CODE") %}
{% set customer_name = vars.customer_name | default("CUSTOMER_NAME") %}
{% set customer_email = vars.customer_email | default("CUSTOMER_EMAIL") %}
{% set customer_flag = vars.customer_flag | default("CUSTOMER_ACTIVE") %}
{% set name %}customer.{{ customer_name | ident }}{% endset -%}

select
    {% block columns %}
    {% block code %}
    customer.{{ customer_code | ident }} as source_customer_code,
    {% endblock %}
    {% block flag %}
    customer.{{ customer_flag | ident }} as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(name) }} as first_name,
    {{ sql.other_words(name) }} as last_name,
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    customer.{{ customer_email | ident }} as email
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ customer_table | ident }} customer
{% endblock %}
{% block where %}
{% endblock %}
