{# The source's valid rows as they are sent: what Stock2Shop holds is compared with them. #}
create or replace table run.reference as
select
    landed._key,
    landed._group,
    landed._flag,
    landed._raw
    {%- for field in fields %},
    landed.{{ field.name | ident }}
    {%- endfor +%}
from run.landed as landed
anti join run.violation as violation
    on
        violation.key = landed._key
        and violation.raw = landed._raw
where
    landed._flag in ('Active', 'Delete')
    and landed._key is not null;
