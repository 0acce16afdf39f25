-- Once an order. What it gives is there for the next as results.header.
insert into sales_order (reference, account, placed_at, warehouse)
values ({{ order.reference }}, {{ order.customer_code }}, {{ order.date }}, {{ order.warehouse }})
returning
    number,
    'SO' || number as source_order_code
