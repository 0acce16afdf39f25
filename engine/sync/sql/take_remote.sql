{# Replace published by what Stock2Shop holds, as far as it can be read: of every key, or of the keys that differ. The next
   run sends the difference. #}
{% set keys %}
{% if differing_only %}

where _key in (select key from run.drift where kind in ('missing', 'differs'))
{% endif %}
{% endset %}
{% if differing_only %}
{# Where a variant is gone, what the other ones were sent with may have been its own: they are compared again. #}
update {{ published | ident }}
set _raw = null
where
    _own is not null
    and _group in (select _group from {{ published | ident }}{{ keys | sql }});

{% endif %}
delete from {{ published | ident }}{{ keys | sql }};

delete from {{ settled | ident }}{{ keys | sql }};
{% if not differing_only %}

delete from in_doubt
where entity = {{ entity }};

{# A row whose key is blank may be any key that was not published before: all of them count as not seen until now. #}
delete from held
where entity = {{ entity }};

update quarantine
set raw = 0
where
    entity = {{ entity }}
    and rule = 'blank_key'
    and resolved_at is null;

{# What is flagged Delete and not held is removed already. #}
insert into {{ settled | ident }}
select
    _key,
    any_value(_group) as _group,
    any_value(_raw) as _raw,
    'Delete' as _flag
from run.reference
where _key not in (select _key from run.remote)
group by _key
having
    count(*) = 1
    and any_value(_flag) = 'Delete';
{% endif %}

insert into {{ published | ident }} by name
select
    _key,
    _group,
    _variable,
    _fingerprint,
    null as _raw,
    {{ delivery_key }} as _sync_token,
    {{ run_id }} as _run_id,
    {{ now }}::timestamp as _acknowledged_at
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.remote
{% if differing_only %}
where _key in (select key from run.drift where kind = 'differs')
{% endif %};
