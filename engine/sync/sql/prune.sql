{# Delete history that is too old, and quarantine entries that were resolved before. #}
delete from changes
where acknowledged_at < {{ before }}::timestamp;

delete from quarantine
where resolved_at < {{ before }}::timestamp;

delete from runs
where started_at < {{ before }}::timestamp;
