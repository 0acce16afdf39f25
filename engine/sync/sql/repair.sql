{# Published says again what Stock2Shop really holds, for the keys that drifted: the next run sends the difference. #}
delete from {{ published | ident }}
where _key in (select key from run.drift where kind in ('missing', 'differs'));

delete from {{ settled | ident }}
where _key in (select key from run.drift where kind in ('missing', 'differs'));

insert into {{ published | ident }} by name
select
    _key,
    _group,
    _variable,
    _fingerprint,
    null as _raw,
    {{ stamp }} as _sync_token,
    {{ run_id }} as _run_id,
    {{ now }}::timestamp as _acknowledged_at
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.remote
where _key in (select key from run.drift where kind = 'differs');
