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
        {%- for value in values %}
        {%- set text = "clean_html" if type == "html" else "clean" %}
        {%- set read = "" if type in plain_types else "read_" ~ type -%}
        canonical_{{ type | sql }}({{ read | sql }}({{ text | sql }}({{ value }}))){% if not loop.last %}, {% endif %}
        {%- endfor -%}
    )
    {%- endset %}
    count(*) filter ({{ refused }}) as {{ ("accepted_values." ~ column) | ident }},
    list({{ key | ident }} order by {{ key | ident }}) filter ({{ refused }})
        as {{ ("accepted_values." ~ column ~ ".keys") | ident }}
    {%- endfor %}
    {%- if fresh is not none %},
    max(_time) filter (not _is_future)::varchar as newest,
    date_diff('second', max(_time) filter (not _is_future), {{ now }}::timestamptz) / 3600.0 as age,
    count(*) filter (_is_future) as future,
    max(_time)::varchar as last
    {%- endif +%}
{% if fresh is none %}
from run.valid_rows;
{% else %}
{# A text that ends in a zone is read with it, any other as a time of the project's zone. Clocks may differ by minutes. #}
from (
    select
        *,
        case
            when regexp_matches({{ fresh | ident }}::varchar, '[0-9]\s*(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$')
            and regexp_matches({{ fresh | ident }}::varchar, ':')
                then try_cast({{ fresh | ident }}::varchar as timestamptz)
            else timezone({{ timezone }}, try_cast({{ fresh | ident }}::varchar as timestamp))
        end as _time,
        coalesce(_time > {{ now }}::timestamptz + interval 5 minutes, false) as _is_future
    from run.valid_rows
);
{% endif %}
