{# The known rows where nothing differs and none is missing: what became of them, and how many keys are published. #}
select
    count(*) filter (where standing <> 'Ignore') as unchanged,
    count(*) filter (where standing = 'Ignore') as ignored,
    count(*) filter (where standing = 'published') as published
from run.known;
