{# Where every source row and every key that is gone went. What was dropped while landing is what is known less what
   was not seen; the count of rows as they arrived is taken elsewhere, so that the two can be held together. #}
with seen as (
    select
        count(*) filter (where standing <> 'Ignore') as unchanged,
        count(*) filter (where standing = 'Ignore') as ignored
    from run.seen
),

peers as (
    select count(distinct key) as quarantined
    from run.violation
    where peer
),

bad as (
    select (key, raw) as row_id
    from run.violation
    where not peer
),

landed as (
    select
        count(*) filter (where _flag = 'Ignore') as ignored,
        count(*) filter (
            where _flag is distinct from 'Ignore'
            and (_key is null or (_key, _raw) in (select row_id from bad))
        ) as quarantined
    from run.landed
),

verdicts as (
    select
        count(*) filter (where verdict = 'unchanged') as unchanged,
        count(*) filter (where verdict = 'refused') as refused
    from run.verdict
),

fates as (
    select
        count(*) as gone,
        count(*) filter (where fate = 'deleted') as deleted,
        count(*) filter (where fate = 'kept') as kept,
        count(*) filter (where fate = 'held') as held,
        count(*) filter (where fate = 'refused') as gone_refused
    from run.gone
),

delta as (
    select
        count(*) filter (where kind = 'insert') as inserts,
        count(*) filter (where kind = 'update') as updates,
        count(*) filter (where kind = 'resend') as resends,
        count(*) filter (where kind = 'delete' and cause = 'marked Delete') as marked,
        count(*) filter (where kind = 'delete' and is_published and cause <> 'replaced') as removals,
        count(*) filter (where kind = 'delete' and cause = 'replaced') as replaced
    from run.outgoing
)

select
    seen.unchanged - peers.quarantined + verdicts.unchanged as unchanged,
    seen.ignored + landed.ignored as ignored,
    peers.quarantined + landed.quarantined as quarantined,
    verdicts.refused,
    fates.*,
    delta.*,
    (select count(*) from {{ published | ident }}) as published
from
    seen,
    peers,
    landed,
    verdicts,
    fates,
    delta;
