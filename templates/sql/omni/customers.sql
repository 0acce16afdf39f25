{#
  Omni Accounts, on Firebird: one row a customer. Stock2Shop does not support customers of Omni: ask it before you use
  this view. Nothing of this table is documented by Stock2Shop: the table and every
  column are placeholders until they are set. template.toml says what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% set customer_table = var("customer_table", "CUSTOMERS", "text") %}
{% set customer_code = var("customer_code", "CUSTOMER_CODE", "text") %}
{% set customer_name = var("customer_name", "CUSTOMER_NAME", "text") %}
{% set customer_email = var("customer_email", "CUSTOMER_EMAIL", "text") %}
{% set customer_flag = var("customer_flag", "CUSTOMER_ACTIVE", "text") %}
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
