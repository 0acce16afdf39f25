-- No row: the SKU is not known, and the order waits.
select code from item where code = {{ line.sku }}
