-- orders/lookup.sql
-- Is the order in the database already? By Stock2Shop's id: two channels may both have an order 1042.
select
    number as source_order_code,
    customer_code as source_customer_code
from sales_order
where stock2shop_id = ?
--   1: 70012

-- orders/item.sql
-- No row: the SKU is not known, and the order waits.
select code from item where code = ?
--   1: MUG

-- orders/stock.sql
-- What can be sold of it in the order's warehouse.
select on_hand - coalesce(reserved, 0)
from stock
where item_code = ? and warehouse = ?
--   1: MUG
--   2: COAST

-- orders/item.sql, again
--   1: BOOT-42

-- orders/stock.sql, again
--   1: BOOT-42
--   2: COAST

-- orders/find_customer.sql
-- The customer that Stock2Shop names; else trade customers order under their own e-mail address, and who is not found
-- takes the default.
select code as source_customer_code
from customer
where
    status = 'active'
    and lower(email) = lower(?)
--   1: theo@trailclub.example.com

-- orders/10_header.sql
insert into sales_order (stock2shop_id, reference, customer_code, placed_at, warehouse, channel_order, note)
values (
    ?,
    ?,
    ?,
    ?,
    ?,
    ?,
    ?
)
returning number as source_order_code
--   1: 70012
--   2: WEB-1042
--   3: <source_customer_code>
--   4: 2026-03-02 10:15:00
--   5: COAST
--   6: WEB-1042
--   7: Leave at the gate

-- orders/20_lines.line.sql
insert into sales_order_line (order_number, line_number, item_code, quantity, price, backorder)
values (
    ?,
    ?,
    ?,
    ?,
    ?,
    ?
)
--   1: <header.source_order_code>
--   2: 1
--   3: MUG
--   4: 6
--   5: 89.5
--   6: false

-- orders/20_lines.line.sql, again
--   1: <header.source_order_code>
--   2: 2
--   3: BOOT-42
--   4: 1
--   5: 1899
--   6: false

-- orders/30_courier.shipping.sql
insert into sales_order_line (order_number, line_number, item_code, quantity, price, backorder)
values (?, ?, ?, 1, ?, false)
--   1: <header.source_order_code>
--   2: 1001
--   3: COURIER
--   4: 95
