{# Whoever reads this has the state open, so a run that has not ended was killed. #}
select
    run_id,
    entity,
    command,
    started_at,
    round(epoch(finished_at) - epoch(started_at), 1) as seconds,
    case outcome when 'running' then 'broken off' else outcome end as outcome,
    digest,
    counts::varchar as counts,
    message
from runs
order by run_id desc
limit {{ limit }};
