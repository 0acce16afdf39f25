{#
  Magento 1: one row a customer who has an account. template.toml says what to confirm in the shop.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set prefix = var("prefix", "", "text") %}

{#- The value of one of the person's attributes. -#}
{% macro attribute(code) -%}
(
        select max(detail.value)
        from {{ (prefix ~ "customer_entity_varchar") | ident }} as detail
        join {{ (prefix ~ "eav_attribute") | ident }} as attribute on attribute.attribute_id = detail.attribute_id
        where detail.entity_id = person.entity_id and attribute.attribute_code = {{ code }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block code %}
    {{ sql.cast_text(col("person.entity_id")) }} as source_customer_code,
    {% endblock %}
    {% block flag %}
    case when person.is_active = 1 then 'Active' else 'Delete' end as customer_active,
    {% endblock %}
    {% block name %}
    {{ attribute("firstname") }} as first_name,
    {{ attribute("lastname") }} as last_name,
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
from {{ (prefix ~ "customer_entity") | ident }} as person
{% endblock %}
{% block where %}
{% endblock %}
