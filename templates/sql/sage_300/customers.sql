{#
  Sage 300: one row a customer of ARCUS. template.toml says which columns are documented, which to confirm on site, and
  what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set customer_flag = var("customer_flag", "CUSTACTIVE", "text") -%}

select
    {% block columns %}
    {% block code %}
    ARCUS.IDCUST as source_customer_code,
    {% endblock %}
    {% block flag %}
    (
        select max(ARCUSO.VALUE)
        from ARCUSO
        where ARCUSO.IDCUST = ARCUS.IDCUST and ARCUSO.OPTFIELD = {{ customer_flag }}
    ) as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("ARCUS.NAMECTAC")) }} as first_name,
    {{ sql.other_words(col("ARCUS.NAMECTAC")) }} as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("ARCUS") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    ARCUS.EMAIL1 as email
    {% endblock %}
    {% endblock %}
{% block from %}
from ARCUS
{% endblock %}
{% block where %}
{% endblock %}
