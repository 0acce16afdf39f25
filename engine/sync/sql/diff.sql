{# Staged against published, by keys and fingerprints: columns are compared later and only for the keys that differ. #}

{# The verdict on each valid row that landed. #}
create or replace table run.verdict as
with candidate as (
    select
        landed._key,
        landed._group,
        landed._flag,
        landed._raw,
        landed._variable,
        case when landed._flag = 'Delete' then 0 else landed._fingerprint end as _fingerprint
    from run.landed as landed
    anti join run.violation as violation
        on
            violation.key = landed._key
            and violation.raw = landed._raw
    where
        landed._flag in ('Active', 'Delete')
        and landed._key is not null
)

select
    candidate.*,
    base._group as _old_group,
    base._key is not null as _is_published,
    case
        when (candidate._key, candidate._fingerprint) in (
            select (key, fingerprint)
            from quarantine
            where
                entity = {{ entity }}
                and rule = 'refused'
                and resolved_at is null
        ) then 'refused'
        when candidate._flag = 'Delete' then
            case
                when
                    base._key is null
                    and candidate._key in (select _key from {{ settled | ident }} where _flag = 'Delete')
                    then 'unchanged'
                else 'delete'
            end
        when base._key is null then 'insert'
        when base._group <> candidate._group or base._variable <> candidate._variable then 'replace'
        when base._fingerprint <> candidate._fingerprint then 'update'
        when base._sync_token <> {{ delivery_key }} then 'resend'
        else 'unchanged'
    end as verdict
from candidate
left join run.base as base
    on base._key = candidate._key;

{# A row whose key is blank could be any key that is missing. Those keys are withheld from removal while the row with the
   blank key is in quarantine: a row that cannot be read must never look like a row that was deleted. #}
create or replace table run.withheld_key as
select key
from held
where
    entity = {{ entity }}
    and raw in (
        select raw
        from run.violation
        where rule = 'blank_key'
    )
union
select base._key as key
from run.base as base
where exists (
    select 1
    from run.violation as violation
    where
        violation.rule = 'blank_key'
        and violation.raw not in (
            select raw
            from quarantine
            where
                entity = {{ entity }}
                and rule = 'blank_key'
                and resolved_at is null
        )
);

{# The keys that are missing from the source. Stock2Shop may hold a key that it never acknowledged, when it took a batch
   and the answer was lost: such a key is removed too. #}
create or replace table run.missing as
with base as (
    select
        _key,
        _group,
        true as is_published
    from run.base
    union all
    select
        key as _key,
        product as _group,
        false as is_published
    from tried
    where
        entity = {{ entity }}
        and key not in (
            select _key
            from {{ published | ident }}
            where _key in (select key from tried)
        )
)

select
    base._key,
    base._group,
    base.is_published,
    case
        when {{ missing }} = 'keep' then 'retained'
        when base._key in (select key from run.withheld_key) then 'withheld'
        when
            not base.is_published
            and exists (
                select 1
                from run.violation
                where rule = 'blank_key'
            ) then 'withheld'
        when base._key in (
            select key
            from quarantine
            where
                entity = {{ entity }}
                and rule = 'refused'
                and resolved_at is null
                and fingerprint = 0
        ) then 'refused'
        else 'deleted'
    end as fate
from base
anti join run.landed as landed
    on landed._key = base._key
where base._key not in (
    select key
    from run.matched
    where key in (select _key from base)
);

{# Removals go first, so that a variant that moves to another product leaves the old one before it joins. #}
create or replace table run.outgoing as
with delta as (
    select
        _key,
        coalesce(_old_group, _group) as _group,
        'delete' as kind,
        case when verdict = 'replace' then 'replaced' else 'marked Delete' end as cause,
        _is_published as is_published,
        _raw,
        0::ubigint as _fingerprint
    from run.verdict
    where verdict in ('delete', 'replace')
    union all
    select
        _key,
        _group,
        'delete' as kind,
        'gone from the source' as cause,
        is_published,
        null as _raw,
        0::ubigint as _fingerprint
    from run.missing
    where fate = 'deleted'
    union all
    select
        _key,
        _group,
        case when verdict = 'replace' then 'insert' else verdict end as kind,
        case when verdict = 'replace' then 'replaced' else '' end as cause,
        _is_published as is_published,
        _raw,
        _fingerprint
    from run.verdict
    where verdict in ('insert', 'replace', 'update', 'resend')
)

select
    row_number() over (order by kind <> 'delete', _group, _key) as position,
    *
from delta
order by position;

{# What each update changes, column by column: filled by difference.sql where somebody reads it. #}
create or replace table run.difference (
    position bigint,
    column_name varchar,
    old varchar,
    new varchar
);
