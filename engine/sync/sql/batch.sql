{# The rows of one batch as they are sent: where the variants of a product differ in a product field, with the value that
   is sent for all of them. #}
select
    window_rows.position,
    window_rows._key,
    window_rows._group,
    window_rows.kind
    {%- for field in fields %},
    {% if field in shared -%}
    case when speaker._group is null then window_rows.{{ field.name | ident }} else speaker.{{ field.name | ident }} end
    {%- else -%}
    window_rows.{{ field.name | ident }}
    {%- endif %} as {{ field.name | ident }}
    {%- endfor +%}
from run.window_rows as window_rows
left join run.speaker as speaker
    on
        speaker._group = window_rows._group
        and window_rows.kind <> 'delete'
where
    window_rows.position > {{ after }}
    and window_rows.position <= {{ upto }}
order by window_rows.position;
