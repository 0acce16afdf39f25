{# The raw fingerprints of rows that need nothing more as they are. Empty when the mapping or the engine changed, so
   that every row is made canonical and compared again. A published row without a trusted fingerprint is listed with
   a blank one, which no row matches, so that it is compared; so is a row when
   something of its key or of its product is in doubt. #}
{% set doubted %}
{% if in_doubt %}
(
    _key in (select key from in_doubt where entity = {{ entity }})
    or _group in (select product from in_doubt where entity = {{ entity }})
)
{%- else %}
false
{%- endif %}
{% endset %}
create or replace view run.known as
select
    case when _sync_token = {{ delivery_key }} and not {{ doubted }} then _raw end as raw,
    _key as key,
    _group as product,
    'published' as standing
from {{ published | ident }}
where {{ trusted }}
union all
select
    case when not {{ doubted }} then _raw end as raw,
    _key as key,
    _group as product,
    _flag as standing
from {{ settled | ident }}
where {{ trusted }};
