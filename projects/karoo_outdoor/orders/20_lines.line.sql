insert into sales_order_line (order_number, line_number, item_code, quantity, price, backorder)
values (
    {{ results.header.source_order_code }},
    {{ line.number }},
    {{ line.sku }},
    {{ line.qty }},
    {{ line.price }},
    {{ line.backorder }}
)
