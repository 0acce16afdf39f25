select *
from {{ table | ident }}
where _key = {{ key }};
