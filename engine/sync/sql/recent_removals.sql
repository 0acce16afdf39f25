{# How many published rows the runs since a moment removed. A run that was killed kept no count of its own: then all of
   its removals are counted, also of rows that were never published. A variant that moved to another product is no loss. #}
with removed as (
    select
        run_id,
        count(*) as rows
    from (
        select
            run_id,
            key
        from changes
        where
            entity = {{ entity }}
            and acknowledged_at > {{ since }}::timestamp
        group by
            run_id,
            key
        having
            count(*) filter (where kind = 'delete') > 0
            and count(*) filter (where kind <> 'delete') = 0
    )
    group by run_id
)

select coalesce(sum(least(removed.rows, coalesce((runs.counts ->> 'removals')::bigint, removed.rows))), 0)
from removed
inner join runs
    on runs.run_id = removed.run_id;
