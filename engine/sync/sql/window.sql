{# The next window of the delta with its whole rows: a few thousand at a time, so that memory stays flat. #}
create or replace table run.window_rows as
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
    case when outgoing.kind <> 'delete' then landed._own end as _own,
    case when outgoing.kind <> 'delete' then landed._shared end as _shared
    {%- for field in fields %},
    {% if loop.first %}{# A row that is flagged Delete may never have been published: then its own values are used. #}{% endif -%}
    case
        when outgoing.kind = 'delete' then coalesce(published.{{ field.name | ident }}, landed.{{ field.name | ident }})
        else landed.{{ field.name | ident }}
    end as {{ field.name | ident }}
    {%- endfor %}
    {%- for name in carried %},
    {# What was published of a field that left the mapping is still so: nothing is sent for it. #}
    published.{{ name | ident }}
    {%- endfor +%}
from run.outgoing as outgoing
left join run.landed as landed
    on landed._raw = outgoing._raw
left join {{ published | ident }} as published
    on
        published._key = outgoing._key
        and outgoing.kind in ('delete'{% if carried %}, 'update', 'resend'{% endif %})
where
    outgoing.position > $after
    and outgoing.position <= $upto;
