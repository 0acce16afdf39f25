{# The rows of one batch, as they are sent. #}
select
    position,
    _key,
    _group,
    kind,
    is_doubted
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.window_rows
where
    position > $after
    and position <= $upto
order by position;
