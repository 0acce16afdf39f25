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
    outgoing.kind = 'insert'
    and outgoing._key in (select key from tried where entity = {{ entity }}) as is_tried
    {%- for field in fields %},
    {% if loop.first %}{# A row that is flagged Delete may never have been published: then its own values are used. #}{% endif -%}
    case
        when outgoing.kind = 'delete' then coalesce(published.{{ field.name | ident }}, landed.{{ field.name | ident }})
        else landed.{{ field.name | ident }}
    end as {{ field.name | ident }}
    {%- endfor +%}
from run.outgoing as outgoing
left join run.landed as landed
    on landed._raw = outgoing._raw
left join {{ published | ident }} as published
    on
        published._key = outgoing._key
        and outgoing.kind = 'delete'
where
    outgoing.position > {{ after }}
    and outgoing.position <= {{ upto }};
