{# The variants of the products that differ, and what they differ in. Only where some do: descriptions may be long, and a
   statement a field is dear. #}
create or replace table run.differing_variant as
select
    false as peer,
    landed._key,
    landed._group,
    landed._raw,
    landed._shared
    {%- for field in shared %},
    landed.{{ field.name | ident }}
    {%- endfor +%}
from run.landed as landed
inner join run.compared as compared
    on
        compared._key = landed._key
        and compared._raw = landed._raw
        and not compared.peer
where landed._group in (select _group from run.differing_product)
{% if incremental %}
union all
select
    true as peer,
    _key,
    _group,
    _raw,
    {{ shared_fingerprint | sql }} as _shared
    {%- for field in shared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.own_peer
where _group in (select _group from run.differing_product)
{% endif %};

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
