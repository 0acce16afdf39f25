{# Columns that are not HTML, the key first. #}
{% set plain = [key] + plain_columns %}
{# Fields whose values can be at fault in more than in what cannot be seen. #}
{% set judged = fields | selectattr("name", "in", columns) | rejectattr("name", "in", only_unclean) | list %}
{# Columns that are read as they arrived, once they are clean. #}
{% set kept_raw = (judged | map(attribute="name") | list) + ([flag] if flag in columns else []) %}
{# Rows that are new or differ, as they arrive, into run.landed: those that are known were dropped on their way here. #}
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

{# One test a row for what cannot be seen, not one a value: hardly any row has it. HTML is tested by itself. #}
joined as (
    select
        *,
        concat({% for column in plain %}{{ column | ident }}{% if not loop.last %}, {% endif %}{% endfor %}) as _text
    from {% if packed %}differing{% else %}incoming{% endif +%}
),

examined as (
    select
        * exclude (_text),
        is_unclean(_text) as _unclean,
        strlen(_text){% for column in html_columns if column in columns %} + coalesce(strlen({{ column | ident }}), 0){% endfor %} as _size
    from joined
),

{# In a list, so that there is one set of regular expressions: for each column one would take longer than a thousand rows. #}
listed as (
    select
        *,
        case
            when _unclean then [{% for column in plain %}{{ column | ident }}{% if not loop.last %}, {% endif %}{% endfor %}]
        end as _raw_values
    from examined
),

sifted as (
    select
        *,
        list_transform(_raw_values, lambda value: clean(value)) as _clean_values,
        list_transform(_raw_values, lambda value: is_unclean(value)) as _unclean_values
    from listed
),

cleaned as (
    select
        _raw,
        _size,
        _unclean,
        _raw_values,
        _unclean_values
        {%- for column in kept_raw %},
        {{ column | ident }} as {{ ("_raw_" ~ column) | ident }}
        {%- endfor %}
        {%- for column in columns %},
        {% if column in html_columns %}
        clean_html({{ column | ident }}) as {{ column | ident }}
        {%- else %}
        case
            when _unclean then _clean_values[{{ plain.index(column) + 1 }}]
            else {{ column | ident }}
        end as {{ column | ident }}
        {%- endif %}
        {%- endfor +%}
    from sifted
),

{# Once for what is canonical and what is at fault. #}
understood as (
    select
        *
        {%- if flag in columns %},
        flag_word({{ flag | ident }}) as _word
        {%- endif %}
        {%- for field in fields if field.name in columns and field.type not in plain_types %},
        read_{{ field.type | sql }}({{ field.name | ident }}) as {{ ("_read_" ~ field.name) | ident }}
        {%- endfor +%}
    from cleaned
),

canonical as (
    select
        canonical_code({{ key | ident }}) as _key,
        canonical_code({{ (group or key) | ident }}) as _group,
        {% if flag in columns %}
        case _word
            {% for word, meaning in active.items() %}
            when {{ word }} then {{ meaning }}
            {% endfor %}
        end as _flag,
        {{ ("_raw_" ~ flag) | ident }} as _flag_text,
        {% else %}
        'Active' as _flag,
        null as _flag_text,
        {% endif %}
        _raw,
        _size,
        _unclean,
        _raw_values,
        _unclean_values,
        {% for field in judged %}
        {{ ("_raw_" ~ field.name) | ident }},
        {% if field.name in html_columns %}
        {{ ("_raw_" ~ field.name) | ident }} <> {{ field.name | ident }} as {{ ("_cleaned_" ~ field.name) | ident }},
        {% endif %}
        {% endfor %}
        {% for field in fields %}
        {% if field.name in columns and field.type in plain_types %}
        canonical_{{ field.type | sql }}({{ field.name | ident }}) as {{ field.name | ident }},
        {% elif field.name in columns %}
        canonical_{{ field.type | sql }}({{ ("_read_" ~ field.name) | ident }}) as {{ field.name | ident }},
        {{ field.name | ident }} as {{ ("_clean_" ~ field.name) | ident }},
        {{ ("_read_" ~ field.name) | ident }},
        {% else %}
        null::{{ types[field.type] | sql }} as {{ field.name | ident }},
        {% endif %}
        {% endfor %}
        true as _canonical
    from understood
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
        {%- for field in judged %},
        case
            when _flag = 'Active'
                then coalesce(
                    {% if field.type not in plain_types %}
                    fault_{{ field.type | sql }}(
                        {{ ("_clean_" ~ field.name) | ident }},
                        {{ ("_read_" ~ field.name) | ident }},
                        {{ field.name | ident }}
                    ),
                    {% endif %}
                    case
                        when {% if field.name in html_columns %}{{ ("_cleaned_" ~ field.name) | ident }}{% else %}_unclean and _unclean_values[{{ plain.index(field.name) + 1 }}]{% endif %}

                            then 'control_characters'
                    end
                    {%- if field.type == "prices" and own_prices %},
                    case
                        when list_bool_or(
                            list_transform(
                                {{ ("_read_" ~ field.name) | ident }},
                                lambda item: false
                                {%- for column, tier in own_prices %}

                                or (
                                    {{ column | ident }} is not null
                                    and {% if tier is none %}not item.named{% else %}item.tier = {{ tier }}{% endif +%}
                                )
                                {%- endfor %}

                            )
                        ) then 'repeated_price'
                        {% for column, tier in own_prices if tier is not none %}
                        when
                            {{ column | ident }} is not null
                            and contains({{ field.name | ident }}, ':')
                            and list_bool_or(
                                list_transform({{ ("_read_" ~ field.name) | ident }}, lambda item: fold(item.tier) = fold({{ tier }}))
                            )
                            then 'similar_value'
                        {% endfor %}
                    end
                    {%- endif %}
                    {%- if field.name in quantities %},
                    case when {{ field.name | ident }} is null then 'blank_quantity' end
                    {%- endif +%}
                )
        end as {{ ("_fault_" ~ field.name) | ident }}
        {%- endfor +%}
    from canonical
)

select
    _key,
    _group,
    _flag,
    _raw,
    {{ fingerprint | sql }} as _fingerprint,
    {{ shared_fingerprint | sql }} as _shared,
    _variable,
    _size,
    case
        when _flag = 'Ignore' then []
        when _key is null then [{'column_name': {{ key }}, 'rule': 'blank_key', 'value': null::varchar}]
        {# The list is made for the few rows that have a fault: for all it would take most of the time and the memory. #}
        when
            not _unclean
            and _flag is not null
            {%- if group %}
            and _group is not null
            {%- endif %}
            {%- for field in required %}
            and (_flag <> 'Active' or {{ field.name | ident }} is not null)
            {%- endfor %}
            {%- for field in judged %}
            and {{ ("_fault_" ~ field.name) | ident }} is null
            {%- endfor %}
            then []
        else list_concat(
            {# In a list as well, so that a column that can only be unclean costs no expression of its own. #}
            case
                when _flag = 'Active' and _unclean
                    then list_transform(
                        list_filter(
                            [{% for column in only_unclean %}{{ plain.index(column) + 1 }}{% if not loop.last %}, {% endif %}{% endfor %}],
                            lambda place: _unclean_values[place]
                        ),
                        lambda place: {
                            'column_name': [{% for column in plain %}{{ column }}{% if not loop.last %}, {% endif %}{% endfor %}][place],
                            'rule': 'control_characters',
                            'value': left(_raw_values[place], 200)
                        }
                    )
            end,
            list_filter(
                [
                    {% if group %}
                    {
                        'column_name': {{ group }},
                        'rule': case when _group is null then 'blank_field' end,
                        'value': null::varchar
                    },
                    {% endif %}
                    {
                        'column_name': {{ flag }},
                        'rule': case when _flag is null then 'unknown_flag' end,
                        'value': _flag_text
                    }
                    {%- for field in required %},
                    {
                        'column_name': {{ field.name }},
                        'rule': case when _flag = 'Active' and {{ field.name | ident }} is null then 'blank_field' end,
                        'value': null
                    }
                    {%- endfor %}
                    {%- for field in judged %},
                    {
                        'column_name': {{ field.name }},
                        'rule': {{ ("_fault_" ~ field.name) | ident }},
                        'value': left({{ ("_raw_" ~ field.name) | ident }}, 200)
                    }
                    {%- endfor %}
                ],
                lambda fault: fault.rule is not null
            )
        )
    end as _faults
    {%- for field in fields %},
    {{ field.name | ident }}
    {%- endfor +%}
from named;
