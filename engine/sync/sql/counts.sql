{# What became of every source row and of every key that is missing. Rows that were dropped while landing are the known
   rows that matched. The rows are counted as they arrive as well, elsewhere, so that the two numbers can be compared. #}
with matched as (
    select
        count(*) filter (where standing <> 'Ignore') as unchanged,
        count(*) filter (where standing = 'Ignore') as ignored
    from run.matched
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
        count(*) as missing,
        count(*) filter (where fate = 'deleted') as deleted,
        count(*) filter (where fate = 'retained') as retained,
        count(*) filter (where fate = 'withheld') as withheld,
        count(*) filter (where fate = 'refused') as missing_refused
    from run.missing
),

delta as (
    select
        count(*) filter (where kind = 'insert') as inserts,
        count(*) filter (where kind = 'update') as updates,
        count(*) filter (where kind = 'resend') as resends,
        count(*) filter (where kind = 'delete' and cause = 'marked Delete') as flagged_delete,
        count(*) filter (where kind = 'delete' and is_held and cause not in ('replaced', 'in doubt')) as removals,
        count(*) filter (where kind = 'delete' and cause = 'replaced') as replaced,
        count(*) filter (where kind = 'delete' and cause = 'in doubt') as strays
    from run.outgoing
)

select
    matched.unchanged - peers.quarantined + verdicts.unchanged as unchanged,
    matched.ignored + landed.ignored as ignored,
    peers.quarantined + landed.quarantined as quarantined,
    verdicts.refused,
    fates.*,
    delta.*,
    {% if in_doubt %}
    {# Removals from a product that a key has left. #}
    (
        select count(*)
        from quarantine
        where
            entity = {{ entity }}
            and rule = 'refused'
            and resolved_at is null
            and fingerprint = 0
            and (key, product) in (select (key, product) from in_doubt where entity = {{ entity }})
            and (key, product) not in (select (_key, _group) from run.outgoing)
            and (key, product) not in (select (_key, _group) from run.missing)
    )
    {%- else %}
    0
    {%- endif %} as strays_refused,
    (select count(*) from {{ published | ident }})
    {%- if in_doubt %}

    + (
        select count(distinct key)
        from in_doubt
        where
            entity = {{ entity }}
            and key not in (
                select _key
                from {{ published | ident }}
                where _key in (select key from in_doubt where entity = {{ entity }})
            )
    )
    {%- endif %} as published
from
    matched,
    peers,
    landed,
    verdicts,
    fates,
    delta;
