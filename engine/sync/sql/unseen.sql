{# The known rows that the source no longer shows, among them those that are not trusted and so are compared. #}
create or replace table run.unseen as
select
    key,
    product,
    standing
from run.known
where
    {{ any }}
    and (raw is null or raw in (select raw from run.absent));
