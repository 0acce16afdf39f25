{# The known rows that no arrived row matched: their key is missing from the source, its row changed, or the fingerprint
   was not to be trusted. #}
create or replace table run.unmatched as
select
    key,
    product,
    standing
from run.known
where
    {{ any }}
    and (raw is null or raw in (select raw from run.missing_raw));
