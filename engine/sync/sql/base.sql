{# The published rows that may differ, as keys and fingerprints. #}
create or replace table run.base as
select
    _key,
    _group,
    _variable,
    _sync_token,
    {{ fingerprint | sql }} as _fingerprint
from {{ published | ident }}
{% if incremental %}
where _key in (select key from run.unmatched where standing = 'published')
{% endif %};
