{# What became of one key, in words. #}
select
    case verdict
        when 'replace' then 'removed and created again: its product, or the kind of its product, changed'
        when 'refused' then 'refused by Stock2Shop before, and unchanged since'
        else verdict
    end as verdict
from run.verdict
where _key = {{ key }}
union all
select 'quarantined' as verdict
from run.violation
where key = {{ key }}
union all
select 'ignored: the flag says Ignore' as verdict
from run.landed
where
    _key = {{ key }}
    and _flag = 'Ignore'
union all
select 'gone from the source: ' || case fate when 'retained' then 'kept' when 'withheld' then 'held' else fate end as verdict
from run.missing
where _key = {{ key }}
limit 1;
