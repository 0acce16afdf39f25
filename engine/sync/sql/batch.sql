select
    slice.position,
    slice._key,
    slice._group,
    slice.kind
    {%- for field in fields %},
    {% if field in shared -%}
    case when speaker._group is null then slice.{{ field.name | ident }} else speaker.{{ field.name | ident }} end
    {%- else -%}
    slice.{{ field.name | ident }}
    {%- endif %} as {{ field.name | ident }}
    {%- endfor +%}
from run.slice as slice
left join run.speaker as speaker
    on
        speaker._group = slice._group
        and slice.kind <> 'delete'
where
    slice.position > {{ after }}
    and slice.position <= {{ upto }}
order by slice.position;
