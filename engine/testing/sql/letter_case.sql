-- Functions of letters that know of no case but that of a to z: DuckDB finds these before its own of the same names.
-- schema: where they are looked up.
{% set small = "abcdefghijklmnopqrstuvwxyz" %}
create or replace macro {{ schema | ident }}.upper(text) as translate(text, {{ small }}, {{ small | upper }});
create or replace macro {{ schema | ident }}.lower(text) as translate(text, {{ small | upper }}, {{ small }});
