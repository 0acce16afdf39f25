{# Staged against published, by keys and fingerprints: columns are compared later and only for the keys that differ. #}

{# The verdict on each valid row that landed. What is in doubt is sent as it is now, whatever the comparison says; so are
   the other variants of a product that was sent with other product fields, unless they are removed. What was refused is tried again when it is
   other than it was: a removal has no content, so its row is compared. #}
{% set refused %}
from quarantine
where
    entity = {{ entity }}
    and rule = 'refused'
    and resolved_at is null
{% endset %}
{% set refused_removals %}
{{ refused }}    and fingerprint = 0
{% endset %}
{% set doubted_key %}
{% if in_doubt %}
(
    (
        candidate._key in (select key from in_doubt where entity = {{ entity }})
        {# Where a removal was refused, the key waits for another row, or for somebody to have it tried again. #}
        and (
            (candidate._key, candidate._raw) not in (select (key, raw) {{ refused_removals }})
            or candidate._key in (
                select key
                from in_doubt
                where
                    entity = {{ entity }}
                    and (kind <> 'delete' or (key, product) not in (select (key, product) {{ refused_removals }}))
            )
        )
    )
    or (
        candidate._flag = 'Active'
        and coalesce(
            doubted_product.lowest <> candidate._shared or doubted_product.highest <> candidate._shared, false
        )
    )
)
{%- else %}
false
{%- endif %}
{% endset %}
create or replace table run.verdict as
with candidate as (
    select
        landed._key,
        landed._group,
        landed._flag,
        landed._raw,
        landed._variable,
        landed._own,
        landed._shared,
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
    {{ doubted_key | sql }} as _is_doubted,
    coalesce(base._is_unread, false) as _is_unread,
    case
        when (
            candidate._key,
            case when candidate._flag = 'Delete' then coalesce(base._group, candidate._group) else candidate._group end,
            candidate._fingerprint,
            case when candidate._flag = 'Delete' then candidate._raw else 0 end
        ) in (
            select (key, product, fingerprint, case when fingerprint = 0 then raw else 0 end) {{ refused }}
        ) then 'refused'
        when candidate._flag = 'Delete' then
            case
                when
                    base._key is null
                    and not {{ doubted_key | sql }}
                    and candidate._key in (select _key from {{ settled | ident }} where _flag = 'Delete')
                    then 'unchanged'
                else 'delete'
            end
        when base._key is null then 'insert'
        when base._group <> candidate._group or base._variable <> candidate._variable then 'replace'
        when base._fingerprint <> candidate._fingerprint then 'update'
        when base._sync_token <> {{ delivery_key }} or base._is_unread or {{ doubted_key | sql }} then 'resend'
        else 'unchanged'
    end as verdict
from candidate
left join run.base as base
    on base._key = candidate._key
{% if in_doubt %}
left join (
    select
        product,
        min(coalesce(shared, 0)) as lowest,
        max(coalesce(shared, 0)) as highest
    from in_doubt
    where
        entity = {{ entity }}
        and kind <> 'delete'
    group by product
) as doubted_product
    on doubted_product.product = candidate._group
{% endif %};

{# A row whose key is blank could be any key that is missing. Those keys are withheld from removal while the source shows
   that row, whatever its flag: a row that cannot be read must never look like a row that was deleted, and one that is
   ignored is left as it is. Only a row that the run before did not see can have had a key until then. #}
create or replace table run.blank_row as
select distinct _raw as raw
from run.landed
where _key is null;

create or replace table run.withheld_key as
select key
from held
where
    entity = {{ entity }}
    and raw in (select raw from run.blank_row)
union
select base._key as key
from run.base as base
where exists (
    select 1
    from run.blank_row
    where
        raw not in (select raw from held where entity = {{ entity }})
        and raw not in (
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
    {% if in_doubt %}
    union all
    select
        key as _key,
        min(product) as _group,
        false as is_published
    from in_doubt
    where
        entity = {{ entity }}
        and key not in (
            select _key
            from {{ published | ident }}
            where _key in (select key from in_doubt where entity = {{ entity }})
        )
    group by key
    {% endif %}
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
            and exists (from run.blank_row) then 'withheld'
        when (base._key, base._group) in (
            select (key, product) {{ refused_removals }}
                and raw = 0
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
        _is_published or _is_doubted as is_held,
        _is_doubted or verdict = 'replace' as is_doubted,
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
        true as is_held,
        {{ in_doubt }} as is_doubted,
        null as _raw,
        0::ubigint as _fingerprint
    from run.missing
    where fate = 'deleted'
    union all
    select
        _key,
        _group,
        case when verdict = 'replace' then 'insert' else verdict end as kind,
        case
            when verdict = 'replace' then 'replaced'
            when _is_doubted then 'in doubt'
            when _is_unread and verdict = 'resend' then 'newly mapped'
            else ''
        end as cause,
        _is_published or _is_doubted as is_held,
        _is_doubted or verdict = 'replace' as is_doubted,
        _raw,
        _fingerprint
    from run.verdict
    where verdict in ('insert', 'replace', 'update', 'resend')
)
{%- if in_doubt %},

{# A key may be held under another product than the one that it is sent or removed under now, or that Stock2Shop refuses to
   remove it from. #}
leaving as (
    select
        _key,
        _raw
    from delta
    union all
    select
        _key,
        _raw
    from run.verdict
    where
        verdict = 'refused'
        and _flag = 'Delete'
    union all
    select
        _key,
        null as _raw
    from run.missing
    where fate = 'refused'
),

stray as (
    select distinct
        doubt.key as _key,
        doubt.product as _group,
        'delete' as kind,
        'in doubt' as cause,
        true as is_held,
        true as is_doubted,
        leaving._raw,
        0::ubigint as _fingerprint
    from in_doubt as doubt
    inner join leaving
        on leaving._key = doubt.key
    where
        doubt.entity = {{ entity }}
        and (doubt.key, doubt.product) not in (select (_key, _group) from delta)
        and (doubt.key, doubt.product, coalesce(leaving._raw, 0)) not in (
            select (key, product, raw) {{ refused_removals }}
        )
)
{%- endif %}

select
    row_number() over (order by kind <> 'delete', _group, _key) as position,
    *
from (
    from delta
    {% if in_doubt %}
    union all
    from stray
    {% endif %}
)
order by position;

{# What each update changes, column by column: filled by difference.sql where somebody reads it. #}
create or replace table run.difference (
    position bigint,
    column_name varchar,
    old varchar,
    new varchar
);
