{# Everything that is about to be sent is in doubt until it is answered. #}
insert into in_doubt
select
    {{ entity }} as entity,
    _key as key,
    _group as product,
    kind,
    _fingerprint as fingerprint,
    _shared as shared,
    _unclearable as unclearable,
    position
from run.window_rows
where
    position > $after
    and position <= $upto;
