{#
  SAP Business One, on SQL Server or HANA: one row a business partner of OCRD that is a customer. Every name is quoted,
  since HANA keeps the case of SAP's. template.toml says which columns are documented, which to confirm on site, and what
  the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set customer_flag = var("customer_flag", "U_S2SActive", "text") -%}

select
    {% block columns %}
    {% block code %}
    {{ col("OCRD.CardCode") }} as source_customer_code,
    {% endblock %}
    {% block flag %}
    {{ col("OCRD." ~ customer_flag) }} as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("OCRD.CardName")) }} as first_name,
    {{ sql.other_words(col("OCRD.CardName")) }} as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("OCRD") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    {{ col("OCRD.E_Mail") }} as email
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ col("OCRD") }}
{% endblock %}
{% block where %}
where {{ col("OCRD.CardType") }} = 'C'
{% endblock %}
