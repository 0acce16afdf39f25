-- Version 5: the channel and its number, for orders that arrive with Stock2Shop's id and without.
alter table orders add column channel_key text;

update orders
set channel_key = trim(json_extract(cast(document as text), '$.channel_id')) || '/'
    || trim(json_extract(cast(document as text), '$.channel_order_code'))
where document is not null and json_valid(cast(document as text));

create index orders_channel_key on orders (channel_key);

create index orders_received on orders (received_at);

drop index orders_status;

create index orders_status on orders (status, received_at)
