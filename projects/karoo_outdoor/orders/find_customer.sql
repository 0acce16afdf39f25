-- The customer that Stock2Shop names; else trade customers order under their own e-mail address, and who is not found
-- takes the default.
select code as source_customer_code
from customer
where
    status = 'active'
{% if customer.default %}
    and lower(email) = lower({{ customer.email }})
{% else %}
    and code = {{ customer.code }}
{% endif %}
