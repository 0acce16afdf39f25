{#
  Sage 200 Evolution: one row an account of Client. template.toml says which columns are documented, which to confirm on
  site, and what the vars mean.
#}
{% import "macros/dialect.sql" as sql %}
{% import "macros/customers.sql" as customers %}
{% set customer_flag = var("customer_flag", "", "text") %}
{% set on_hold %}Client.On_Hold = 1{% endset -%}

select
    {% block columns %}
    {% block code %}
    Client.Account as source_customer_code,
    {% endblock %}
    {% block flag %}
    {% if customer_flag %}
    {{ col("Client." ~ customer_flag) }} as customer_active,
    {% else %}
    {{ sql.choose(on_hold, "Ignore", "Active") }} as customer_active,
    {% endif %}
    {% endblock %}
    {% block name %}
    {{ sql.first_word(col("Client.Contact_Person")) }} as first_name,
    {{ sql.other_words(col("Client.Contact_Person")) }} as last_name,
    {% endblock %}
    {% block addresses %}
{{ customers.columns("Client") }}{% endblock %}
    {% block more %}
    {% endblock %}
    {% block email %}
    Client.EMail as email
    {% endblock %}
    {% endblock %}
{% block from %}
from Client
{% endblock %}
{% block where %}
{% endblock %}
