{# The published rows that may differ, as keys and fingerprints. #}
create or replace table run.base as
select
    _key,
    _group,
    _variable,
    _sync_token,
    {{ fingerprint | sql }} as _fingerprint,
    {# Of some field that is mapped nobody knows what Stock2Shop holds. #}
    _run_id < {{ first_run }} as _is_unread
from {{ published | ident }}
{% if incremental %}
where _key in (select key from run.unmatched where standing = 'published')
{% endif %};
