{# The rows that data tests see, without any: enough to find what is wrong with a test's SQL. #}
create or replace view run.valid_rows as
select
    {%- for name, type in columns %}
    cast(null as {{ type | sql }}) as {{ name | ident }}
    {%- if not loop.last %},{% endif %}
    {%- endfor +%}
where false;
