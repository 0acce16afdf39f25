{# Replace published by what Stock2Shop holds, as far as it can be read: of every key, or of the keys that differ. The next
   run sends the difference. #}
{% set keys %}
{% if differing_only %}

where _key in (select key from run.drift where kind in ('missing', 'differs'))
{% endif %}
{% endset %}
{% set places %}
select (_key, _group)
    from run.landed
    where
        _key is not null
        and _group is not null
{% endset %}
{% if differing_only %}
{# What may have been removed, and is not held, was removed; of what is not held no value is kept. It stays in doubt: what
   is still on its way to Stock2Shop may arrive. #}
delete from {{ published | ident }}
where
    (_key, _group) in (
        select (key, product)
        from in_doubt
        where
            entity = {{ entity }}
            and kind = 'delete'
    )
    and (_key, _group) not in (
        {{ places | sql }}
    );

update in_doubt
set unclearable = null
where
    entity = {{ entity }}
    and unclearable is not null
    and (key, product) not in (
        {{ places | sql }}
    );

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
    remote._key,
    remote._group,
    _variable,
    _fingerprint,
    null as _raw,
    {{ delivery_key }} as _sync_token,
    {{ run_id }} as _run_id,
    {{ now }}::timestamp as _acknowledged_at
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor %}
    {%- for name in carried %},
    {# A field that left the mapping was not read: what it was sent is still known. #}
    {{ name | ident }}
    {%- endfor +%}
from run.remote as remote
{% if carried %}
left join run.carried as carried
    on
        carried._key = remote._key
        and carried._group = remote._group
{% endif %}
{% if differing_only %}
where remote._key in (select key from run.drift where kind = 'differs')
{% endif %};

{# A key that Stock2Shop holds in another product, too, is removed from there by the next run. #}
insert into in_doubt
select
    {{ entity }} as entity,
    _key as key,
    _group as product,
    'delete' as kind,
    0 as fingerprint,
    null as shared,
    unclearable,
    null as position
from run.elsewhere
where
    _key in (select _key from run.remote)
    and _key in (select _key from {{ published | ident }})
    and (_key, _group) not in (
        select (key, product)
        from in_doubt
        where entity = {{ entity }}
    );
