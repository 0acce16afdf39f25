{# How much of the delta was approved by an earlier run and was not answered since. #}
select
    count(*) filter (where kind in ('insert', 'update')) as changes,
    count(*) filter (where kind = 'delete' and is_held and cause not in ('replaced', 'in doubt')) as removals
from run.outgoing as outgoing
inner join approved
    on
        approved.entity = {{ entity }}
        and approved.change = hash(outgoing.kind, outgoing._key, outgoing._group, outgoing._fingerprint)
where not exists (
    select 1
    from changes
    where
        changes.entity = {{ entity }}
        and changes.key = outgoing._key
        and changes.kind = outgoing.kind
        and changes.run_id >= approved.run_id
);
