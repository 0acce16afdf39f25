-- What is kept for one entity. `published` is what Stock2Shop acknowledged, as it was sent; `acknowledged` is its
-- journal, folded in when a run ends or the next one begins; `settled` are rows that need nothing more: Ignore, or Delete
-- and done. `_own` are the product fields that a row has itself, where it was sent with those of another variant.
create table if not exists {{ published | ident }} (
    _key varchar not null,
    _group varchar not null,
    _variable boolean not null,
    _fingerprint ubigint not null,
    _raw ubigint,
    _sync_token varchar not null,
    _run_id bigint not null,
    _acknowledged_at timestamp not null,
    _own varchar
    {%- for field in fields %},
    {{ field.name | ident }} {{ types[field.type] | sql }}
    {%- endfor +%}
);

create table if not exists {{ acknowledged | ident }} (
    _key varchar not null,
    _group varchar not null,
    _variable boolean not null,
    _fingerprint ubigint not null,
    _raw ubigint,
    _sync_token varchar not null,
    _run_id bigint not null,
    _acknowledged_at timestamp not null,
    _kind varchar not null,
    _own varchar
    {%- for field in fields %},
    {{ field.name | ident }} {{ types[field.type] | sql }}
    {%- endfor +%}
);

create table if not exists {{ settled | ident }} (
    _key varchar not null,
    _group varchar,
    _raw ubigint not null,
    _flag varchar not null
);
