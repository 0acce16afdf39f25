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

-- version 4
-- What was sent and not answered yet: Stock2Shop may have taken it. `shared` is the fingerprint of the product fields that
-- it was sent with, `unclearable` are the columns that it was sent with a value of and that a blank does not clear. `position` is the row's place in the delta of the run that is under way, and
-- null for what an earlier run left.
create table in_doubt (
    entity varchar not null,
    key varchar not null,
    product varchar not null,
    kind varchar not null,
    fingerprint ubigint,
    shared ubigint,
    unclearable varchar[],
    position bigint
);

insert into in_doubt
select
    entity,
    key,
    coalesce(product, key) as product,
    'insert' as kind,
    null as fingerprint,
    null as shared,
    null as unclearable,
    null as position
from tried;

drop table tried;

-- The changes of a plan that exceeded a limit and was let pass, each as a hash: what of them was not answered may still
-- be sent.
create table approved (
    entity varchar not null,
    run_id bigint not null,
    change ubigint not null
);

delete from meta
where name like 'allowed:%';
