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
