{# The keys that this plan creates again after they were removed as gone or flagged, since a moment. #}
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
            and acknowledged_at > {{ since }}::timestamp
        group by key
        having arg_max(kind, (acknowledged_at, kind <> 'delete')) = 'delete'
    )
order by _key;
