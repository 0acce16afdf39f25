{#
  What databases write differently, dispatched on the project's dialect.

      {% import "macros/dialect.sql" as sql %}
      select {{ sql.trim(col("item.code")) }} as source_variant_code

  What is called SQL below is an expression, not a value: `col("item.code")` names a column, and
  `{% set amount %}price.amount * 1.15{% endset %}` holds anything longer. Where a list of parts is taken, a plain text
  among them is a value and becomes a literal. A dialect that a macro does not know is an error, never a guess.

  Run in the tests on PostgreSQL, MariaDB, SQLite and DuckDB; written for the others from their makers' manuals.
  docs/templates.md lists them all with examples.
#}

{#- The error of a macro that has no SQL for the dialect. -#}
{% macro unknown(name, hint="") -%}
{{ fail(name ~ " does not know the dialect " ~ dialect ~ "." ~ (" " ~ hint if hint else "")) }}
{%- endmacro %}

{#-
  trim: SQL of a text in; the text without blanks on both sides out, NULL for NULL.
  Blanks only: tabs and line breaks stay. SQL Server's own TRIM came with 2017; ltrim and rtrim are older.
-#}
{% macro trim(expression) -%}
{%- if dialect in ("tsql", "access", "pervasive") -%}
ltrim(rtrim({{ expression }}))
{%- elif dialect == "duckdb" -%}
{#- DuckDB's own TRIM takes every white space of Unicode. -#}
trim({{ expression }}, ' ')
{%- else -%}
trim({{ expression }})
{%- endif -%}
{%- endmacro %}

{#-
  concat: a list of SQL and texts in; the texts one after the other out. A NULL among them counts as blank in every
  dialect, so the result is never NULL (Oracle has no blank text: there nothing at all is NULL). Numbers need
  `cast_text` or `number_text` first. CHAR columns bring their padding with them: `trim` them first.
-#}
{% macro concat(parts) -%}
{%- if dialect in ("tsql", "mysql") -%}
concat(
    {%- for part in parts %}{{ or_blank(part) }}{% if not loop.last %}, {% endif %}{% endfor -%}
    {#- SQL Server's wants two at least. -#}
    {%- if parts | length == 1 %}, ''{% endif -%}
)
{%- elif dialect in ("postgres", "duckdb", "sqlite", "oracle", "snowflake", "redshift", "hana", "firebird") -%}
({% for part in parts %}{{ or_blank(part) }}{% if not loop.last %} || {% endif %}{% endfor %})
{%- elif dialect == "pervasive" -%}
({% for part in parts %}{{ or_blank(part) }}{% if not loop.last %} + {% endif %}{% endfor %})
{%- elif dialect == "access" -%}
{#- `&` takes NULL for blank by itself. -#}
({% for part in parts %}{{ part }} & {% endfor %}'')
{%- else -%}
{{ unknown("concat") }}
{%- endif -%}
{%- endmacro %}

{#- SQL may be NULL, a text of the template's cannot. -#}
{% macro or_blank(part) -%}
{%- if part is escaped or part is none -%}
coalesce({{ part }}, '')
{%- else -%}
{{ part }}
{%- endif -%}
{%- endmacro %}

{#-
  first_word, other_words: SQL of a text in; what stands before its first blank, and what stands after it, out. Made for
  a column with a whole name: "Ada van der Example" is Ada, and van der Example. Of one word, other_words is blank.
-#}
{% macro first_word(expression) -%}
{%- set text = trim(expression) -%}
{%- if dialect == "tsql" -%}
left({{ text }}, charindex(' ', concat({{ text }}, ' ')) - 1)
{%- elif dialect == "mysql" -%}
substring_index({{ text }}, ' ', 1)
{%- elif dialect in ("postgres", "duckdb", "snowflake", "redshift") -%}
split_part({{ text }}, ' ', 1)
{%- elif dialect in ("sqlite", "oracle") -%}
substr({{ text }}, 1, instr({{ text }} || ' ', ' ') - 1)
{%- elif dialect == "hana" -%}
substr_before({{ text }} || ' ', ' ')
{%- elif dialect == "firebird" -%}
substring({{ text }} from 1 for position(' ', {{ text }} || ' ') - 1)
{%- elif dialect == "pervasive" -%}
left({{ text }}, locate(' ', {{ text }} + ' ') - 1)
{%- elif dialect == "access" -%}
left({{ text }}, instr({{ text }} & ' ', ' ') - 1)
{%- else -%}
{{ unknown("first_word") }}
{%- endif -%}
{%- endmacro %}

{% macro other_words(expression) -%}
{%- set text = trim(expression) -%}
{%- if dialect == "tsql" -%}
ltrim(substring({{ text }}, charindex(' ', concat({{ text }}, ' ')), 4000))
{%- elif dialect == "mysql" -%}
ltrim(substring({{ text }}, locate(' ', concat({{ text }}, ' '))))
{%- elif dialect == "postgres" -%}
ltrim(substr({{ text }}, strpos({{ text }} || ' ', ' ')))
{%- elif dialect in ("sqlite", "oracle") -%}
ltrim(substr({{ text }}, instr({{ text }} || ' ', ' ')))
{%- elif dialect == "duckdb" -%}
ltrim(substr({{ text }}, instr({{ text }} || ' ', ' ')), ' ')
{%- elif dialect in ("snowflake", "redshift") -%}
ltrim(substr({{ text }}, charindex(' ', {{ text }} || ' ')))
{%- elif dialect == "hana" -%}
trim(substr_after({{ text }} || ' ', ' '))
{%- elif dialect == "firebird" -%}
trim(leading from substring({{ text }} from position(' ', {{ text }} || ' ')))
{%- elif dialect == "pervasive" -%}
ltrim(substring({{ text }}, locate(' ', {{ text }} + ' '), 4000))
{%- elif dialect == "access" -%}
ltrim(mid({{ text }}, instr({{ text }} & ' ', ' ')))
{%- else -%}
{{ unknown("other_words") }}
{%- endif -%}
{%- endmacro %}

{#-
  first_email: SQL of a text in; the first of several e-mail addresses out. They may be parted by semicolons, commas,
  slashes or blanks: "ada@example.com; ben@example.com" is ada@example.com.
-#}
{% macro first_email(expression) -%}
{%- set separated -%}
replace(replace(replace({{ expression }}, ';', ' '), ',', ' '), '/', ' ')
{%- endset -%}
{{ first_word(separated) }}
{%- endmacro %}

{#- coalesce: SQL and what stands in for it where it is NULL (SQL, or a value) in; the first that is not NULL out. -#}
{% macro coalesce(expression, otherwise) -%}
{%- if dialect == "access" -%}
iif({{ expression }} is null, {{ otherwise }}, {{ expression }})
{%- else -%}
coalesce({{ expression }}, {{ otherwise }})
{%- endif -%}
{%- endmacro %}

{#- choose: SQL of a condition, and two of SQL or values in; the first where it holds, else the second out. -#}
{% macro choose(condition, yes, no) -%}
{%- if dialect == "access" -%}
iif({{ condition }}, {{ yes }}, {{ no }})
{%- else -%}
case when {{ condition }} then {{ yes }}{% if no is not none %} else {{ no }}{% endif %} end
{%- endif -%}
{%- endmacro %}

{#- cast_text: SQL of any type in; its text out. For a number see `number_text`. -#}
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
{%- elif dialect == "access" -%}
({{ expression }} & '')
{%- else -%}
{{ unknown("cast_text") }}
{%- endif -%}
{%- endmacro %}

{#- cast_number: SQL in; a number with `places` decimals out. Text that is no number is the database's own error. -#}
{% macro cast_number(expression, places=4) -%}
{%- if dialect in ("tsql", "mysql", "postgres", "duckdb", "oracle", "snowflake", "redshift", "hana", "firebird", "pervasive") -%}
cast({{ expression }} as decimal(18, {{ places | int }}))
{%- elif dialect == "sqlite" -%}
{#- SQLite's decimal keeps whole numbers as integers, and 7/2 of those is 3. -#}
round(cast({{ expression }} as real), {{ places | int }})
{%- elif dialect == "access" -%}
round(cdbl({{ expression }}), {{ places | int }})
{%- else -%}
{{ unknown("cast_number") }}
{%- endif -%}
{%- endmacro %}

{#-
  cast_int: SQL in; a whole number out. A fraction is rounded by some databases and cut by others; `try_int` rounds down
  in all of them.
-#}
{% macro cast_int(expression) -%}
{%- if dialect == "mysql" -%}
cast({{ expression }} as signed)
{%- elif dialect == "oracle" -%}
cast({{ expression }} as number(19))
{%- elif dialect in ("tsql", "postgres", "duckdb", "sqlite", "snowflake", "redshift", "hana", "firebird", "pervasive") -%}
cast({{ expression }} as bigint)
{%- elif dialect == "access" -%}
clng({{ expression }})
{%- else -%}
{{ unknown("cast_int") }}
{%- endif -%}
{%- endmacro %}

{#-
  try_number: SQL of a text in; the number with `places` decimals (0 to 6) that it says out, or NULL where it says none.
  A number is, between blanks, an optional minus, 1 to 12 digits, and a point with digits, if any: "12.50", "-3", but
  not "1e5", "1,234", "R12" or "". So a comma decimal becomes NULL, never a hundredfold price.
  SQL Server needs 2012 or newer and reads a little more: "+5", ".5", 14 digits. Access takes whatever Windows calls a
  number. Pervasive has no such thing: there it is an error, since a CAST in its place stops the whole view.
-#}
{% macro try_number(expression, places=4) -%}
{%- set text = trim(cast_text(expression)) -%}
{%- if dialect == "tsql" -%}
try_cast(nullif({{ text }}, '') as decimal(18, {{ places | int }}))
{%- elif dialect == "mysql" -%}
case when {{ text }} regexp '^-?[0-9]{1,12}([.][0-9]+)?$' then {{ cast_number(text, places) }} end
{%- elif dialect in ("postgres", "redshift") -%}
case when {{ text }} ~ '^-?[0-9]{1,12}([.][0-9]+)?$' then {{ cast_number(text, places) }} end
{%- elif dialect == "duckdb" -%}
case when regexp_full_match({{ text }}, '-?[0-9]{1,12}([.][0-9]+)?') then {{ cast_number(text, places) }} end
{%- elif dialect == "sqlite" -%}
{#- SQLite has no regular expressions: the same, said with GLOB. -#}
case
    when {{ text }} glob '[-0-9]*[0-9]' or {{ text }} glob '[0-9]' then
        case
            when substr({{ text }}, 2) not glob '*[^0-9.]*' and {{ text }} not glob '*.*.*' and {{ text }} not glob '-.*'
                and instr({{ text }} || '.', '.') <= 13 + ({{ text }} glob '-*')
            then round(cast({{ text }} as numeric), {{ places | int }})
        end
end
{%- elif dialect == "oracle" -%}
case when regexp_like({{ text }}, '^-?[0-9]{1,12}([.][0-9]{1,19})?$') then round(to_number({{ text }}, '999999999999D9999999999999999999', 'NLS_NUMERIC_CHARACTERS=''.,'''), {{ places | int }}) end
{%- elif dialect == "snowflake" -%}
try_to_decimal({{ text }}, 18, {{ places | int }})
{%- elif dialect == "hana" -%}
case when occurrences_regexpr('^-?[0-9]{1,12}([.][0-9]+)?$' in {{ text }}) > 0 then {{ cast_number(text, places) }} end
{%- elif dialect == "firebird" -%}
case when {{ text }} similar to '(#-)?[0-9]{1,12}(.[0-9]+)?' escape '#' then {{ cast_number(text, places) }} end
{%- elif dialect == "access" -%}
iif(isnumeric({{ expression }}), {{ cast_number(expression, places) }}, null)
{%- else -%}
{{ unknown("try_number", "Name the bad rows in the view's WHERE, and use cast_number.") }}
{%- endif -%}
{%- endmacro %}

{#- try_int: as `try_number`; the number is rounded down, as quantities are when they are staged. -#}
{% macro try_int(expression) -%}
{%- set number = try_number(expression, 4) -%}
{%- if dialect == "sqlite" -%}
{#- FLOOR is not in every build of SQLite. -#}
(cast({{ number }} as integer) - ({{ number }} < cast({{ number }} as integer)))
{%- elif dialect == "access" -%}
int({{ number }})
{%- else -%}
{{ cast_int(floor(number)) }}
{%- endif -%}
{%- endmacro %}

{% macro floor(expression) -%}
floor({{ expression }})
{%- endmacro %}

{#-
  number_text: SQL of a number in; its text out, with a decimal point. With six decimals where the type has them, since
  SQL Server writes money with two and a float with six digits; Oracle would write the decimal mark of the login's
  language, and Access that of Windows: it has no cure for that.
-#}
{% macro number_text(expression) -%}
{%- if dialect == "oracle" -%}
to_char({{ expression }}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')
{%- else -%}
{{ cast_text(cast_number(expression, 6)) }}
{%- endif -%}
{%- endmacro %}

{#-
  list_agg: an aggregate. SQL of a text, SQL to order by, and a separator in; the texts of the group in one out, without
  those that are NULL; NULL where there is none.
  - SQL Server: STRING_AGG came with 2017. With an older one, said by `sqlserver_version = 2016` under [vars], this is
    an error: use `list_of`, which writes FOR XML PATH there.
  - MySQL cuts the text at group_concat_max_len, 1,024 bytes by default; the engine sets it to its highest when it
    connects.
  - SQLite before 3.44 and Firebird take the texts as they come; `order_by` is not written there.
  - Oracle takes a blank text for NULL, and refuses more than 4,000 bytes; Firebird more than 8,000 letters.
  - Access and Pervasive have nothing of the kind.
-#}
{% macro list_agg(expression, order_by, separator=",") -%}
{%- if dialect == "tsql" and not string_agg_known() -%}
{{ fail("SQL Server before 2017 has no STRING_AGG. Use list_of: it writes FOR XML PATH there.") }}
{%- elif dialect == "mysql" -%}
group_concat({{ expression }} order by {{ order_by }} separator {{ separator }})
{%- elif dialect in ("postgres", "duckdb", "hana") -%}
string_agg({{ expression }}, {{ separator }} order by {{ order_by }})
{%- elif dialect == "tsql" -%}
string_agg(cast({{ expression }} as nvarchar(max)), {{ separator }}) within group (order by {{ order_by }})
{%- elif dialect in ("oracle", "snowflake", "redshift") -%}
listagg({{ expression }}, {{ separator }}) within group (order by {{ order_by }})
{%- elif dialect == "sqlite" -%}
group_concat({{ expression }}, {{ separator }})
{%- elif dialect == "firebird" -%}
cast(list({{ expression }}, {{ separator }}) as varchar(8000))
{%- else -%}
{{ unknown("list_agg") }}
{%- endif -%}
{%- endmacro %}

{#-
  list_of: a subquery in brackets. As `list_agg`, with the rows to take as SQL, which is what stands after FROM:

      {% set lines %}tag where tag.code = item.code{% endset %}
      {{ sql.list_of(col("tag.name"), lines, col("tag.name")) }} as tags

  SQL Server before 2017 joins them as XML and reads the text back out of it, so that & and < stay what they are; a
  control character in the texts is its error 6841. SQLite takes the rows in order here, though its manual does not
  promise it.
-#}
{% macro list_of(expression, source, order_by, separator=",") -%}
{%- if dialect == "tsql" and not string_agg_known() -%}
stuff((select {{ separator }} + cast({{ expression }} as nvarchar(max)) from {{ source }} order by {{ order_by }} for xml path(''), type).value('.', 'nvarchar(max)'), 1, {{ separator | length }}, '')
{%- elif dialect == "sqlite" -%}
(select group_concat(listed, {{ separator }}) from (select {{ expression }} as listed from {{ source }} order by {{ order_by }}))
{%- else -%}
(select {{ list_agg(expression, order_by, separator) }} from {{ source }})
{%- endif -%}
{%- endmacro %}

{#- Whether the SQL Server of the project knows STRING_AGG: `sqlserver_version` under [vars] is its year. -#}
{% macro string_agg_known() -%}
{%- if vars.sqlserver_version | default(2017) | int >= 2017 %}yes{% endif -%}
{%- endmacro %}

{#-
  top, limit: a number of rows in. One of the two writes it, so a view holds both, each in its place:

      select {{ sql.top(100) }} item.code … from item order by item.code {{ sql.limit(100) }}
-#}
{% macro top(rows) -%}
{%- if dialect in ("tsql", "access", "pervasive") -%}
top {{ whole(rows) }}
{%- endif -%}
{%- endmacro %}

{% macro limit(rows) -%}
{%- if dialect in ("tsql", "access", "pervasive") -%}
{%- elif dialect == "oracle" -%}
fetch first {{ whole(rows) }} rows only
{%- elif dialect == "firebird" -%}
{#- FETCH FIRST came with Firebird 3. -#}
rows {{ whole(rows) }}
{%- elif dialect in ("mysql", "postgres", "duckdb", "sqlite", "snowflake", "redshift", "hana") -%}
limit {{ whole(rows) }}
{%- else -%}
{{ unknown("limit") }}
{%- endif -%}
{%- endmacro %}

{#-
  whole: a value in; the same as a whole number out, or an error that says what it is. The keys of a table in
  project.toml are texts: `price_lists = { 1 = "Trade" }` has the key "1".
-#}
{% macro whole(value) -%}
{%- if value | int(-1) == -1 -%}
{{ fail(value ~ " is not a whole number.") }}
{%- endif -%}
{{ value | int }}
{%- endmacro %}

{#- now, today: the database's own time and date; SQLite's are UTC. -#}
{% macro now() -%}
{%- if dialect == "tsql" -%}
sysdatetime()
{%- elif dialect in ("access", "pervasive") -%}
now()
{%- elif dialect == "oracle" -%}
systimestamp
{%- else -%}
current_timestamp
{%- endif -%}
{%- endmacro %}

{% macro today() -%}
{%- if dialect == "tsql" -%}
cast(sysdatetime() as date)
{%- elif dialect == "access" -%}
date()
{%- elif dialect == "pervasive" -%}
curdate()
{%- elif dialect == "oracle" -%}
trunc(sysdate)
{%- else -%}
current_date
{%- endif -%}
{%- endmacro %}

{#-
  price_tiers: csv_price_tiers from (name, SQL of a price) pairs, as `Trade:80.5,Retail:100,`; with `default`, the SQL
  of the default price, as `100,Trade:80.5,`. The comma at the end does no harm. A price that is NULL leaves its tier
  out; where all are, the text is blank. A name with a comma, a colon or a double quote is written in double quotes, its
  own doubled; a blank name is an error. For prices in rows instead of columns see `tier`.
-#}
{% macro price_tiers(pairs, default=none) -%}
{%- set parts = [] -%}
{%- if default is not none -%}
{%- set _ = parts.append(choose(given(default), concat([number_text(default), ","]), none)) -%}
{%- endif -%}
{%- for name, expression in pairs -%}
{%- set _ = parts.append(choose(given(expression), concat([quoted_tier(name), number_text(expression), ","]), none)) -%}
{%- endfor -%}
{{ concat(parts) }}
{%- endmacro %}

{#-
  tier: SQL of a tier's name and of its price in; one item of csv_price_tiers out, or NULL where the price is NULL. The
  name is quoted by the database where it must be. With `list_of`, all price lists of an item in one column, by the
  names that the database has for them:

      {% set lists %}price join price_list on price_list.id = price.list_id where price.code = item.code{% endset %}
      {{ sql.list_of(sql.tier(col("price_list.name"), col("price.amount")), lists, col("price_list.name")) }}
-#}
{% macro tier(name, price) -%}
{{ choose(given(price), concat([tier_name(name), ":", number_text(price)]), none) }}
{%- endmacro %}

{% macro tier_name(name) -%}
{%- set odd %}{{ name }} like '%,%' or {{ name }} like '%:%' or {{ name }} like '%"%'{% endset -%}
{%- set doubled %}replace({{ name }}, '"', '""'){% endset -%}
{{ choose(odd, concat(['"', doubled, '"']), name) }}
{%- endmacro %}

{%- macro quoted_tier(name) -%}
{%- if not name | trim -%}
{{ fail("A price tier has a blank name.") }}
{%- elif "," in name or ":" in name or '"' in name -%}
{{ '"' ~ name.replace('"', '""') ~ '":' }}
{%- else -%}
{{ name ~ ":" }}
{%- endif -%}
{%- endmacro %}

{%- macro given(expression) -%}
{{ expression }} is not null
{%- endmacro %}

{%- macro comma() -%}
{{ "," }}
{%- endmacro %}

{#- available: SQL of what is on hand and of what is on sales orders in; the difference out, NULL counting as nothing. -#}
{% macro available(on_hand, on_orders) -%}
({{ coalesce(on_hand, 0) }} - {{ coalesce(on_orders, 0) }})
{%- endmacro %}

{#-
  warehouse_qty: an aggregate. SQL of a quantity, SQL of the warehouse's code, and codes (one, a list, or a table's
  keys) in; the sum over those warehouses out, 0 where there is none. CHAR codes are compared as the database does,
  which mostly means without their padding.
-#}
{% macro warehouse_qty(quantity, warehouse, codes) -%}
{%- set inside %}{{ warehouse }} in ({{ codes if codes is string else codes | list }}){% endset -%}
{%- set sum %}sum({{ choose(inside, quantity, none) }}){% endset -%}
{{ coalesce(sum, 0) }}
{%- endmacro %}

{#- total: an aggregate. SQL of a quantity in; its sum out, 0 where there is none. -#}
{% macro total(quantity) -%}
{%- set sum %}sum({{ quantity }}){% endset -%}
{{ coalesce(sum, 0) }}
{%- endmacro %}

{#-
  warehouse_columns: as `warehouse_qty`, one column a warehouse, each with a comma after it: `… as "qty_JHB", `.
  `warehouses` is a list of codes, or a table of Stock2Shop's name by code: { 01 = "Johannesburg" }.
-#}
{% macro warehouse_columns(quantity, warehouse, warehouses) -%}
{%- for code in warehouses -%}
{{ warehouse_qty(quantity, warehouse, [code]) }} as {{ ("qty_" ~ (warehouses[code] if warehouses is mapping else code)) | ident }},
{% endfor -%}
{%- endmacro %}
