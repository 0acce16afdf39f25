{# Where published and Stock2Shop differ; what is held is staged with the published values wherever it agrees with what is
   sent for them. What was sent and not answered is in doubt: Stock2Shop may hold what was sent or what is published, and
   the key is this project's in either case. With a variant, the fields of its product are in doubt. #}
create or replace table run.drift as
select
    published._key as key,
    'missing' as kind,
    '' as column_name,
    null::varchar as published,
    null::varchar as remote
from {{ published | ident }} as published
anti join run.remote as remote
    on remote._key = published._key
where (published._key, published._group) not in (
    select (key, product)
    from in_doubt
    where
        entity = {{ entity }}
        and kind = 'delete'
)
union all
select
    remote._key as key,
    'unknown' as kind,
    '' as column_name,
    null as published,
    null as remote
from run.remote as remote
anti join {{ published | ident }} as published
    on published._key = remote._key
where (remote._key, remote._group) not in (
    select (key, product)
    from in_doubt
    where entity = {{ entity }}
)
union all
{# A key that is in another product, too. #}
select
    elsewhere._key as key,
    'differs' as kind,
    'product' as column_name,
    published._group as published,
    elsewhere._group as remote
from run.elsewhere as elsewhere
inner join {{ published | ident }} as published
    on published._key = elsewhere._key
where (elsewhere._key, elsewhere._group) not in (
    select (key, product)
    from in_doubt
    where entity = {{ entity }}
)
union all
select
    key,
    'differs' as kind,
    difference.column_name,
    difference.published,
    difference.remote
from (
    select
        published._key as key,
        unnest(
            list_filter(
                [
                    case
                        when published._group <> remote._group
                            then {
                                'column_name': 'product',
                                'published': published._group,
                                'remote': remote._group
                            }
                    end
                    {%- for field in fields %},
                    case
                        when
                            published.{{ field.name | ident }} is distinct from remote.{{ field.name | ident }}
                            {% if field.name in first_runs %}
                            {# Before, it was neither sent nor read. #}
                            and published._run_id >= {{ first_runs[field.name] }}
                            {% endif %}
                            {% if field in shared %}
                            and published._group not in (
                                select product
                                from in_doubt
                                where
                                    entity = {{ entity }}
                                    and kind <> 'delete'
                            )
                            {% endif %}
                            then {
                                'column_name': {{ field.name }},
                                'published': published.{{ field.name | ident }}::varchar,
                                'remote': remote.{{ field.name | ident }}::varchar
                            }
                    end
                    {%- endfor %}
                ],
                lambda difference: difference is not null
            )
        ) as difference
    from {{ published | ident }} as published
    inner join run.remote as remote
        on remote._key = published._key
    where published._key not in (
        select key
        from in_doubt
        where
            entity = {{ entity }}
            and kind <> 'delete'
    )
);
{% if carried %}

{# What is known of fields that left the mapping, of the keys that differ. #}
create or replace table run.carried as
select
    _key,
    _group
    {%- for name in carried %},
    {{ name | ident }}
    {%- endfor +%}
from {{ published | ident }}
where _key in (select key from run.drift where kind = 'differs');
{% endif %}
