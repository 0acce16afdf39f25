insert into sales_order (stock2shop_id, reference, customer_code, placed_at, warehouse, channel_order, note)
values (
    {{ order.id }},
    {{ order.reference }},
    {{ order.customer_code }},
    {{ order.date }},
    {{ order.warehouse }},
    {{ order.channel_order_code }},
    {{ order.notes }}
)
returning number as source_order_code
