{# The variants of a product that differ in one of its fields, by field. Only where some do: a statement a field is dear. #}
{% for field in shared %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ field.name }},
    'differs_within_product',
    left({{ field.name | ident }}::varchar, 200)
from run.differing_variant
where _group in (
    select _group
    from run.differing_variant
    group by _group
    having
        count(distinct {{ field.name | ident }}) > 1
        {% if field.role != "option_name" %}
        or (count({{ field.name | ident }}) > 0 and count({{ field.name | ident }}) < count(*))
        {% endif %}
);
{% endfor %}
