create table eav_attribute (attribute_id integer primary key, entity_type_id int, attribute_code text);
create table catalog_product_entity (entity_id integer primary key, attribute_set_id int, type_id text, sku text);
create table catalog_product_entity_varchar (value_id integer primary key, attribute_id int, store_id int,
    entity_id int references catalog_product_entity (entity_id), value text);
create table catalog_product_entity_decimal (value_id integer primary key, attribute_id int, store_id int,
    entity_id int references catalog_product_entity (entity_id), value numeric);
create table catalog_product_flat_1 (entity_id integer primary key, sku text, name text, price numeric);
create table catalog_category_entity (entity_id integer primary key, parent_id int);
create table cataloginventory_stock_item (item_id integer primary key,
    product_id int references catalog_product_entity (entity_id), stock_id int, qty numeric);
create table sales_flat_quote_item (item_id integer primary key, product_id int, sku text, name text, qty numeric,
    price numeric);
create table sales_flat_order_item (item_id integer primary key, product_id int, sku text, name text, qty_ordered numeric,
    price numeric);
create table log_visitor (visitor_id integer primary key, session_id text);
create table customer_entity (entity_id integer primary key, email text, is_active int);
insert into eav_attribute values (71, 4, 'name'), (75, 4, 'price'), (76, 4, 'cost'), (41, 3, 'name');
insert into catalog_product_entity values (1, 4, 'simple', 'SKU-1'), (2, 4, 'simple', 'SKU-2');
insert into catalog_product_entity_varchar values (1, 71, 0, 1, 'Lamp'), (2, 71, 0, 2, 'Desk');
insert into catalog_product_entity_decimal values (1, 75, 0, 1, 10), (2, 75, 0, 2, 20), (3, 76, 0, 1, 5);
insert into cataloginventory_stock_item values (1, 1, 1, 4), (2, 2, 1, 0);
insert into sales_flat_quote_item values (1, 1, 'SKU-1', 'Lamp', 2, 10), (2, 1, 'SKU-1', 'Lamp', 2, 10),
    (3, 2, 'SKU-2', 'Desk', 1, 20);
insert into sales_flat_order_item values (1, 1, 'SKU-1', 'Lamp', 2, 10);
