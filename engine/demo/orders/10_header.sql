-- Once an order. What it returns is there for the next statements as results.header.
insert into sales_order (stock2shop_id, reference, account, placed_at, warehouse)
values (
    {{ order.id }},
    {{ order.reference }},
    {{ order.customer_code }},
    {{ order.date }},
    {{ order.warehouse }}
)
returning
    number,
    'SO' || number as source_order_code
