{# The next window of the delta with its whole rows: a few thousand at a time, so that memory stays flat. #}
create or replace table run.window_rows as
{# Here, and not for each batch: of what is in doubt it takes longer than all the rest. #}
{% if unclearable %}
select
    *,
    {# A variant that leaves its product for another one is published in that one alone from then on: what it may keep in
       the old one where its removal is refused is known from here. #}
    case
        when kind <> 'delete' or _moves_away
            then list_filter(
                [
                    {%- for each in unclearable %}
                    case when {{ each.window_row | sql }} then {{ each.column }} end{% if not loop.last %},{% endif %}
                    {%- endfor %}
                ],
                lambda name: name is not null
            )
    end as _unclearable
from (
{% endif %}
select
    outgoing.position,
    outgoing._key,
    outgoing._group,
    outgoing.kind,
    outgoing.cause,
    outgoing._raw,
    outgoing._fingerprint,
    coalesce(landed._variable, false) as _variable,
    outgoing.is_doubted,
    coalesce(outgoing.kind = 'delete' and outgoing.cause = 'replaced' and landed._group <> outgoing._group, false)
        as _moves_away,
    case when outgoing.kind <> 'delete' then landed._own end as _own,
    case when outgoing.kind <> 'delete' then landed._shared end as _shared
    {%- for field in fields %},
    {% if removes -%}
    {% if loop.first %}{# A row that is flagged Delete may never have been published: then its own values are used. #}{% endif -%}
    case
        when outgoing.kind = 'delete' then coalesce(published.{{ field.name | ident }}, landed.{{ field.name | ident }})
        else landed.{{ field.name | ident }}
    end as {{ field.name | ident }}
    {%- else -%}
    landed.{{ field.name | ident }}
    {%- endif %}
    {%- endfor %}
    {%- for name in carried %},
    {# What was published of a field that left the mapping is still so: nothing is sent for it. A new variant has what its
       product has; where all others leave, the product goes with them, unless the new one was there before. #}
    {% if name in carried_shared -%}
    coalesce(
        published.{{ name | ident }},
        sibling.staying.{{ name | ident }},
        case when outgoing.cause = 'in doubt' then sibling.leaving.{{ name | ident }} end
    ) as {{ name | ident }}
    {%- else -%}
    published.{{ name | ident }}
    {%- endif %}
    {%- endfor %}
    {%- if not unclearable %},
    null::varchar[] as _unclearable
    {%- endif +%}
from run.outgoing as outgoing
left join run.landed as landed
    on landed._raw = outgoing._raw
{# Not where nothing is taken of it: DuckDB would read all of its texts through. #}
{% if removes or carried %}
left join {{ published | ident }} as published
    on
        published._key = outgoing._key
        and outgoing.kind in ('delete'{% if carried %}, 'update', 'resend'{% endif %})
{% endif %}
{% if carried_shared %}
left join (
    select
        _group,
        {% for place, condition in (("leaving", "in"), ("staying", "not in")) %}
        any_value({
            {%- for name in carried_shared %}
            {{ name }}: {{ name | ident }}{% if not loop.last %},{% endif %}
            {%- endfor %}

        }) filter (
            where (_key, _group) {{ condition | sql }} (select (_key, _group) from run.outgoing where kind = 'delete')
        ) as {{ place | sql }}{% if not loop.last %},{% endif +%}
        {% endfor %}
    from {{ published | ident }}
    where
        _group in (
            select _group
            from run.outgoing
            where
                kind = 'insert'
                and position > $after
                and position <= $upto
        )
    group by _group
) as sibling
    on
        sibling._group = outgoing._group
        and outgoing.kind = 'insert'
{% endif %}
where
    outgoing.position > $after
    and outgoing.position <= $upto
{% if unclearable %}
) as window_rows
{%- endif %};
