-- One run of one entity. Its name is empty where the project's configuration could not be read. Times are UTC.
create table runs (
    id integer primary key,
    project text not null,
    entity text not null,
    command text not null,
    run_id integer,
    host text not null,
    process integer not null,
    started_at text not null,
    finished_at text,
    outcome text not null,
    exit_code integer,
    step text,
    done integer,
    total integer,
    progress_at text,
    source integer,
    sent integer,
    quarantined integer,
    refused integer,
    requests integer,
    seconds real,
    digest text,
    message text not null default ''
);

-- Both have all that the status asks for, so that it reads no rows.
create index runs_of_project on runs (project, entity, command, outcome, id);

create index runs_by_start on runs (started_at, command, outcome, project, sent, requests);

create index runs_under_way on runs (project) where outcome = 'running';

-- Each change of an order's status. Why it changed is in the ledger alone, since that may name a customer.
create table order_changes (
    id integer primary key,
    project text not null,
    order_id integer not null,
    at text not null,
    status text not null
);

create index order_changes_of_project on order_changes (project, order_id, id);

-- The open quarantine and the newest changes of each project, personal data masked, as of its last run.
create table snapshots (
    project text not null,
    entity text not null,
    taken_at text not null,
    quarantined integer not null,
    primary key (project, entity)
);

create table quarantine (
    project text not null,
    entity text not null,
    key text,
    product text,
    column_name text not null,
    rule text not null,
    value text,
    reason text not null,
    first_seen_at text not null,
    last_seen_at text not null
);

create index quarantine_of_project on quarantine (project, entity, key);

create table changes (
    id integer primary key,
    project text not null,
    entity text not null,
    run_id integer not null,
    key text not null,
    product text,
    kind text not null,
    columns text not null,
    status integer not null,
    acknowledged_at text not null
);

create index changes_of_project on changes (project, id);

create table maintenance (
    task text primary key,
    done_at text not null
);
