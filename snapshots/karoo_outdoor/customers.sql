-- One row a customer; a trade customer sees its own price list and warehouse.
select
    customer.code as source_customer_code,
    customer.status as customer_active,
    customer.first_name,
    customer.last_name,
    customer.email,
    customer.newsletter as accepts_marketing,
    price_list.name as price_tier,
    customer.warehouse as qty_availability,
    'shipping' as "address1.type",
    true as "address1.default",
    customer.company as "address1.company",
    customer.street as "address1.address1",
    customer.city as "address1.city",
    customer.postal_code as "address1.zip",
    'ZA' as "address1.country_code"
from customer
left join price_list on price_list.id = customer.list_id
