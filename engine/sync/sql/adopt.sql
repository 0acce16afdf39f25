delete from {{ published | ident }};

delete from {{ settled | ident }};

delete from tried
where entity = {{ entity }};

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
from run.remote;
