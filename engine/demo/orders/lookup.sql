-- Is the order in the database already?
select
    'SO' || number as source_order_code,
    account as source_customer_code
from sales_order
where reference = {{ order.reference }}
