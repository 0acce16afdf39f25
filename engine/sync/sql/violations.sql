{% if unclearable %}
{# A value that was sent and that a blank does not clear: Stock2Shop would keep the old one. #}
insert into run.fault
select
    _key,
    _group,
    _raw,
    column_name,
    'cannot_be_cleared',
    null
from (
    select
        staged._key,
        staged._group,
        staged._raw,
        unnest(
            list_filter(
                [
                    {%- for column, now, before, _ in unclearable %}
                    case
                        when
                            not {{ now | sql }}
                            and (
                                coalesce({{ before | sql }}, false)
                                {%- if in_doubt %}

                                or (staged._key, staged._group) in (
                                    select (key, product)
                                    from in_doubt
                                    where
                                        entity = {{ entity }}
                                        and list_contains(unclearable, {{ column }})
                                )
                                {%- endif %}

                            )
                            then {{ column }}
                    end{% if not loop.last %},{% endif %}
                    {%- endfor %}

                ],
                lambda name: name is not null
            )
        ) as column_name
    from run.landed as staged
    left join {{ published | ident }} as sent
        on
            sent._key = staged._key
            and sent._group = staged._group
            and sent._variable = staged._variable
    where staged._flag = 'Active'
)
where (_key, _raw, column_name) not in (select (key, raw, column_name) from run.fault where key is not null);

{% endif %}
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
