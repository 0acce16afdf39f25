-- One row a customer.
select
    account as source_customer_code,
    case when on_hold = 'Yes' then 'Ignore' else 'Active' end as customer_active,
    email,
    contact as first_name,
    surname as last_name,
    list_name as price_tier,
    'shipping' as "address1.type",
    town as "address1.city",
    phone as "address1.phone"
from customer
