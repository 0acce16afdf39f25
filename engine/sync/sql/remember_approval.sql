{# The changes of a plan that may be sent though it exceeds a limit, each as a hash of what exactly it is: those of the kinds
   that are approved now, and what is left of those that were before. That a variant goes because its row moved needs
   none: should the row then go as well, somebody must approve that. #}
{% macro changes_of(is_approved) %}
select hash(kind, _key, _group, _fingerprint) as change
from run.outgoing
where
    kind <> 'resend'
    and cause is distinct from 'replaced'
    and case when kind = 'delete' then {{ removals }} else {{ changes }} end = {{ is_approved }}
{%- endmacro %}
delete from approved
where
    entity = {{ entity }}
    and change not in ({{ changes_of(false) }});

insert into approved
select
    {{ entity }} as entity,
    $run_id as run_id,
    change
from ({{ changes_of(true) }});
