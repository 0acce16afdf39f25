-- What can be sold of it in the order's warehouse.
select on_hand - coalesce(reserved, 0)
from stock
where item_code = {{ line.sku }} and warehouse = {{ order.warehouse }}
