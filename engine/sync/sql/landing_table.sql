{# The rows that are new or differ, canonical, each with the violations that are visible in the row alone. `_size` is how
   many bytes it has. #}
create or replace table run.landed (
    _key varchar,
    _group varchar,
    _flag varchar,
    _raw ubigint,
    _fingerprint ubigint,
    _shared ubigint,
    _variable boolean,
    _size bigint,
    _faults struct(column_name varchar, rule varchar, value varchar)[]
    {%- for field in fields %},
    {{ field.name | ident }} {{ types[field.type] | sql }}
    {%- endfor %}
);
