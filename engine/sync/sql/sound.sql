{# All rows of an entity that are sound and Active, whole and canonical, as data tests see them. Rows that differ have
   landed; those that are unchanged were dropped as they arrived, but published holds them whole. #}
create or replace view run.sound as
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
    {{ fast }}
    and _key not in (select key from run.unseen where standing = 'published')
    and _key not in (select key from run.violation where peer);
