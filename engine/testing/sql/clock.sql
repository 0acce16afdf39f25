-- The clock of the fixtures in a schema stands still: DuckDB finds these before its own functions of the same names.
-- moment: where it stands, in UTC.
{% for name in ("now", "current_timestamp", "get_current_timestamp", "transaction_timestamp") %}
create macro if not exists {{ schema | ident }}.{{ name | ident }}() as cast({{ moment }} as timestamptz);
{% endfor %}
{% for name in ("localtimestamp", "current_localtimestamp") %}
create macro if not exists {{ schema | ident }}.{{ name | ident }}() as {{ moment }};
{% endfor %}
{% for name in ("today", "current_date") %}
create macro if not exists {{ schema | ident }}.{{ name | ident }}() as cast({{ moment }} as date);
{% endfor %}
