{# A variant that was refused, and never published, leaves without a trace; those that were sent with its product fields
   are compared in every run until it is accepted or gone. #}
update {{ published | ident }}
set _raw = null
where
    _own is not null
    and _raw is not null
    and _group in (
        select product
        from quarantine
        where
            entity = {{ entity }}
            and rule = 'refused'
            and fingerprint <> 0
            and resolved_at is null
    );
