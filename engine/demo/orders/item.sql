select code
from item
where trim(code) = {{ line.sku }}
