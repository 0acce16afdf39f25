insert into sales_order (reference, customer_code, placed_at, warehouse, channel_order, note)
values (
    {{ order.reference }},
    {{ order.customer_code }},
    {{ order.date }},
    {{ order.warehouse }},
    {{ order.channel_order_code }},
    {{ order.notes }}
)
returning number as source_order_code
