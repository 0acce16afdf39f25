{# What the journal has to be folded into: whether it is all that will be published, each row once, and whether variants are
   published that it does not have of a product that it has. #}
select
    not exists (from {{ published | ident }})
    and (select count(distinct _key) = count(*) and bool_and(_kind = 'upsert') from {{ acknowledged | ident }}) as is_all,
    exists (
        from {{ published | ident }}
        where
            _group in (select _group from {{ acknowledged | ident }} where _kind = 'upsert')
            and _key not in (select _key from {{ acknowledged | ident }} where _kind = 'upsert')
    ) as has_siblings;
