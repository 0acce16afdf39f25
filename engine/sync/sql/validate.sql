{# What a row breaks by itself and by its key, and the rows that the other rules compare: those that differ and the
   unchanged rows that share a product, a SKU, a barcode or a key's spelling with them. No other row can break a rule that
   it did not break before. #}
create or replace table run.fault (
    key varchar,
    product varchar,
    raw ubigint,
    column_name varchar,
    rule varchar,
    value varchar
);

create or replace view run.matched as
select known.*
from run.known as known
anti join run.unmatched as unmatched
    on
        unmatched.key = known.key
        and unmatched.standing = known.standing;

insert into run.fault
select
    _key,
    _group,
    _raw,
    fault.column_name,
    fault.rule,
    fault.value
from (
    select
        _key,
        _group,
        _raw,
        unnest(_faults) as fault
    from run.landed
    where len(_faults) > 0
);

{% if email_columns %}
{% for column in email_columns %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ column }},
    'malformed_email',
    left({{ column | ident }}, 200)
from run.landed
where
    _flag = 'Active'
    and {{ column | ident }} in (select value from run.malformed_email);
{% endfor %}

{% endif %}
insert into run.fault
select
    _key,
    _group,
    _raw,
    {{ key }},
    'repeated_key',
    _key
from run.landed
where
    _key is not null
    and (
        _key in (
            select _key
            from run.landed
            where _key is not null
            group by _key
            having count(*) > 1
        )
        or _key in (
            select key
            from run.matched
            where key in (select _key from run.landed)
        )
    );

{# The rows that the rules compare; `peer` marks an unchanged row, `_shared` is the fingerprint of all product fields:
   descriptions may be long, and are read only where they differ. #}
create or replace table run.compared as
select
    false as peer,
    _key,
    _group,
    _raw,
    _shared
    {%- for field in compared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.landed
where
    _flag = 'Active'
    and _key is not null
    and _group is not null
    and (_key, _raw) not in (select (key, raw) from run.fault where rule = 'repeated_key');

{% if incremental %}
{# The unchanged rows of which a condition holds. #}
{% macro add_peers() %}
insert into run.peer
select published._key
from {{ published | ident }} as published
anti join run.unmatched as unmatched
    on
        unmatched.key = published._key
        and unmatched.standing = 'published'
where {{ caller() }};
{% endmacro %}
{% macro is_alike(column) %}
fold({{ column | ident }}) in (select fold({{ column | ident }}) from run.landed)
{%- endmacro %}
create or replace table run.peer (_key varchar);

{# Of many rows one column at a time, so that the values of one column are in memory, not of all. #}
{% if few %}
{% call add_peers() %}{% for column in alike %}{{ is_alike(column) }}{% if not loop.last %} or {% endif %}{% endfor %}{% endcall %}

{% else %}
{% for column in alike %}
{% call add_peers() %}{{ is_alike(column) }}{% endcall %}

{% endfor %}
{% endif %}
{% if overridden %}
{# A product whose variants were published with the product fields of one of them is compared whole, where one of them left,
   changed, came twice or is compared: or one would count as the lowest code that is not, and what the next lowest says
   would not be sent. #}
{% call add_peers() %}published._group in (
    select _group
    from {{ published | ident }}
    where
        _own is not null
        and (
            _group in (select product from run.unmatched where standing = 'published')
            or _group in (
                select _group
                from {{ published | ident }}
                where
                    _key in (select _key from run.peer)
                    or _key in (select key from run.fault where rule = 'repeated_key')
            )
        )
){% endcall %}
{% endif %}

{# The peers with the product fields of their own, whatever they were sent with. #}
create or replace view run.own_peer as
select * {% if shared %}replace (
    {%- for field in shared %}
    case
        when _own is null then {{ field.name | ident }}
        else json_extract_string(_own, '$[{{ loop.index0 }}]')::{{ types[field.type] | sql }}
    end as {{ field.name | ident }}{% if not loop.last %},{% endif %}
    {%- endfor %}
)
{%- endif %}

from {{ published | ident }}
where _key in (select _key from run.peer);

insert into run.compared
select
    true as peer,
    _key,
    _group,
    _raw,
    {{ shared_fingerprint | sql }} as _shared
    {%- for field in compared %},
    {{ field.name | ident }}
    {%- endfor +%}
from run.own_peer;
{% endif %}
