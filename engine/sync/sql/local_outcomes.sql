{# Persist what needs no reply from Stock2Shop: rows that need nothing more, the quarantine, refreshed fingerprints. #}
{% if not incremental %}
delete from {{ settled | ident }};

update {{ published | ident }}
set _raw = null
where _raw is not null;
{% endif %}

{% if not current %}
update {{ published | ident }}
set _fingerprint = {{ fingerprint | sql }};
{% endif %}

{% if "has_settled" in facts %}
delete from {{ settled | ident }}
where
    (_key, _flag) in (select (key, standing) from run.unmatched)
    or _key in (select _key from run.landed);
{% endif %}

{% if "has_ignored" in facts %}
insert into {{ settled | ident }}
select
    _key,
    any_value(_group) as _group,
    any_value(_raw) as _raw,
    'Ignore' as _flag
from run.landed
where
    _key is not null
    {# One whose code another row has as well must arrive again, or the next run would not see the two together. #}
    and _key not in (select key from run.violation where key is not null)
group by _key
having
    count(*) = 1
    and any_value(_flag) = 'Ignore';
{% endif %}

{% if "has_unchanged" in facts %}
insert into {{ settled | ident }}
select
    _key,
    _group,
    _raw,
    'Delete' as _flag
from run.verdict
where
    verdict = 'unchanged'
    and _flag = 'Delete';

{# A part at a time: an update holds whatever it joins. Fingerprints are evenly spread. #}
{% for part in range(parts) %}
update {{ published | ident }}
set
    {% if "has_quarantine" in facts %}
    {# Where a refused variant spoke for it, it is compared again, see refused_speakers.sql. #}
    _raw = case
        when
            verdict._own is null
            or verdict._group not in (
                select product
                from quarantine
                where
                    entity = {{ entity }}
                    and rule = 'refused'
                    and fingerprint <> 0
                    and resolved_at is null
                    and product is not null
            )
            then verdict._raw
    end,
    {% else %}
    _raw = verdict._raw,
    {% endif %}
    _own = verdict._own
from run.verdict as verdict
where
    verdict.verdict = 'unchanged'
    and verdict._flag = 'Active'
    and verdict._raw % {{ parts }} = {{ part }}
    and verdict._key = {{ published | ident }}._key;
{% endfor %}
{% endif %}

{% if "has_violations" in facts and "has_quarantine" in facts %}
update quarantine
set
    last_seen_at = $now::timestamp,
    raw = fault.raw,
    product = fault.product
from run.violation_summary as fault
where
    quarantine.entity = {{ entity }}
    and quarantine.resolved_at is null
    and quarantine.rule = fault.rule
    and quarantine.column_name = fault.column_name
    and quarantine.key is not distinct from fault.key
    and quarantine.value is not distinct from fault.value;
{% endif %}

{% if "has_quarantine" in facts %}
update quarantine
set resolved_at = $now::timestamp
where
    entity = {{ entity }}
    and resolved_at is null
    and rule <> 'refused'
    and last_seen_at < $now::timestamp;
{% endif %}

{% if "has_violations" in facts %}
insert into quarantine
select
    {{ entity }} as entity,
    fault.key,
    fault.product,
    fault.raw,
    null as fingerprint,
    fault.column_name,
    fault.rule,
    fault.value,
    '' as reason,
    $now::timestamp as first_seen_at,
    $now::timestamp as last_seen_at,
    null as resolved_at
from run.violation_summary as fault
where not exists (
    select 1
    from quarantine
    where
        quarantine.entity = {{ entity }}
        and quarantine.resolved_at is null
        and quarantine.rule = fault.rule
        and quarantine.column_name = fault.column_name
        and quarantine.key is not distinct from fault.key
        and quarantine.value is not distinct from fault.value
);
{% endif %}

{% if "has_quarantine" in facts %}
update quarantine
set resolved_at = $now::timestamp
where
    entity = {{ entity }}
    and resolved_at is null
    and rule = 'refused'
    and (key, product, fingerprint) not in (
        select (_key, case when _flag = 'Delete' then coalesce(_old_group, _group) else _group end, _fingerprint)
        from run.verdict
        where verdict = 'refused'
        union all
        select (_key, _group, 0::ubigint)
        from run.missing
        where fate = 'refused'
    )
    and (
        fingerprint <> 0
        or (key, product, raw) not in (
            select (doubt.key, doubt.product, coalesce(verdict._raw, 0))
            from in_doubt as doubt
            left join run.verdict as verdict
                on verdict._key = doubt.key
            where doubt.entity = {{ entity }}
        )
    );
{% endif %}

{% if "has_withheld" in facts %}
delete from held
where entity = {{ entity }};
{% endif %}

{% if "has_blank_rows" in facts %}
insert into held
select
    {{ entity }} as entity,
    missing._key as key,
    blank_row.raw,
    $now::timestamp as since
from run.missing as missing
cross join run.blank_row as blank_row
where missing.fate = 'withheld';

{# Ignored rows without a key stand in no quarantine: that they were seen is remembered under a key that none can have. #}
insert into held
select
    {{ entity }} as entity,
    '' as key,
    raw,
    $now::timestamp as since
from run.blank_row;
{% endif %}
