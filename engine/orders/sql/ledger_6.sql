-- Version 6: whose orders these are, see engine/orders/origin.py, and the orders of others, which are put aside.
create table order_origin (account text not null, database text not null);

create table former_orders (
    account text not null,
    database text not null,
    put_aside_at text not null,
    order_id integer not null,
    status text not null,
    via text not null,
    document blob,
    rule text not null,
    reason text not null,
    uncertain integer not null,
    attempts integer not null,
    next_attempt_at text,
    source_order_code text,
    source_customer_code text,
    received_at text not null,
    raised_at text,
    answered_at text,
    note text not null,
    expected_code text,
    commit_sent_at text,
    rolled_back integer not null,
    approved_by text not null,
    latest blob,
    finished_at text,
    gone_at text,
    channel_key text
);

create index former_orders_id on former_orders (order_id);

create index former_orders_code on former_orders (source_order_code);

create index former_orders_expected_code on former_orders (expected_code);

create table former_transitions (
    account text not null,
    database text not null,
    put_aside_at text not null,
    order_id integer not null,
    at text not null,
    status text not null,
    reason text not null
);

create index former_transitions_of on former_transitions (order_id)
