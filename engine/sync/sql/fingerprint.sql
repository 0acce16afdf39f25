hash(
    {%- for column in columns %}
    {{ column | ident }}{% if not loop.last %},{% endif %}
    {%- else %}
    null
    {%- endfor %}
)
