-- A price.
update price set amount = 199.9000 where trim(code) = 'TOOL-0600' and list_no = 1;
-- A quantity.
update stock set on_hand = on_hand + 25 where trim(code) = 'TOOL-0700' and warehouse = 'CPT';
-- A new size.
insert into item
select rpad('SHIRT-01-XXL-Kh', 20, ' '), style, descr, notes, brand, category, web, barcode, weight_kg, 'XXL', colour
from item where trim(code) = 'SHIRT-01-XL-Kh';
insert into price select rpad('SHIRT-01-XXL-Kh', 20, ' '), list_no, amount from price where trim(code) = 'SHIRT-01-XL-Kh';
insert into stock values (rpad('SHIRT-01-XXL-Kh', 20, ' '), 'JHB', 12, 0);
-- A delisted item.
delete from item where trim(code) = 'TOOL-0800';
-- A broken row.
update item set descr = null where trim(code) = 'TOOL-0900';
