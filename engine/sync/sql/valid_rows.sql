{# All valid Active rows of an entity, whole and canonical, as data tests see them. Rows that differ have landed; rows
   that did not change were dropped as they arrived, but published holds them whole. #}
create or replace view run.valid_rows as
select
    verdict._key as {{ key | ident }},
    {% if group %}
    verdict._group as {{ group | ident }},
    {% endif %}
    'Active' as {{ flag | ident }}
    {%- for field in fields %},
    landed.{{ field.name | ident }}
    {%- endfor +%}
from run.verdict as verdict
inner join run.landed as landed
    on landed._raw = verdict._raw
where verdict._flag = 'Active'
union all
select
    _key as {{ key | ident }},
    {% if group %}
    _group as {{ group | ident }},
    {% endif %}
    'Active' as {{ flag | ident }}
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from {{ published | ident }}
where
    {{ incremental }}
    and _key not in (select key from run.unmatched where standing = 'published')
    and _key not in (select key from run.violation where peer);
