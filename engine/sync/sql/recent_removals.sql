{# How many published rows the runs since a moment removed: at most so many as a run came to send. A variant that moved to
   another product is no loss, also where the run broke off before it was there; nor is a row that was never published.
   Runs up to after_run were forgotten: they were of another account's items.
   What was removed while the clock was far ahead would count for as long as that. #}
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
            and run_id > {{ after_run }}
            and acknowledged_at between {{ since }}::timestamp and {{ until }}::timestamp
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
