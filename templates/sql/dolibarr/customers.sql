{#
  Dolibarr: one row a third party that is a customer. template.toml says what to confirm on site.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set prefix = var("prefix", "llx_", "text") %}
{% set entity = var("entity", 1, "number") -%}

select
    {% block columns %}
    {% block code %}
    person.code_client as source_customer_code,
    {% endblock %}
    {% block flag %}
    case when person.status = 1 then 'Active' else 'Delete' end as customer_active,
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("person.nom")) }} as first_name,
    {{ sql.other_words(col("person.nom")) }} as last_name,
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
from {{ (prefix ~ "societe") | ident }} as person
{% endblock %}
{% block where %}
{# 1 is a customer, 3 a customer and a prospect. #}
where person.client in (1, 3) and person.entity = {{ entity }}
{% endblock %}
