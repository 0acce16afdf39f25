{# What Stock2Shop holds of people for a list of keys. #}
select
    {%- for column in columns %}
    {{ column | ident }}{% if not loop.last %},{% endif %}
    {%- endfor +%}
from {{ published | ident }}
where _key in (select unnest($1::varchar[]));
