{# The raw fingerprints of rows that are settled as they stand. Empty when the mapping or the engine changed, so
   that every row is made canonical and compared again. #}
create or replace table run.known as
select
    _raw as raw,
    _key as key,
    _group as product,
    'published' as standing
from {{ published | ident }}
where
    {{ trusted }}
    and _raw is not null
    and _sync_token = {{ sync_token }}
union all
select
    _raw as raw,
    _key as key,
    _group as product,
    _flag as standing
from {{ settled | ident }}
where {{ trusted }};
