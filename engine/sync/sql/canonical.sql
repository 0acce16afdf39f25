-- The canonical form of every type of the contract, as macros. Two values that mean the same are the same after
-- these, whatever database, driver or reader they came through. `clean` takes from the raw text what cannot be seen,
-- `read_…` reads the clean text, `canonical_…` makes the canonical form of what was read, and `fault_…` names the rule
-- that the value breaks, or null. DuckDB writes a
-- macro's argument out wherever it stands, and binds it and computes it there: so each is given columns, not calls.

-- The values of a row that arrives packed.
create or replace temp macro packed_values(row_text) as string_split(row_text, {{ separator }});

create or replace temp macro packed_value(item) as nullif(item, {{ null_mark }});

-- Numbers keep ten decimals: more than any price list has, and few enough to swallow the noise of a float. DuckDB
-- itself would take 1_000 for a number.
create or replace temp macro as_number(x) as case
    when not contains(x, '_') then try_cast(trim(x) as decimal(38, 10))
end;

create or replace temp macro number_text(n) as regexp_replace(n::varchar, '\.?0+$', '');

create or replace temp macro is_blank(x) as trim(coalesce(x, '')) = '';

-- What a value loses of what cannot be seen, whatever its type; engine/characters.py says what that is. Nothing but the
-- first test is computed where there is nothing to lose.
create or replace temp macro is_unclean(x) as regexp_matches(x, {{ classes.unclean }});

create or replace temp macro without_invisible(x) as regexp_replace(
    regexp_replace(regexp_replace(x, {{ classes.invisible }}, '', 'g'), {{ classes.stray_shaping }}, '\1', 'g'),
    {{ classes.stray_joiners }},
    '\1',
    'g'
);

create or replace temp macro clean(x) as case
    when is_unclean(x) then without_invisible(regexp_replace(x, {{ classes.line_breaks }}, ' ', 'g'))
    else x
end;

-- HTML may have lines.
create or replace temp macro clean_html(x) as case
    when regexp_matches(x, {{ classes.unclean_html }})
        then without_invisible(regexp_replace(x, {{ classes.line_breaks_in_html }}, ' ', 'g'))
    else x
end;

-- The form in which texts are compared that must be unique, of a text that is clean and has no blank at its end.
create or replace temp macro fold(x) as case
    when strlen(x) = length(x) and not starts_with(x, ' ') and not contains(x, '  ') then lower(x)
    else trim(
        regexp_replace(
            lower(
                upper(
                    translate(
                        nfc_normalize(regexp_replace(x, {{ classes.shaping }}, '', 'g')),
                        {{ wide_letters[0] }},
                        {{ wide_letters[1] }}
                    )
                )
            ),
            {{ classes.blanks }},
            ' ',
            'g'
        )
    )
end;

-- A long text as a plan and history keep it: its beginning, how long it is, and what tells it from another.
create or replace temp macro cut(x) as case
    when length(x) > 1000 then concat(left(x, 1000), '… (', length(x), ' characters, ', left(md5(x), 8), ')')
    else x
end;

-- From here on `x` is clean.
create or replace temp macro read_tags(x) as x;

create or replace temp macro read_number(x) as as_number(x);

create or replace temp macro read_integer(x) as as_number(x);

create or replace temp macro canonical_text(clean) as nullif(rtrim(clean), '');

-- Not trimmed where it ends with a tag: DuckDB walks through a text from its beginning for that.
create or replace temp macro canonical_html(clean) as case
    when ends_with(clean, '>') then clean
    when regexp_matches(clean, '[^\p{Zs}\t\r\n]') then rtrim(clean)
end;

create or replace temp macro canonical_code(clean) as nullif(trim(clean), '');

create or replace temp macro canonical_url(clean) as canonical_code(clean);

create or replace temp macro canonical_email(clean) as canonical_code(clean);

create or replace temp macro canonical_number(n) as n;

create or replace temp macro canonical_integer(n) as try_cast(case when n < 0 then 0 else floor(n) end as bigint);

-- A word as the vocabularies know it: without case, trimmed, 1.00 as 1.
create or replace temp macro flag_word(x) as regexp_replace(
    lower(upper(trim(coalesce(x, '')))), '^(-?[0-9]+)\.0+$', '\1'
);

create or replace temp macro read_boolean(x) as flag_word(x);

create or replace temp macro canonical_boolean(word) as case
    when word in ('true', 't', 'yes', 'y', 'on', '1', '-1') then true
    when word in ('false', 'f', 'no', 'n', 'off', '0') then false
end;

create or replace temp macro canonical_tags(clean) as list_aggregate(
    list_sort(
        list_distinct(
            list_filter(list_transform(string_split(clean, ','), lambda tag: trim(tag)), lambda tag: tag <> '')
        )
    ),
    'string_agg',
    ','
);

-- Prices: a bare number is the default price; otherwise CSV of tier:price, a tier in quotes where it has a comma.
create or replace temp macro read_prices(x) as list_filter(
    list_transform(
        regexp_extract_all(x, '(?:"(?:[^"]|"")*"|[^,"])+'),
        lambda item: {
            'tier': trim(
                replace(
                    regexp_replace(trim(regexp_extract(item, '^(.*):[^:]*$', 1)), '^"(.*)"$', '\1'), '""', '"'
                )
            ),
            'named': contains(item, ':'),
            'text': trim(regexp_extract(item, '([^:]*)$', 1)),
            'price': as_number(regexp_extract(item, '([^:]*)$', 1))
        }
    ),
    lambda item: item.named or item.text <> ''
);

create or replace temp macro tier_text(tier) as case
    when regexp_matches(tier, '[,":]') then '"' || replace(tier, '"', '""') || '"'
    else tier
end;

create or replace temp macro canonical_prices(items) as list_aggregate(
    list_concat(
        list_transform(list_filter(items, lambda item: not item.named), lambda item: number_text(item.price)),
        list_sort(
            list_transform(
                list_filter(items, lambda item: item.named),
                lambda item: tier_text(item.tier) || ':' || number_text(item.price)
            )
        )
    ),
    'string_agg',
    ','
);

-- The rules that a value of a type breaks by itself; null where it breaks none. Of a text, a code, HTML and an address
-- none is looked for here: whether an e-mail address is one is looked up once for all distinct ones.
create or replace temp macro fault_tags(x, clean, canonical) as case
    when
        contains(canonical, ',')
        and fold(canonical) <> canonical
        and len(list_distinct(list_transform(string_split(canonical, ','), lambda tag: fold(tag))))
        < len(string_split(canonical, ','))
        then 'similar_value'
end;

create or replace temp macro fault_number(x, n, canonical) as case
    when n is null and not is_blank(x) then 'not_a_number'
    when n < 0 then 'negative_price'
end;

create or replace temp macro fault_integer(x, n, canonical) as case
    when canonical is null and not is_blank(x) then 'not_a_number'
    when n < 0 then 'negative_quantity'
    when n > 4294967295 then 'large_quantity'
    when n <> canonical then 'fractional_quantity'
end;

create or replace temp macro fault_boolean(x, word, canonical) as case
    when canonical is null and word <> '' then 'not_a_boolean'
end;

create or replace temp macro fault_prices(x, items, canonical) as case
    when is_blank(x) then null
    -- A quote without its other half belongs to no item.
    when (len(x) - len(replace(x, '"', ''))) % 2 = 1 then 'malformed_prices'
    -- Nor is a colon in a tier's name outside of quotes part of it: other separators than commas look like that.
    when regexp_matches(regexp_replace(x, '"(?:[^"]|"")*"', '', 'g'), ':[^,]*:') then 'malformed_prices'
    when list_bool_or(list_transform(items, lambda item: item.price is null or (item.named and item.tier = '')))
        then 'malformed_prices'
    when list_bool_or(list_transform(items[2:], lambda item: not item.named)) then 'malformed_prices'
    when len(list_distinct(list_transform(items, lambda item: item.tier))) < len(items) then 'malformed_prices'
    when list_bool_or(list_transform(items, lambda item: item.price < 0)) then 'negative_price'
    when contains(x, ',') and fold(x) <> x and len(list_distinct(list_transform(items, lambda item: fold(item.tier)))) < len(items)
        then 'similar_value'
end;
