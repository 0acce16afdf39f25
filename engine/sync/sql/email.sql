{# The e-mail addresses in the rows that landed, each once, by a number; and the table of those that are none. #}
create or replace table run.malformed_email (value varchar);

create or replace table run.email as
select
    row_number() over () as position,
    value
from (
    {%- for column in columns %}
    select {{ column | ident }} as value
    from run.landed
    where _flag = 'Active'
    {% if not loop.last %}
    union
    {% endif %}
    {% endfor %}
)
where value is not null
group by value;
