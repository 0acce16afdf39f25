-- Trade customers order under their own e-mail address; who is not found takes the default.
select code as source_customer_code
from customer
where lower(email) = lower({{ customer.email }}) and status = 'active'
