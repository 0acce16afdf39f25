{# How many rows are flagged Ignore that Stock2Shop acknowledged before. #}
select count(*)
from {{ published | ident }}
where _key in (
    select _key
    from run.landed
    where
        _flag = 'Ignore'
        and _key is not null
    union all
    select key
    from run.matched
    where standing = 'Ignore'
);
