-- A clock that stands still: DuckDB finds these before its own functions of the same names.
-- schema: where they are looked up; NULL for those of the session.
-- moment: where the clock stands, in UTC.
{% set zoned = ("now", "current_timestamp", "get_current_timestamp", "transaction_timestamp") %}
{% set days = ("today", "current_date") %}
{% set hours = ("localtime", "current_localtime") %}
{% set zoned_hours = ("current_time", "get_current_time") %}
{% for name in zoned + days + hours + zoned_hours + ("localtimestamp", "current_localtimestamp", "age") %}
create or replace {% if schema %}macro {{ schema | ident }}.{% else %}temp macro {% endif %}{{ name | ident }}
{% if name in zoned %}
() as cast({{ moment }} as timestamptz);
{% elif name in days %}
() as cast({{ moment }} as date);
{% elif name in hours %}
() as cast({{ moment }} as time);
{% elif name in zoned_hours %}
() as cast(cast({{ moment }} as timestamptz) as timetz);
{% elif name == "age" %}
(since) as system.main.age(cast(cast({{ moment }} as date) as timestamp), cast(since as timestamp)),
(till, since) as system.main.age(till, since);
{% else %}
() as {{ moment }};
{% endif %}
{% endfor %}
