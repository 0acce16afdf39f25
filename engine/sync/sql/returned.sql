{# The keys that this plan creates again after they were removed as gone or flagged, since a moment or in the
   last few runs. #}
select _key
from run.outgoing
where
    kind = 'insert'
    and cause <> 'replaced'
    and _key in (
        select key
        from changes
        where
            entity = {{ entity }}
            and run_id > {{ after_run }}
            and (
                acknowledged_at > {{ since }}::timestamp
                or run_id in (
                    select run_id
                    from runs
                    where
                        entity = {{ entity }}
                        and command = 'run'
                        and outcome <> 'running'
                    order by run_id desc
                    limit {{ runs }}
                )
            )
        group by key
        having arg_max(kind, (run_id, acknowledged_at, kind <> 'delete')) = 'delete'
    )
order by _key;
