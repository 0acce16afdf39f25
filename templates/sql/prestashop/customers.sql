{#
  PrestaShop: one row a customer who has an account. template.toml says what to confirm in the shop.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set prefix = var("prefix", "ps_", "text") -%}

select
    {% block columns %}
    {% block code %}
    {{ sql.cast_text(col("person.id_customer")) }} as source_customer_code,
    {% endblock %}
    {% block flag %}
    case when person.active = 1 and person.deleted = 0 then 'Active' else 'Delete' end as customer_active,
    {% endblock %}
    {% block name %}
    person.firstname as first_name,
    person.lastname as last_name,
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
from {{ (prefix ~ "customer") | ident }} as person
{% endblock %}
{% block where %}
where person.is_guest = 0
{% endblock %}
