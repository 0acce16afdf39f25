{# How much of the delta was approved by an earlier run and was not answered since. #}
select
    count(*) filter (where kind in ('insert', 'update')) as changes,
    count(*) filter (where kind = 'delete' and is_held and cause not in ('replaced', 'in doubt')) as removals
from run.outgoing
where
    hash(kind, _key, _group, _fingerprint) in (select change from approved where entity = {{ entity }})
    and (_key, kind) not in (
        select (key, kind)
        from changes
        where
            entity = {{ entity }}
            and run_id >= (select min(run_id) from approved where entity = {{ entity }})
    );
