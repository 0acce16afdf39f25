{# What each update changes, column by column. #}
create or replace table run.difference as
select
    _key,
    difference.column_name,
    difference.old,
    difference.new
from (
    select
        delta._key,
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
    from run.delta as delta
    inner join {{ published | ident }} as old
        on old._key = delta._key
    inner join run.landed as new
        on new._raw = delta._raw
    where delta.kind = 'update'
);
