{# What there is to fold: how many rows the journal holds, and what else may have to change with them. #}
select
    (select count(*) from {{ acknowledged | ident }}) as entries,
    exists (from {{ settled | ident }}) as has_settled,
    exists (from in_doubt where entity = {{ entity }}) as has_doubts,
    exists (
        from quarantine
        where
            entity = {{ entity }}
            and rule = 'refused'
            and fingerprint <> 0
            and resolved_at is null
    ) as has_refused;
