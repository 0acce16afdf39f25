{# Where published and Stock2Shop differ. A blank compares as what is sent for it: a product's blank boolean is left out,
   a customer's is false. #}
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
                        when coalesce(published.{{ field.name | ident }}::varchar, {{ "0" if field.type == "integer" else "false" if field.type == "boolean" and field.role != "variant" else "" }})
                            <> coalesce(remote.{{ field.name | ident }}::varchar, {{ "0" if field.type == "integer" else "false" if field.type == "boolean" and field.role != "variant" else "" }})
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
);

{# Variants that differ in a product field are all sent with the same value: the value of any of them is no difference. #}
{% for field in shared %}
delete from run.drift
using {{ published | ident }} as own, {{ published | ident }} as sibling
where
    drift.kind = 'differs'
    and drift.column_name = {{ field.name }}
    and own._key = drift.key
    and sibling._group = own._group
    and coalesce(sibling.{{ field.name | ident }}::varchar, '') = coalesce(drift.remote, '');

{% endfor %}
