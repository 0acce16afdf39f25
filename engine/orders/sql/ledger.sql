-- Version 1 of the order ledger: each order once, and every status that it had. SQLite's SQL.
create table if not exists orders (
    order_id integer primary key,
    standing text not null,
    via text not null,
    document blob,
    rule text not null default '',
    reason text not null default '',
    uncertain integer not null default 0,
    tries integer not null default 0,
    next_try_at text,
    source_order_code text,
    source_customer_code text,
    received_at text not null,
    raised_at text,
    answered_at text,
    note text not null default ''
);

create table if not exists transitions (
    order_id integer not null,
    at text not null,
    standing text not null,
    reason text not null
);

create index if not exists transitions_of on transitions (order_id);
create index if not exists orders_standing on orders (standing);
