-- Version 3: what tells an order that was raised from one that may have been.
alter table orders add column expected_code text;

alter table orders add column commit_sent_at text;

alter table orders add column rolled_back integer not null default 0;

alter table orders add column approved_by text not null default '';

alter table orders add column latest blob;

alter table orders add column finished_at text;

-- Of these, earlier versions did not note whether the commit was sent.
update orders set commit_sent_at = received_at where status = 'raising' or uncertain = 1;

update orders
set finished_at = (select max(at) from transitions where transitions.order_id = orders.order_id)
where status in ('raised', 'answered', 'skipped');

create index orders_finished on orders (finished_at) where document is not null;

create index orders_code on orders (source_order_code);

create index orders_expected_code on orders (expected_code);

create table maintenance (task text primary key, done_at text not null)
