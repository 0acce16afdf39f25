-- Once a line.
insert into sales_line
values ({{ results.header.number }}, {{ line.number }}, {{ line.sku }}, {{ line.qty }}, {{ line.price }})
