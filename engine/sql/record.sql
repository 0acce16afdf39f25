{# What one receipt acknowledges: into the journal of published, and into history. #}
insert into {{ acknowledged | ident }} by name
select
    _key,
    _group,
    _variable,
    _fingerprint,
    _raw,
    {{ stamp }} as _sync_token,
    {{ run_id }} as _run_id,
    {{ now }}::timestamp as _acknowledged_at,
    case
        when kind <> 'delete' then 'upsert'
        when cause = 'marked Delete' then 'marked'
        else 'delete'
    end as _kind
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.slice
where
    position > {{ after }}
    and position <= {{ upto }};
{% if "delete" in kinds %}

delete from tried
where
    entity = {{ entity }}
    and key in (select _key from run.slice where position > {{ after }} and position <= {{ upto }});
{% endif %}

insert into changes
select
    {{ run_id }} as run_id,
    {{ entity }} as entity,
    slice._key,
    slice._group,
    slice.kind,
    {% if "update" in kinds %}
    case
        when slice.kind = 'update' then (
            select
                to_json(
                    list(
                        [difference.column_name, difference.old, difference.new] order by difference.column_name
                    )
                )
            from run.difference as difference
            where difference.position = slice.position
        )
    end as columns,
    {% else %}
    null as columns,
    {% endif %}
    {{ status }} as status,
    {{ now }}::timestamp as acknowledged_at
from run.slice as slice
where
    slice.position > {{ after }}
    and slice.position <= {{ upto }};
