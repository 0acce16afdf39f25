{# What project.toml declares of an entity's rows, measured in one pass: two columns a claim, how many and which. #}
select
    count(*) as found
    {%- for column in not_null %},
    count(*) filter ({{ column | ident }} is null) as {{ ("not_null." ~ column) | ident }},
    list({{ key | ident }} order by {{ key | ident }}) filter ({{ column | ident }} is null)
        as {{ ("not_null." ~ column ~ ".keys") | ident }}
    {%- endfor %}
    {%- for column, type, values in accepted_values %},
    {%- set refused %}
    {{ column | ident }} not in (
        {%- for value in values %}canonical_{{ type | sql }}(read_{{ type | sql }}(clean({{ value }}))){% if not loop.last %}, {% endif %}{% endfor -%}
    )
    {%- endset %}
    count(*) filter ({{ refused }}) as {{ ("accepted_values." ~ column) | ident }},
    list({{ key | ident }} order by {{ key | ident }}) filter ({{ refused }})
        as {{ ("accepted_values." ~ column ~ ".keys") | ident }}
    {%- endfor %}
    {%- if fresh is not none %},
    max(try_cast({{ fresh | ident }} as timestamptz))::varchar as newest,
    date_diff('second', max(try_cast({{ fresh | ident }} as timestamptz)), {{ now }}::timestamptz) / 3600.0 as age
    {%- endif +%}
from run.valid_rows;
