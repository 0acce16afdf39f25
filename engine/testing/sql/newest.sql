-- The newest moment in the fixtures of each schema. What lies in 2100 or later stands for "never ends".
-- columns: the schema, table and column of every date and time.
select schema, max(moment)
from (
    {% for schema, table, column in columns %}
    select {{ schema }} as schema, cast({{ column | ident }} as timestamp) as moment
    from {{ schema | ident }}.{{ table | ident }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)
where moment < '2100-01-01'
group by schema
