insert into sales_order_line (order_number, line_number, item_code, quantity, price, backorder)
values ({{ results.header.source_order_code }}, {{ 1000 + line.number }}, {{ line.sku }}, 1, {{ line.price }}, false)
