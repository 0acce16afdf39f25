{# The rows that are new or differ, canonical, each with the faults that show in it alone. Those that are known were
   dropped on their way here. #}
create or replace table run.landed (
    _key varchar,
    _group varchar,
    _flag varchar,
    _raw ubigint,
    _fingerprint ubigint,
    _variable boolean,
    _faults struct(column_name varchar, rule varchar, value varchar)[]
    {%- for field in fields %},
    {{ field.name | ident }} {{ types[field.type] | sql }}
    {%- endfor %}
);

{% if arriving %}
insert into run.landed
with
{% if packed %}
unpacked as (
    select
        _raw,
        packed_values(_packed) as _values
    from incoming
),

differing as (
    select
        {%- for column in columns %}
        packed_value(_values[{{ loop.index }}]) as {{ column | ident }},
        {%- endfor %}
        _raw
    from unpacked
),
{% endif %}

canonical as (
    select
        canonical_code({{ key | ident }}) as _key,
        {% if group %}
        canonical_code({{ group | ident }}) as _group,
        {% else %}
        canonical_code({{ key | ident }}) as _group,
        {% endif %}
        {% if flag in columns %}
        case flag_word({{ flag | ident }})
            {% for word, meaning in active.items() %}
            when {{ word }} then {{ meaning }}
            {% endfor %}
        end as _flag,
        {{ flag | ident }} as _flag_text,
        {% else %}
        'Active' as _flag,
        null as _flag_text,
        {% endif %}
        _raw,
        {% for field in fields %}
        {% if field.name in columns %}
        canonical_{{ field.type | sql }}({{ field.name | ident }}) as {{ field.name | ident }},
        {{ field.name | ident }} as {{ ("_raw_" ~ field.name) | ident }},
        {% else %}
        null::{{ types[field.type] | sql }} as {{ field.name | ident }},
        {% endif %}
        {% endfor %}
        true as _canonical
    from {% if packed %}differing{% else %}incoming{% endif +%}
),

{# An option that has a value has a name too, the view's or the project's. #}
named as (
    select
        * exclude (_canonical)
        {%- if option_names %} replace (
            {%- for name, option, fallback in option_names %}
            case
                when {{ option | ident }} is not null then coalesce({{ name | ident }}, {{ fallback }})
            end as {{ name | ident }}{% if not loop.last %},{% endif %}
            {%- endfor %}
        )
        {%- endif %},
        {% for option in options %}
        {{ option | ident }} is not null or
        {%- endfor %} false as _variable
    from canonical
)

select
    _key,
    _group,
    _flag,
    _raw,
    hash(
        {%- for field in fields %}
        {{ field.name | ident }}{% if not loop.last %},{% endif %}
        {%- else %}
        null
        {%- endfor %}
    ) as _fingerprint,
    _variable,
    case
        when _flag = 'Ignore' then []
        when _key is null then [{'column_name': {{ key }}, 'rule': 'blank_key', 'value': null::varchar}]
        else
            list_filter(
                [
                    {% if group %}
                    case
                        when _group is null then {'column_name': {{ group }}, 'rule': 'blank_field', 'value': null}
                    end,
                    {% endif %}
                    case
                        when _flag is null
                            then {'column_name': {{ flag }}, 'rule': 'unknown_flag', 'value': _flag_text::varchar}
                    end
                    {%- for field in required %},
                    case
                        when _flag = 'Active' and {{ field.name | ident }} is null
                            then {'column_name': {{ field.name }}, 'rule': 'blank_field', 'value': null}
                    end
                    {%- endfor %}
                    {%- for field in fields if field.name in columns %},
                    case
                        when _flag = 'Active'
                            and fault_{{ field.type | sql }}({{ ("_raw_" ~ field.name) | ident }}) is not null
                            then {
                                'column_name': {{ field.name }},
                                'rule': fault_{{ field.type | sql }}({{ ("_raw_" ~ field.name) | ident }}),
                                'value': left({{ ("_raw_" ~ field.name) | ident }}, 200)
                            }
                    end
                    {%- endfor %}
                ],
                lambda fault: fault is not null
            )
    end as _faults
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from named;
{% endif %}
