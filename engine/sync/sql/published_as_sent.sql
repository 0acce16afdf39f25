{# What a state of an older version has to say otherwise: it has the own values of every variant as published, but what
   was sent of a product field was the value of the lowest code. The own values are kept in `_own`. #}
create or replace table run.overridden as
with published as (
    select
        *,
        {{ shared_fingerprint | sql }} as _shared
    from {{ published | ident }}
),

speaker as (
    select *
    from published
    where
        _group in (
            select _group
            from published
            group by _group
            having count(distinct _shared) > 1
        )
    qualify row_number() over (partition by _group order by _key) = 1
)

select
    own.* exclude (_shared) replace (
        {%- for field in shared %}
        speaker.{{ field.name | ident }} as {{ field.name | ident }}{% if not loop.last %},{% endif %}
        {%- endfor %}

    ),
    to_json([
        {%- for field in shared %}
        own.{{ field.name | ident }}::varchar{% if not loop.last %},{% endif %}
        {%- endfor %}
    ])::varchar as _own
from published as own
inner join speaker
    on
        speaker._group = own._group
        and speaker._shared <> own._shared;
