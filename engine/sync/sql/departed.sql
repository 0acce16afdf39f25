{# For how many published rows Stock2Shop holds a value of these columns. #}
select
    {%- for column in columns %}
    count({{ column | ident }}) as {{ column | ident }}{% if not loop.last %},{% endif %}
    {%- endfor +%}
from {{ published | ident }};
