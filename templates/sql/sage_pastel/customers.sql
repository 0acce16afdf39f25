{#
  Sage 50cloud Pastel Partner and Xpress, on Pervasive (Actian Zen): one row a customer of CustomerMaster. Stock2Shop does
  not support customers of Pastel: ask it before you use this view. A customer may
  have several rows of DeliveryAddresses: the first e-mail address in the alphabet stands for it. template.toml says which
  columns are documented, which to confirm on site, and what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% set customer_flag = var("customer_flag", "CustomerStock2Shop", "text") %}
{% set customer_name = var("customer_name", "CustomerName", "text") %}
{% set flag = col("CustomerMaster." ~ customer_flag) %}
{% set name = col("CustomerMaster." ~ customer_name) -%}

select
    {% block columns %}
    {% block code %}
    CustomerMaster.CustomerCode as source_customer_code,
    {% endblock %}
    {% block flag %}
    {{ flag }} as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(name) }} as first_name,
    {{ sql.other_words(name) }} as last_name,
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    min(DeliveryAddresses.Email) as email
    {% endblock %}
    {% endblock %}
{% block from %}
from CustomerMaster
left join DeliveryAddresses on DeliveryAddresses.CustomerCode = CustomerMaster.CustomerCode
{% endblock %}
{% block where %}
{% endblock %}
{% block group %}
group by CustomerMaster.CustomerCode, {{ flag }}, {{ name }}
{% endblock %}
