{# Every rule that looks at more than one row, over the rows that differ and the unchanged rows that share a product, a
   SKU, a barcode or a key's spelling with them: no other row can break a rule that it did not break before. #}
create or replace table run.fault (
    key varchar,
    product varchar,
    raw ubigint,
    column_name varchar,
    rule varchar,
    value varchar
);

create or replace view run.matched as
select known.*
from run.known as known
anti join run.unmatched as unmatched
    on
        unmatched.key = known.key
        and unmatched.standing = known.standing;

insert into run.fault
select
    _key,
    _group,
    _raw,
    fault.column_name,
    fault.rule,
    fault.value
from (
    select
        _key,
        _group,
        _raw,
        unnest(_faults) as fault
    from run.landed
    where len(_faults) > 0
);

{% if email_columns %}
{% for column in email_columns %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ column }},
    'malformed_email',
    left({{ column | ident }}, 200)
from run.landed
where
    _flag = 'Active'
    and {{ column | ident }} in (select value from run.malformed_email);
{% endfor %}

{% endif %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ key }},
    'repeated_key',
    _key
from run.landed
where
    _key is not null
    and (
        _key in (
            select _key
            from run.landed
            where _key is not null
            group by _key
            having count(*) > 1
        )
        or _key in (
            select key
            from run.matched
            where key in (select _key from run.landed)
        )
    );

{# The rows that the rules compare; `peer` marks an unchanged row, `_shared` is the fingerprint of all product fields:
   descriptions may be long, and are read only where they differ. #}
create or replace table run.compared as
select
    false as peer,
    _key,
    _group,
    _raw,
    _shared
    {%- for field in compared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.landed
where
    _flag = 'Active'
    and _key is not null
    and _group is not null
    and (_key, _raw) not in (select (key, raw) from run.fault where rule = 'repeated_key');

{% if incremental %}
{# The unchanged rows of which a condition holds. #}
{% macro add_peers() %}
insert into run.peer
select published._key
from {{ published | ident }} as published
anti join run.unmatched as unmatched
    on
        unmatched.key = published._key
        and unmatched.standing = 'published'
where {{ caller() }};
{% endmacro %}
create or replace table run.peer (_key varchar);

{# One column at a time, so that the values of one column are in memory, not of all. #}
{% for column, _, _ in unique %}
{% call add_peers() %}fold({{ column | ident }}) in (select fold({{ column | ident }}) from run.landed){% endcall %}

{% endfor %}
{% if titled %}
{% call add_peers() %}fold(title) in (select fold(title) from run.landed){% endcall %}

{% endif %}
{% if group %}
{# Siblings of a row that left or changed, where any of them was published with the product fields of another variant. #}
{% call add_peers() %}published._group in (
    select _group
    from {{ published | ident }}
    where
        _own is not null
        and _group in (select product from run.unmatched where standing = 'published')
){% endcall %}

{# A product whose variants differ is compared whole, or one of them would count as the lowest code among those that are
   there. #}
{% call add_peers() %}published._group in (
    select _group
    from {{ published | ident }}
    where
        _own is not null
        and _key in (select _key from run.peer)
){% endcall %}
{% endif %}

{# The peers with the product fields of their own, whatever they were sent with. #}
create or replace view run.own_peer as
select * {% if shared %}replace (
    {%- for field in shared %}
    case
        when _own is null then {{ field.name | ident }}
        else json_extract_string(_own, '$[{{ loop.index0 }}]')::{{ types[field.type] | sql }}
    end as {{ field.name | ident }}{% if not loop.last %},{% endif %}
    {%- endfor %}
)
{%- endif %}

from {{ published | ident }}
where _key in (select _key from run.peer);

insert into run.compared
select
    true as peer,
    _key,
    _group,
    _raw,
    {{ shared_fingerprint | sql }} as _shared
    {%- for field in compared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.own_peer;
{% endif %}

{# What must be unique: equal values, and values that differ in nothing but what `fold` takes away. By numbers first, since
   there are hardly ever two; of three spellings the first and the last are named. #}
{% macro find_twins(column, within, repeated) %}
create or replace table run.twin as
select
    {{ within | sql }} as within,
    fold({{ column | ident }}) as folded,
    case
        when min({{ column | ident }}) <> max({{ column | ident }})
            then concat(min({{ column | ident }}), ' | ', max({{ column | ident }}))
    end as spellings
from run.compared
where
    {{ column | ident }} is not null
    and hash({{ within | sql }}, fold({{ column | ident }})) in (
        select hash({{ within | sql }}, fold({{ column | ident }})) as folded
        from run.compared
        where {{ column | ident }} is not null
        group by folded
        having {% if repeated %}count(*) > 1{% else %}min(hash({{ column | ident }})) <> max(hash({{ column | ident }})){% endif +%}
    )
group by
    within,
    folded;
{% endmacro %}

{% for column, repeated, similar in unique %}
{{ find_twins(column, "''", repeated) }}
{% if repeated and repeated != similar %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ names.get(column, column) }},
    {{ repeated }},
    {{ column | ident }}
from run.compared
where {{ column | ident }} in (
    select {{ column | ident }}
    from run.compared
    where fold({{ column | ident }}) in (select folded from run.twin)
    group by {{ column | ident }}
    having count(*) > 1
);
{% endif %}

{# A value that repeats the key is named with the key. #}
insert into run.fault
select
    compared._key,
    compared._group,
    compared._raw,
    {{ names.get(column, column) }},
    {{ similar }},
    coalesce(twin.spellings, compared.{{ column | ident }})
from run.compared as compared
inner join run.twin as twin
    on twin.folded = fold(compared.{{ column | ident }})
where
    {{ ("true" if repeated == similar else "twin.spellings is not null") | sql }}
    {% if column != "_key" %}
    and compared.{{ column | ident }} <> compared._key
    {% endif %};
{% endfor %}

{% if titled %}
{# One title of two products; a title whose variants differ is that of the lowest code, which is sent for all. #}
insert into run.fault
select
    _key,
    _group,
    _raw,
    'title',
    'repeated_title',
    title
from run.compared
where hash(fold(title)) in (
    select hash(fold(title)) as folded
    from run.compared
    where title is not null
    group by folded
    having min(_group) <> max(_group)
);
{% endif %}

{% if group %}
{% for option in options %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ option }},
    'options_missing',
    null
from run.compared
where _group in (
    select _group
    from run.compared
    group by _group
    having
        count({{ option | ident }}) > 0
        and count({{ option | ident }}) < count(*)
);
{% endfor %}

{% for option in options %}
{{ find_twins(option, "_group", "") }}
insert into run.fault
select
    compared._key,
    compared._group,
    compared._raw,
    {{ option }},
    'similar_value',
    twin.spellings
from run.compared as compared
inner join run.twin as twin
    on
        twin.within = compared._group
        and twin.folded = fold(compared.{{ option | ident }})
where twin.spellings is not null;
{% endfor %}

{% if guarded_options %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ options[0] if options else group }},
    'repeated_options',
    concat_ws(' / '{% for option in options %}, {{ option | ident }}{% endfor %}, '')
from run.compared
where _group in (
    select _group
    from (
        select _group
        from run.compared
        group by
            _group
            {%- for option in options %},
            {{ option | ident }}
            {%- endfor %}
        having count(*) > 1
    )
);
{% endif %}
{% endif %}

{# The products whose variants differ in a product field, or were published with those of one variant. #}
create or replace table run.differing_variant as
with differing as (
    select _group
    from run.compared
    group by _group
    having count(distinct _shared) > 1
    {% if incremental %}
    union
    select _group
    from run.own_peer
    where _own is not null
    {% endif %}
)

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
where landed._group in (select _group from differing)
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
where _group in (select _group from differing)
{% endif %};
