-- Is the order in the database already? By Stock2Shop's id: two channels may both have an order 1042.
select
    number as source_order_code,
    customer_code as source_customer_code
from sales_order
where stock2shop_id = {{ order.id }}
