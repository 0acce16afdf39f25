{# A value that was sent and that a blank does not clear: Stock2Shop would keep the old one. #}
{% macro find_unclearable(column, staged) %}
insert into run.fault
select
    staged._key,
    staged._group,
    staged._raw,
    {{ column }},
    'cannot_be_cleared',
    null
from run.landed as staged
where
    staged._flag = 'Active'
    and not {{ staged | sql }}
    and {{ caller() }}
    and (staged._key, staged._raw) not in (
        select (key, raw)
        from run.fault
        where
            key is not null
            and column_name = {{ column }}
    );
{% endmacro %}
{% for column, staged, sent, _ in unclearable %}
{% call find_unclearable(column, staged) %}exists (
        select 1
        from {{ published | ident }} as sent
        where
            sent._key = staged._key
            and sent._group = staged._group
            and sent._variable = staged._variable
            and {{ sent | sql }}
    )
{%- endcall %}
{% if in_doubt %}
{% call find_unclearable(column, staged) %}(staged._key, staged._group) in (
        select (key, product)
        from in_doubt
        where
            entity = {{ entity }}
            and list_contains(unclearable, {{ column }})
    )
{%- endcall %}
{% endif %}
{% endfor %}
create or replace table run.violation as
select
    fault.*,
    fault.key in (select _key from run.compared where peer) as peer
from run.fault as fault
where fault.rule in ({{ errors }});

create or replace table run.warning as
select fault.*
from run.fault as fault
where
    fault.rule not in ({{ errors }})
    and (fault.key, fault.raw) not in (select (key, raw) from run.violation where key is not null);

{# One row for each violation, however many source rows share it: this is what quarantine records. #}
create or replace table run.violation_summary as
select
    key,
    any_value(product) as product,
    any_value(raw) as raw,
    column_name,
    rule,
    value
from run.violation
group by
    key,
    column_name,
    rule,
    value;

{# As large as what landed, and not needed any more. #}
drop table run.compared;
