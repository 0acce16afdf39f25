{# The rules that look at more than one row, over run.compared: those that may be broken, see engine/sync/suspects.py. #}
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

{% for column, repeated, similar in rules.unique %}
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

{% if rules.titled %}
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

{% for option in rules.missing %}
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

{% for option in rules.similar %}
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

{% if rules.repeated_options %}
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

{% if differing %}
{# The products whose variants differ in a product field, or were published with those of one variant. #}
create or replace table run.differing_product as
select _group
from run.compared
group by _group
having count(distinct _shared) > 1
{% if overridden %}
union
select _group
from run.own_peer
where _own is not null
{% endif %};
{% endif %}
