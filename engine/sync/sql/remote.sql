{# What Stock2Shop holds, as far as it can be read: one row a key. #}
create or replace table run.remote as
select
    _key,
    _group,
    _variable,
    _fingerprint
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.landed
where
    _key is not null
    and _group is not null
qualify row_number() over (partition by _key order by _group) = 1;
