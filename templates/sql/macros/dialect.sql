{#
  What databases write differently, dispatched on the project's dialect.

      {% import "macros/dialect.sql" as sql %}
      select {{ sql.trim(col("item.code")) }} as source_variant_code

  An argument is SQL, not a value: `col("item.code")` names a column, and `{% set amount %}price.amount * 1.15{% endset %}`
  holds any expression. A dialect that a macro does not know is an error, never a guess.
#}

{#- Text without blanks on both sides. -#}
{% macro trim(expression) -%}
{%- if dialect in ("tsql", "access") -%}
ltrim(rtrim({{ expression }}))
{%- else -%}
trim({{ expression }})
{%- endif -%}
{%- endmacro %}

{#- Any value as text. -#}
{% macro cast_text(expression) -%}
{%- if dialect == "tsql" -%}
cast({{ expression }} as nvarchar(4000))
{%- elif dialect == "mysql" -%}
cast({{ expression }} as char)
{%- elif dialect == "oracle" -%}
to_char({{ expression }})
{%- elif dialect in ("postgres", "duckdb", "sqlite", "snowflake", "redshift") -%}
cast({{ expression }} as varchar)
{%- elif dialect in ("hana", "pervasive", "firebird") -%}
cast({{ expression }} as varchar(4000))
{%- else -%}
{{ fail("cast_text does not know the dialect " ~ dialect ~ ".") }}
{%- endif -%}
{%- endmacro %}

{#- A number with `places` decimals; text that is no number is the database's own error. -#}
{% macro cast_number(expression, places=4) -%}
{%- if dialect in ("tsql", "mysql", "postgres", "duckdb", "sqlite", "oracle", "snowflake", "redshift", "hana", "firebird", "pervasive") -%}
cast({{ expression }} as decimal(18, {{ places | int }}))
{%- else -%}
{{ fail("cast_number does not know the dialect " ~ dialect ~ ".") }}
{%- endif -%}
{%- endmacro %}

{#- A whole number. -#}
{% macro cast_int(expression) -%}
{%- if dialect == "mysql" -%}
cast({{ expression }} as signed)
{%- elif dialect == "oracle" -%}
cast({{ expression }} as number(19))
{%- elif dialect in ("tsql", "postgres", "duckdb", "sqlite", "snowflake", "redshift", "hana", "firebird", "pervasive") -%}
cast({{ expression }} as bigint)
{%- else -%}
{{ fail("cast_int does not know the dialect " ~ dialect ~ ".") }}
{%- endif -%}
{%- endmacro %}

{#- Texts one after the other; a NULL among them counts as blank in every dialect. -#}
{% macro concat(parts) -%}
{%- if dialect in ("tsql", "mysql") -%}
concat(
    {%- for part in parts %}coalesce({{ part }}, ''){% if not loop.last %}, {% endif %}{% endfor -%}
    {#- SQL Server's wants two at least. -#}
    {%- if parts | length == 1 %}, ''{% endif -%}
)
{%- elif dialect in ("postgres", "duckdb", "sqlite", "oracle", "snowflake", "redshift", "hana", "firebird") -%}
({% for part in parts %}coalesce({{ part }}, ''){% if not loop.last %} || {% endif %}{% endfor %})
{%- else -%}
{{ fail("concat does not know the dialect " ~ dialect ~ ".") }}
{%- endif -%}
{%- endmacro %}

{#-
  The texts of a group in one, in the order of `order_by`; SQLite and Firebird take them as they come. SQL Server needs
  2017 or newer. MySQL cuts the text at `group_concat_max_len`, 1,024 bytes by default: raise it in project.toml with
  `session = ["set session group_concat_max_len = 1048576"]`.
-#}
{% macro list_agg(expression, order_by, separator=",") -%}
{%- if dialect == "mysql" -%}
group_concat({{ expression }} order by {{ order_by }} separator {{ separator }})
{%- elif dialect in ("postgres", "duckdb", "hana") -%}
string_agg({{ expression }}, {{ separator }} order by {{ order_by }})
{%- elif dialect in ("tsql",) -%}
string_agg(cast({{ expression }} as nvarchar(max)), {{ separator }}) within group (order by {{ order_by }})
{%- elif dialect in ("oracle", "snowflake", "redshift") -%}
listagg({{ expression }}, {{ separator }}) within group (order by {{ order_by }})
{%- elif dialect == "sqlite" -%}
group_concat({{ expression }}, {{ separator }})
{%- elif dialect == "firebird" -%}
list({{ expression }}, {{ separator }})
{%- else -%}
{{ fail("list_agg does not know the dialect " ~ dialect ~ ".") }}
{%- endif -%}
{%- endmacro %}

{#- The database's own time. -#}
{% macro now() -%}
{%- if dialect == "tsql" -%}
sysdatetime()
{%- elif dialect in ("access", "pervasive") -%}
now()
{%- else -%}
current_timestamp
{%- endif -%}
{%- endmacro %}

{#-
  A number as text: with six decimals where the type has them, since SQL Server writes money with two and a float with
  six digits, and with a decimal point, since Oracle writes the one of the login's language.
-#}
{% macro number_text(expression) -%}
{%- if dialect == "oracle" -%}
to_char({{ expression }}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')
{%- else -%}
{{ cast_text(cast_number(expression, 6)) }}
{%- endif -%}
{%- endmacro %}

{#- csv_price_tiers from (name, expression) pairs, as `Trade:80.5,Retail:100`. A price that is NULL leaves its tier out. -#}
{% macro price_tiers(pairs) -%}
{%- set parts = [] -%}
{%- for name, expression in pairs -%}
{%- set part -%}
case when {{ expression }} is not null then {{ concat([quoted_tier(name), number_text(expression), comma()]) }} else {{ blank() }} end
{%- endset -%}
{%- set _ = parts.append(part) -%}
{%- endfor -%}
{{ concat(parts) }}
{%- endmacro %}

{%- macro quoted_tier(name) -%}
{%- if "," in name or ":" in name or '"' in name -%}
{{ '"' ~ name.replace('"', '""') ~ '":' }}
{%- else -%}
{{ name ~ ":" }}
{%- endif -%}
{%- endmacro %}

{%- macro comma() -%}
{{ "," }}
{%- endmacro %}

{%- macro blank() -%}
{{ "" }}
{%- endmacro %}
