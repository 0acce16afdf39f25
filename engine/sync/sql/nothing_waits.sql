{# Whether nothing of an entity waits to be closed: nothing is in quarantine, withheld from removal, in doubt, or
   approved. #}
select
    not exists (
        select 1
        from quarantine
        where
            entity = {{ entity }}
            and resolved_at is null
    )
    and not exists (
        select 1
        from held
        where entity = {{ entity }}
    )
    and not exists (
        select 1
        from in_doubt
        where entity = {{ entity }}
    )
    and not exists (
        select 1
        from approved
        where entity = {{ entity }}
    );
