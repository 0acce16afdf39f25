{# Make every staged row what would be sent of it. Stock2Shop has one value of a product field for all variants of a
   product, so all of them are sent with those of the lowest code among them; a row that has others keeps its own in
   `_own`, as text in the order of the fields. An unchanged row that would now be sent with other values than it was
   published with is staged as well. #}
create or replace table run.speaker as
select
    _group,
    _shared
    {%- for field in shared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.differing_variant
where
    (_key, _raw) not in (select (key, raw) from run.violation where key is not null)
    and not (peer and _key in (select key from run.violation where peer))
qualify row_number() over (partition by _group order by _key) = 1;

{# Inserted and deleted, not updated: an update of long texts holds all of them in memory. #}
insert into run.landed by name
select
    landed._key,
    landed._group,
    landed._flag,
    landed._raw,
    landed._variable,
    landed._size,
    landed._faults,
    to_json([
        {%- for field in shared %}
        landed.{{ field.name | ident }}::varchar{% if not loop.last %},{% endif %}
        {%- endfor %}
    ])::varchar as _own
    {%- for field in fields %},
    {{ ("speaker." if field in shared else "landed.") | sql }}{{ field.name | ident }}
    {%- endfor +%}
from run.landed as landed
inner join run.speaker as speaker
    on speaker._group = landed._group
where
    landed._flag = 'Active'
    and landed._key is not null
    and landed._shared <> speaker._shared
    and (landed._key, landed._raw) not in (select (key, raw) from run.violation where key is not null);

delete from run.landed
where
    _own is null
    and (_key, _raw) in (select (_key, _raw) from run.landed where _own is not null);
{% if incremental %}

create or replace table run.restaged as
select
    published._key,
    published._group,
    differing._shared <> speaker._shared as is_overridden
from (
    select
        _key,
        _group,
        {{ shared_fingerprint | sql }} as _shared
    from {{ published | ident }}
    where
        _key in (select _key from run.differing_variant where peer)
        and _key not in (select key from run.violation where peer)
) as published
inner join run.differing_variant as differing
    on
        differing._key = published._key
        and differing.peer
inner join run.speaker as speaker
    on speaker._group = published._group
where published._shared <> speaker._shared;

insert into run.landed by name
select
    published._key,
    published._group,
    'Active' as _flag,
    published._raw,
    published._variable,
    [] as _faults,
    case
        when restaged.is_overridden
            then to_json([
                {%- for field in shared %}
                differing.{{ field.name | ident }}::varchar{% if not loop.last %},{% endif %}
                {%- endfor %}
            ])::varchar
    end as _own
    {%- for field in fields %},
    {{ ("speaker." if field in shared else "published.") | sql }}{{ field.name | ident }}
    {%- endfor +%}
from run.restaged as restaged
inner join {{ published | ident }} as published
    on published._key = restaged._key
inner join run.differing_variant as differing
    on
        differing._key = restaged._key
        and differing.peer
inner join run.speaker as speaker
    on speaker._group = restaged._group;

insert into run.unmatched
select
    _key as key,
    _group as product,
    'published' as standing
from run.restaged;
{% endif %}

update run.landed
set
    _fingerprint = {{ fingerprint | sql }},
    _shared = {{ shared_fingerprint | sql }}
where _fingerprint is null;
