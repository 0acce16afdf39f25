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
)

select
    (select unchanged from seen)
    - (select quarantined from peers)
    + (select count(*) from run.verdict where verdict = 'unchanged') as unchanged,
    (select count(*) from run.delta where kind = 'insert') as inserts,
    (select count(*) from run.delta where kind = 'update') as updates,
    (select count(*) from run.delta where kind = 'resend') as resends,
    (select count(*) from run.delta where kind = 'delete' and cause = 'marked Delete') as marked,
    (select ignored from seen) + (select count(*) from run.changed where _flag = 'Ignore') as ignored,
    (select quarantined from peers) + (
        select count(*)
        from run.changed
        where
            _flag is distinct from 'Ignore'
            and (
                _key is null
                or (_key, _raw) in (select row_id from bad)
            )
    ) as quarantined,
    (select count(*) from run.verdict where verdict = 'refused') as refused,
    (select count(*) from run.gone) as gone,
    (select count(*) from run.gone where fate = 'deleted') as deleted,
    (select count(*) from run.gone where fate = 'kept') as kept,
    (select count(*) from run.gone where fate = 'held') as held,
    (select count(*) from run.gone where fate = 'refused') as gone_refused,
    (select count(*) from run.delta where kind = 'delete' and is_published and cause <> 'replaced') as removals,
    (select count(*) from run.delta where kind = 'delete' and cause = 'replaced') as replaced,
    (select count(*) from {{ published | ident }}) as published;
