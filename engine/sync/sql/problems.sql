{# Violations or warnings of this run, by rule and key; a limited number of each rule. #}
select
    key,
    product,
    column_name,
    rule,
    value
from run.{{ table | ident }}
{% if limit is not none %}
qualify row_number() over (partition by rule order by key, column_name, value) <= {{ limit }}
{% endif %}
order by
    rule,
    key,
    column_name,
    value;
