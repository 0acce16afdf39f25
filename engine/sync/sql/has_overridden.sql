{# Whether any row was published with the product fields of another variant. #}
select exists (
    select 1
    from {{ published | ident }}
    where _own is not null
);
