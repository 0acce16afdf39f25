select source_variant_code, "variants.barcode"
from products
where not regexp_full_match("variants.barcode", '[0-9]{13}')
