-- A trade price above the default price is a mistake in Evolution's price lists.
select source_variant_code, csv_price_tiers, "price_Trade"
from products
where "price_Trade" > cast(csv_price_tiers as decimal(18, 4))
