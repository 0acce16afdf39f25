with {{ entity | ident }} as (select * from run.sound), failing as materialized (
{{ test | sql }}
)

select
    *,
    (select count(*) from failing) as _found
from failing
order by all
limit {{ limit }};
