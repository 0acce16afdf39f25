{# Record one receipt: its rows go into the journal of published and into history. #}
insert into {{ acknowledged | ident }} by name
select
    _key,
    _group,
    _variable,
    _fingerprint,
    _raw,
    {{ delivery_key }} as _sync_token,
    $run_id as _run_id,
    $now::timestamp as _acknowledged_at,
    case
        when kind <> 'delete' then 'upsert'
        when cause = 'marked Delete' then 'marked'
        else 'delete'
    end as _kind,
    _own
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor %}
    {%- for name in carried %},
    {{ name | ident }}
    {%- endfor +%}
from run.window_rows
where
    position > $after
    and position <= $upto;

delete from in_doubt
where
    entity = {{ entity }}
    and position > $after
    and position <= $upto;
{% if ends_doubt %}

{# A variant that is removed may have left its product fields with the product: that stays in doubt, with another variant. #}
insert into in_doubt
select
    {{ entity }} as entity,
    other._key as key,
    other._group as product,
    'update' as kind,
    null as fingerprint,
    doubt.shared,
    null as unclearable,
    null as position
from in_doubt as doubt
inner join (
    select
        _group,
        min(_key) as _key
    from {{ published | ident }}
    where
        _group in (select product from in_doubt where entity = {{ entity }})
        and (_key, _group) not in (select (_key, _group) from {{ acknowledged | ident }} where _kind <> 'upsert')
    group by _group
) as other
    on other._group = doubt.product
where
    doubt.entity = {{ entity }}
    and doubt.kind <> 'delete'
    and (doubt.key, doubt.product) in (
        select (_key, _group)
        from run.window_rows
        where
            position > $after
            and position <= $upto
            and kind = 'delete'
    );

{# What an earlier run left in doubt about these keys. #}
delete from in_doubt
where
    entity = {{ entity }}
    and (key, product) in (
        select (_key, _group)
        from run.window_rows
        where
            position > $after
            and position <= $upto
    );

{# What stays in doubt about other variants of these products: the product fields are answered for. #}
update in_doubt
set shared = sent._shared
from (
    select
        _group,
        any_value(_shared) as _shared
    from run.window_rows
    where
        position > $after
        and position <= $upto
        and kind <> 'delete'
    group by _group
) as sent
where
    in_doubt.entity = {{ entity }}
    and in_doubt.product = sent._group
    and in_doubt.kind <> 'delete'
    and in_doubt.position is null;
{% endif %}

insert into changes
with acknowledged_row as (
    {% if "update" in kinds %}
    {# Gathered, not joined: a join leaves handles of its 16 parts in memory, and a long run makes thousands. #}
    select
        any_value(_key) as _key,
        any_value(_group) as _group,
        any_value(kind) as kind,
        case
            when any_value(kind) = 'update'
                then to_json(
                    list([column_name, old, new] order by column_name) filter (where column_name is not null)
                )
        end as columns
    from (
        select
            position,
            _key,
            _group,
            kind,
            null as column_name,
            null as old,
            null as new
        from run.window_rows
        union all
        select
            position,
            null as _key,
            null as _group,
            null as kind,
            column_name,
            old,
            new
        from run.difference
    )
    where
        position > $after
        and position <= $upto
    group by position
    {% else %}
    select
        _key,
        _group,
        kind,
        null as columns
    from run.window_rows
    where
        position > $after
        and position <= $upto
    {% endif %}
)

select
    $run_id as run_id,
    {{ entity }} as entity,
    acknowledged_row.*,
    $status as status,
    $now::timestamp as acknowledged_at
from acknowledged_row;
