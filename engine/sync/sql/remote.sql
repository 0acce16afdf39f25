{# What Stock2Shop holds, as far as it can be read: one row a key. Where it holds a key in several products, the row is that
   of the product where it should be, and the others are elsewhere. #}
create or replace table run.elsewhere as
select distinct
    _key,
    _group,
    unclearable
from (
    select
        staged._key,
        staged._group,
        {% if unclearable %}
        list_filter(
            [
                {%- for each in unclearable %}
                case when {{ each.staged | sql }} then {{ each.column }} end{% if not loop.last %},{% endif %}
                {%- endfor %}
            ],
            lambda name: name is not null
        )
        {%- else %}
        null::varchar[]
        {%- endif %} as unclearable,
        dense_rank() over (partition by staged._key order by expected._key is null, staged._group) as place
    from run.landed as staged
    left join (
        select distinct
            _key,
            _group
        from {{ reference | sql }}
    ) as expected
        on
            expected._key = staged._key
            and expected._group = staged._group
    where
        staged._group is not null
        and staged._key in (
            select _key
            from run.landed
            where _group is not null
            group by _key
            having min(_group) <> max(_group)
        )
)
where place > 1;

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
    and (_key, _group) not in (select (_key, _group) from run.elsewhere)
qualify row_number() over (partition by _key order by _group) = 1;
