-- Version 3: projects whose last edit has errors, so that the version before it runs.
create table broken_edits (
    project text primary key,
    found_at text not null,
    message text not null
) without rowid;
