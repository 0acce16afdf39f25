-- One block a version of the fleet's tables, in order; `-- version N` begins each. A block is never edited once it has
-- been released: the next change is the next block, and only adds, so that the version before can go on beside it.

-- version 1
-- `ticked_at` is up to when, in seconds since 1970, what was due is in the queue, and `claimed_at` is when a worker last
-- began to look.
create table fleet (
    id uuid not null,
    version integer not null,
    ticked_at double precision not null,
    claimed_at double precision not null default 0
);

insert into fleet (id, version, ticked_at) values (gen_random_uuid(), 0, extract(epoch from now()));

-- One row a project: who has it, and what is stored of its state. An epoch is larger than all before it, also than those
-- that a restored backup has forgotten. `last_epoch` stored the entry `last_seq`. `expires_at` is -infinity once the lease
-- was given back. `vanished`: a holder never gave it back, and nobody has logged in to Stock2Shop since.
create table lease (
    project text primary key,
    epoch bigint not null default 0,
    holder text not null default '',
    taken_at timestamptz,
    expires_at timestamptz not null default '-infinity',
    vanished boolean not null default false,
    paused boolean not null default false,
    last_seq bigint not null default 0,
    last_epoch bigint not null default 0,
    snapshot_seq bigint not null default 0,
    snapshot_bytes bigint not null default 0,
    journal_bytes bigint not null default 0,
    format integer not null default 0,
    written_by text not null default '',
    ended_at timestamptz,
    seconds double precision,
    exit_code integer,
    failures integer not null default 0
);

-- What was committed to a state after its snapshot: pieces of DuckDB's own journal, in order, packed.
create table journal (
    project text not null,
    seq bigint not null,
    epoch bigint not null,
    at timestamptz not null default now(),
    body bytea not null,
    primary key (project, seq)
);

-- A state file as of `seq`, packed, in parts.
create table snapshot (
    project text not null,
    seq bigint not null,
    part integer not null,
    body bytea not null,
    primary key (project, seq, part)
);

alter table journal alter column body set storage external;

alter table snapshot alter column body set storage external;

-- One row a Stock2Shop user: the token in use, who logs in, and when the next request may begin.
create table stock2shop_user (
    name text primary key,
    token text not null default '',
    salt bytea not null default '',
    password_check bytea not null default '',
    version bigint not null default 0,
    login_by text not null default '',
    login_until timestamptz not null default '-infinity',
    next_turn timestamptz not null default '-infinity'
);

-- What the machines' run logs have of each project's runs, as JSON, and what the newest of them copied of the state.
create table run_log (
    id bigint generated always as identity primary key,
    project text not null,
    machine text not null,
    at timestamptz not null default now(),
    runs text not null
);

create index run_log_of_project on run_log (project, id);

create index run_log_by_time on run_log (at);

create table run_copy (
    project text primary key,
    id bigint not null,
    body text not null
);

-- The machine that keeps a project's orders.
create table order_home (
    project text primary key,
    machine text not null,
    host text not null
);

create table worker (
    name text primary key,
    host text not null,
    process integer not null,
    slots integer not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    draining boolean not null default false
);

-- version 2
-- The ledgers of orders. They are what a machine of its own keeps in a file for each project, and are asked in the same
-- SQL: see engine/orders/ledger_store.py. Times are UTC, as text that sorts by time, by this server's clock. Whoever
-- changes a ledger locks the row PROJECT/orders of `lease`, which is also the lease under which orders are raised; it is
-- `paused` where a machine has taken the ledger for itself.
create table orders (
    project text not null,
    order_id bigint not null,
    status text not null,
    via text not null,
    document bytea,
    rule text not null default '',
    reason text not null default '',
    uncertain integer not null default 0,
    attempts integer not null default 0,
    next_attempt_at text collate "C",
    source_order_code text,
    source_customer_code text,
    received_at text collate "C" not null,
    raised_at text collate "C",
    answered_at text collate "C",
    note text not null default '',
    expected_code text,
    commit_sent_at text collate "C",
    rolled_back integer not null default 0,
    approved_by text not null default '',
    latest bytea,
    finished_at text collate "C",
    gone_at text collate "C",
    channel_key text,
    primary key (project, order_id)
);

create index orders_status on orders (project, status, received_at);

create index orders_received on orders (project, received_at);

create index orders_code on orders (project, source_order_code);

create index orders_expected_code on orders (project, expected_code);

create index orders_channel_key on orders (project, channel_key);

create index orders_finished on orders (project, finished_at) where document is not null;

create table transitions (
    rowid bigint generated always as identity primary key,
    project text not null,
    order_id bigint not null,
    at text collate "C" not null,
    status text not null,
    reason text not null
);

create index transitions_of on transitions (project, order_id);

create table maintenance (
    project text not null,
    task text not null,
    done_at text collate "C" not null,
    primary key (project, task)
);

-- The version before raised orders from a file, on the machine that this table named. Without it that takes no orders,
-- which it must not do beside this version.
drop table order_home;

-- version 3
-- When the last lease of a project ended that was never given back.
alter table lease add column vanished_at timestamptz;

-- version 4
-- Large state files are objects in an object store. `snapshot_object` of a lease names the one that is its state as of
-- `snapshot_seq`; it is null where parts in `snapshot` are. An object is noted before it is uploaded: `unused_since` is
-- null only while a lease names it.
create table snapshot_object (
    name text primary key,
    project text not null,
    bytes bigint not null,
    sha256 bytea not null,
    unused_since timestamptz default now()
);

create index snapshot_object_unused on snapshot_object (unused_since);

create index snapshot_object_of_project on snapshot_object (project);

alter table lease add column snapshot_object text;

-- version 5
-- What must be known to read a state, and what a worker knows: see engine/fleet/versions.py. The default is what the
-- version before knew.
alter table lease add column written_versions text not null default '';

alter table worker add column versions text not null default 'duckdb=2.0 queue=3.10 snapshot=2 state=4';

-- version 6
-- Whose orders a ledger holds, and the orders of others, which are put aside: see engine/orders/origin.py. A ledger of
-- the version before has no row in `order_origin`, and takes what it finds.
create table order_origin (
    project text primary key,
    account text not null,
    database text not null
);

create table former_orders (
    project text not null,
    account text not null,
    database text not null,
    put_aside_at text collate "C" not null,
    order_id bigint not null,
    status text not null,
    via text not null,
    document bytea,
    rule text not null,
    reason text not null,
    uncertain integer not null,
    attempts integer not null,
    next_attempt_at text collate "C",
    source_order_code text,
    source_customer_code text,
    received_at text collate "C" not null,
    raised_at text collate "C",
    answered_at text collate "C",
    note text not null,
    expected_code text,
    commit_sent_at text collate "C",
    rolled_back integer not null,
    approved_by text not null,
    latest bytea,
    finished_at text collate "C",
    gone_at text collate "C",
    channel_key text
);

create index former_orders_id on former_orders (project, order_id);

create index former_orders_code on former_orders (project, source_order_code);

create index former_orders_expected_code on former_orders (project, expected_code);

create table former_transitions (
    rowid bigint generated always as identity primary key,
    project text not null,
    account text not null,
    database text not null,
    put_aside_at text collate "C" not null,
    order_id bigint not null,
    at text collate "C" not null,
    status text not null,
    reason text not null
);

create index former_transitions_of on former_transitions (project, order_id);
