{# Where windows of the delta end: of so many rows, and about so many bytes. #}
select max(position) as upto
from (
    select
        outgoing.position,
        (outgoing.position - 1) // {{ rows }} as by_rows,
        sum(coalesce(landed._size, 0)) over (order by outgoing.position) // {{ bytes }} as by_bytes
    from run.outgoing as outgoing
    left join run.landed as landed
        on landed._raw = outgoing._raw
)
group by
    by_rows,
    by_bytes
order by upto;
