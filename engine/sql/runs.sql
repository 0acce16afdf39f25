select
    run_id,
    entity,
    command,
    started_at,
    round(epoch(finished_at) - epoch(started_at), 1) as seconds,
    outcome,
    digest,
    counts::varchar as counts,
    message
from runs
order by run_id desc
limit {{ limit }};
