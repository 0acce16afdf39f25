-- Version 2: what is asked of each project is kept ready, so that nobody reads a hundred thousand runs for it.

-- The newest run of each entity that has ended, the newest good one, and how many have failed since that.
create table latest (
    project text not null,
    entity text not null,
    last_id integer not null,
    good_id integer,
    failures integer not null default 0,
    failing_since text,
    primary key (project, entity)
) without rowid;

-- What the runs of a day came to, which is that of the machine's own zone in which they began.
create table days (
    project text not null,
    entity text not null,
    day text not null,
    runs integer not null,
    failed integer not null,
    sent integer not null,
    requests integer not null,
    withheld integer not null,
    seconds real not null,
    primary key (project, entity, day)
) without rowid;

create index days_by_day on days (day);

-- The plan that a guard stopped last, of each entity: as its run printed it in JSON, personal data masked.
create table plans (
    project text not null,
    entity text not null,
    run integer not null,
    plan text not null,
    primary key (project, entity)
) without rowid;

create index quarantine_by_key on quarantine (key);

create index quarantine_by_product on quarantine (product);

create index changes_by_key on changes (key);

create index changes_by_product on changes (product);

drop index runs_of_project;

drop index runs_by_start;

create index runs_of_project on runs (project, id);

create index runs_by_start on runs (started_at);

insert into latest (project, entity, last_id, good_id)
select project, entity, max(id), max(id) filter (where outcome in ('done', 'attention'))
from runs
where command = 'run' and outcome not in ('locked', 'running')
group by project, entity;

update latest
set (failures, failing_since) = (
    select count(*), min(started_at)
    from runs
    where project = latest.project and entity = latest.entity and command = 'run'
        and outcome in ('failed', 'guarded', 'broken off')
        and id > coalesce(
            latest.good_id,
            case latest.entity when '' then (select max(good_id) from latest as good where good.project = latest.project) end,
            0
        )
);

insert into days
select
    project, entity, date(started_at, 'localtime'), count(*),
    count(*) filter (where outcome in ('failed', 'guarded', 'broken off')),
    coalesce(sum(sent), 0), coalesce(sum(requests), 0), max(coalesce(quarantined, 0) + coalesce(refused, 0)),
    coalesce(sum(seconds), 0)
from runs
where command = 'run' and outcome not in ('locked', 'running')
group by 1, 2, 3;

-- What both triggers below do with a run that ended: whatever is inserted here is a row of runs.
create view ended_runs as
select * from runs;

create trigger run_counted instead of insert on ended_runs
begin
    insert into latest values (
        new.project, new.entity, new.id, iif(new.outcome in ('done', 'attention'), new.id, null),
        new.outcome in ('failed', 'guarded', 'broken off'),
        iif(new.outcome in ('failed', 'guarded', 'broken off'), new.started_at, null)
    )
    on conflict do update set
        last_id = excluded.last_id,
        good_id = coalesce(excluded.good_id, good_id),
        failures = iif(excluded.good_id is null, failures + excluded.failures, 0),
        failing_since = iif(excluded.good_id is null, coalesce(failing_since, excluded.failing_since), null);
    update latest set failures = 0, failing_since = null
    where project = new.project and entity = '' and new.outcome in ('done', 'attention');
    insert into days
    select
        new.project, new.entity, date(new.started_at, 'localtime'), 1,
        new.outcome in ('failed', 'guarded', 'broken off'), coalesce(new.sent, 0), coalesce(new.requests, 0),
        coalesce(new.quarantined, 0) + coalesce(new.refused, 0), coalesce(new.seconds, 0)
    where new.command = 'run'
    on conflict do update set
        runs = runs + 1, failed = failed + excluded.failed, sent = sent + excluded.sent,
        requests = requests + excluded.requests, withheld = iif(excluded.failed, withheld, excluded.withheld),
        seconds = seconds + excluded.seconds;
end;

create trigger run_noted after insert on runs
when new.command in ('run', 'pull') and new.outcome not in ('locked', 'running')
begin
    insert into ended_runs
    select * from runs
    where id = new.id;
end;

create trigger run_ended after update of outcome on runs
when old.outcome = 'running' and new.command in ('run', 'pull') and new.outcome not in ('locked', 'running')
begin
    insert into ended_runs
    select * from runs
    where id = new.id;
end;
