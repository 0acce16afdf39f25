{# The changes of a plan that may be sent though it exceeds a limit, each as a hash of what exactly it is. That a variant
   goes because its row moved needs none: should the row then go as well, somebody must approve that. #}
delete from approved
where entity = {{ entity }};

insert into approved
select
    {{ entity }} as entity,
    $run_id as run_id,
    hash(kind, _key, _group, _fingerprint) as change
from run.outgoing
where
    kind <> 'resend'
    and cause is distinct from 'replaced';
