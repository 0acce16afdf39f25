{# One key's published row. #}
select *
from {{ table | ident }}
where _key = {{ key }};
