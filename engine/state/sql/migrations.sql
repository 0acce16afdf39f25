-- One block a version of the state file, in order; `-- version N` begins each. A block is never edited once it
-- has been released: the next change is the next block.

-- version 1
create table meta (
    name varchar not null,
    value varchar not null
);

create sequence run_ids;

create table runs (
    run_id bigint not null,
    entity varchar not null,
    command varchar not null,
    started_at timestamp not null,
    finished_at timestamp,
    outcome varchar not null,
    digest varchar,
    counts json,
    message varchar
);

create table changes (
    run_id bigint not null,
    entity varchar not null,
    key varchar not null,
    product varchar,
    kind varchar not null,
    columns json,
    status integer not null,
    acknowledged_at timestamp not null
);

create table quarantine (
    entity varchar not null,
    key varchar,
    product varchar,
    raw ubigint not null,
    fingerprint ubigint,
    column_name varchar not null,
    rule varchar not null,
    value varchar,
    reason varchar not null,
    first_seen_at timestamp not null,
    last_seen_at timestamp not null,
    resolved_at timestamp
);

create table held (
    entity varchar not null,
    key varchar not null,
    raw ubigint not null,
    since timestamp not null
);

-- version 2
create table tried (
    entity varchar not null,
    key varchar not null,
    product varchar
);

-- version 3
alter table tried add column under_way boolean default false;
