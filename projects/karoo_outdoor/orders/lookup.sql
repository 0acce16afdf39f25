-- Is the order in the database already? With this, a crash in the middle is found out by itself.
select
    number as source_order_code,
    customer_code as source_customer_code
from sales_order
where reference = {{ order.reference }}
