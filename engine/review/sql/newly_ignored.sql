{# How many keys the first mapping published and the other one ignores by their flag. #}
select count(distinct _key)
from run.landed
where
    _flag = 'Ignore'
    and _key in (select _key from {{ published | ident }});
