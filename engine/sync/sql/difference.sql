{# What each update changes, column by column, and with `replaced` what is removed and created again: a few thousand rows at a time, since a join of more whole rows than DuckDB
   may hold in memory fails. #}
insert into run.difference
select
    position,
    difference.column_name,
    difference.old,
    difference.new
from (
    select
        outgoing.position,
        unnest(
            list_filter(
                [
                    {%- for field in fields %}
                    case
                        when old.{{ field.name | ident }} is distinct from new.{{ field.name | ident }}
                            then {
                                'column_name': {{ field.name }},
                                {% for side in ("old", "new") %}
                                {% if field.type == "number" %}
                                '{{ side | sql }}': rtrim(rtrim({{ side | sql }}.{{ field.name | ident }}::varchar, '0'), '.')
                                {%- elif field.type in ("text", "html") %}
                                '{{ side | sql }}': cut({{ side | sql }}.{{ field.name | ident }})
                                {%- else %}
                                '{{ side | sql }}': {{ side | sql }}.{{ field.name | ident }}::varchar
                                {%- endif %}{% if not loop.last %},{% endif +%}
                                {% endfor %}
                            }
                    end{% if not loop.last %},{% endif %}
                    {%- endfor %}
                ],
                lambda difference: difference is not null
            )
        ) as difference
    from run.outgoing as outgoing
    inner join {{ published | ident }} as old
        on old._key = outgoing._key
    inner join run.landed as new
        on new._raw = outgoing._raw
    where
        {% if replaced %}
        (outgoing.kind = 'update' or (outgoing.kind = 'insert' and outgoing.cause = 'replaced'))
        {%- else %}
        outgoing.kind = 'update'
        {%- endif %}

        and outgoing.position > $after
        and outgoing.position <= $upto
);
