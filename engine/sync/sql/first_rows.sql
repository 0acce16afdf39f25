{# The number of the last one of the first $1 rows of a table. #}
select max(number)
from (
    select rowid as number
    from {{ table | ident }}
    order by number
    limit $1
);
