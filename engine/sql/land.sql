{# One pass over the source. A row whose raw fingerprint is known is what it was when it was last settled: it is
   counted and dropped here, before it is cast or written. What remains are the rows that are new or differ, whole
   and canonical, and the known rows that the source no longer shows: of those only `_known`, the row of `run.known`
   that they are, so that what is held in memory while the source streams past is two numbers a row. #}
create or replace table run.landed (
    _key varchar,
    _group varchar,
    _flag varchar,
    _known bigint,
    _raw ubigint,
    _fingerprint ubigint,
    _variable boolean,
    _faults struct(column_name varchar, rule varchar, value varchar)[]
    {%- for field in fields %},
    {{ field.name | ident }} {{ types[field.type] | sql }}
    {%- endfor %}
);

insert into run.landed
with
read as (
    select
        *,
        hash(
            {%- for column in (["_packed"] if packed else columns) %}
            {{ column | ident }}{% if not loop.last %},{% endif %}
            {%- endfor %}
        ) as _raw
    from incoming
),

{% if packed %}arrived{% else %}differing{% endif %} as (
    select
        read.*,
        known.position as _known
    from read
    full join (
        select
            raw,
            rowid as position
        from run.known
    ) as known
        on known.raw = read._raw
    where
        read._raw is null
        or known.position is null
),

{% if packed %}
unpacked as (
    select
        * exclude (_packed),
        packed_values(_packed) as _values
    from arrived
),

differing as (
    select
        {%- for column in columns %}
        packed_value(_values[{{ loop.index }}]) as {{ column | ident }},
        {%- endfor %}
        _raw,
        _known
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
        case
            when _known is null then
                case flag_word({{ flag | ident }})
                    {% for word, meaning in active.items() %}
                    when {{ word }} then {{ meaning }}
                    {% endfor %}
                end
        end as _flag,
        case when _known is null then {{ flag | ident }} end as _flag_text,
        {% else %}
        'Active' as _flag,
        null as _flag_text,
        {% endif %}
        _known,
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
    from differing
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
    _known,
    _raw,
    case
        when _known is null then
            hash(
                {%- for field in fields %}
                {{ field.name | ident }}{% if not loop.last %},{% endif %}
                {%- else %}
                null
                {%- endfor %}
            )
    end as _fingerprint,
    _variable,
    case
        when _known is not null or _flag = 'Ignore' then []
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
