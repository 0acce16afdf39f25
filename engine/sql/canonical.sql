-- The canonical form of every type of the contract, as macros over the raw text `x`. Two values that mean the
-- same are the same after these, whatever database, driver or reader they came through. `fault_…` macros name
-- the rule that a raw value breaks, or null.

-- A row that arrives packed is written as PostgreSQL writes a composite value: in brackets, with commas between the
-- values and nothing for NULL; what stands in double quotes has quotes and backslashes doubled ("Composite Type Input
-- and Output Syntax" of its manual).
create or replace temp macro packed_values(row_text) as regexp_extract_all(
    row_text[2:-2], '("(?:[^"\\]|""|\\\\)*"|[^",]*)(?:,|$)', 1
);

create or replace temp macro packed_value(item) as case
    when item = '' then null
    when starts_with(item, '"') then replace(replace(item[2:-2], '""', '"'), '\\', '\')
    else item
end;

-- Numbers keep ten decimals: more than any price list has, and few enough to swallow the noise of a float. DuckDB
-- itself would take 1_000 for a number.
create or replace temp macro as_number(x) as case
    when not contains(x, '_') then try_cast(trim(x) as decimal(38, 10))
end;

create or replace temp macro number_text(n) as regexp_replace(n::varchar, '\.?0+$', '');

create or replace temp macro is_blank(x) as trim(coalesce(x, '')) = '';

-- Line breaks and tabs part words, so they become a blank; other control characters just go.
create or replace temp macro without_controls(x) as case
    when regexp_matches(x, '[\x00-\x1f\x7f\x{80}-\x{9f}]')
    then regexp_replace(regexp_replace(x, '[\t\r\n]+', ' ', 'g'), '[\x00-\x1f\x7f\x{80}-\x{9f}]', '', 'g')
    else x
end;

create or replace temp macro canonical_text(x) as nullif(rtrim(without_controls(x)), '');

-- HTML may have lines.
create or replace temp macro canonical_html(x) as nullif(
    rtrim(
        case
            when regexp_matches(x, '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{9f}]')
            then regexp_replace(x, '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{9f}]', '', 'g')
            else x
        end
    ),
    ''
);

create or replace temp macro canonical_code(x) as nullif(trim(without_controls(x), ' ' || chr(160)), '');

create or replace temp macro canonical_url(x) as canonical_code(x);

create or replace temp macro canonical_email(x) as canonical_code(x);

create or replace temp macro canonical_number(x) as as_number(x);

create or replace temp macro canonical_integer(x) as try_cast(
    case when as_number(x) < 0 then 0 else floor(as_number(x)) end as bigint
);

-- A word as the vocabularies know it: lower case, trimmed, 1.00 as 1.
create or replace temp macro flag_word(x) as case
    when regexp_matches(trim(x), '^-?[0-9]+\.0+$') then split_part(trim(x), '.', 1)
    else lower(trim(coalesce(x, '')))
end;

create or replace temp macro canonical_boolean(x) as case
    when flag_word(x) in ('true', 't', 'yes', 'y', 'on', '1', '-1') then true
    when flag_word(x) in ('false', 'f', 'no', 'n', 'off', '0') then false
end;

create or replace temp macro canonical_tags(x) as nullif(
    array_to_string(
        list_sort(
            list_distinct(
                list_filter(
                    list_transform(string_split(without_controls(x), ','), lambda tag: trim(tag)),
                    lambda tag: tag <> ''
                )
            )
        ),
        ','
    ),
    ''
);

-- Prices: a bare number is the default price; otherwise CSV of tier:price, a tier in quotes where it has a comma.
create or replace temp macro price_items(x) as list_filter(
    list_transform(
        regexp_extract_all(without_controls(x), '(?:"(?:[^"]|"")*"|[^,"])+'),
        lambda item: {
            'tier': replace(
                regexp_replace(trim(regexp_extract(item, '^(.*):[^:]*$', 1)), '^"(.*)"$', '\1'), '""', '"'
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

create or replace temp macro canonical_prices(x) as nullif(
    array_to_string(
        list_concat(
            list_transform(
                list_filter(price_items(x), lambda item: not item.named), lambda item: number_text(item.price)
            ),
            list_sort(
                list_transform(
                    list_filter(price_items(x), lambda item: item.named),
                    lambda item: tier_text(item.tier) || ':' || number_text(item.price)
                )
            )
        ),
        ','
    ),
    ''
);

create or replace temp macro fault_text(x) as case
    when regexp_matches(x, '[\x00-\x1f\x7f\x{80}-\x{9f}]') then 'control_characters'
end;

create or replace temp macro fault_html(x) as case
    when regexp_matches(x, '[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{9f}]') then 'control_characters'
end;

create or replace temp macro fault_code(x) as fault_text(x);

create or replace temp macro fault_tags(x) as fault_text(x);

create or replace temp macro fault_url(x) as fault_text(x);

-- One address, not a list of them, nor a name with the address in brackets. RFC 5321 allows 254 characters.
create or replace temp macro fault_email(x) as case
    when is_blank(x) then null
    when not regexp_full_match(
        canonical_email(x),
        '[^\s@,;:<>()"\[\]]+@[^\s@,;:<>()"\[\].]+(\.[^\s@,;:<>()"\[\].]+)*\.[^\s@,;:<>()"\[\].]{2,}'
    )
    or len(canonical_email(x)) > 254 then 'malformed_email'
    else fault_text(x)
end;

create or replace temp macro fault_number(x) as case
    when is_blank(x) then null
    when as_number(x) is null then 'not_a_number'
    when as_number(x) < 0 then 'negative_price'
end;

create or replace temp macro fault_integer(x) as case
    when is_blank(x) then null
    when as_number(x) is null or canonical_integer(x) is null then 'not_a_number'
    when as_number(x) < 0 then 'negative_quantity'
    when as_number(x) <> floor(as_number(x)) then 'fractional_quantity'
end;

create or replace temp macro fault_boolean(x) as case
    when not is_blank(x) and canonical_boolean(x) is null then 'not_a_boolean'
end;

create or replace temp macro fault_prices(x) as case
    when is_blank(x) then null
    -- A quote without its other half belongs to no item.
    when (len(x) - len(replace(x, '"', ''))) % 2 = 1 then 'malformed_prices'
    when list_bool_or(list_transform(price_items(x), lambda item: item.price is null)) then 'malformed_prices'
    when list_bool_or(list_transform(price_items(x), lambda item: item.named and item.tier = ''))
        then 'malformed_prices'
    when list_bool_or(list_transform(price_items(x)[2:], lambda item: not item.named)) then 'malformed_prices'
    when len(list_distinct(list_transform(price_items(x), lambda item: item.tier))) < len(price_items(x))
        then 'malformed_prices'
    when list_bool_or(list_transform(price_items(x), lambda item: item.price < 0)) then 'negative_price'
end;
