{# The rows that a data test finds, the first few, with their number. #}
with {{ entity | ident }} as (select * from run.valid_rows), failing as materialized (
{{ test | sql }}
)

select
    *,
    (select count(*) from failing) as _found
from failing
order by all
limit {{ limit }};
