{# What is published, as it is compared. #}
create or replace table run.base as
select
    _key,
    _group,
    _variable,
    _sync_token,
    {{ fingerprint | sql }} as _fingerprint
from {{ published | ident }}
{% if fast %}
where _key in (select key from run.unseen where standing = 'published')
{% endif %};
