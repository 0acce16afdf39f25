create table ps_product (id_product integer primary key, id_manufacturer int, reference text, ean13 text, quantity int,
    price numeric, wholesale_price numeric, active int);
create table ps_product_lang (id_product int, id_lang int, name text, description text, primary key (id_product, id_lang));
create table ps_product_attribute (id_product_attribute integer primary key, id_product int, reference text, price numeric,
    quantity int);
create table ps_stock_available (id_stock_available integer primary key, id_product int, id_product_attribute int,
    id_shop int, quantity int);
create table ps_specific_price (id_specific_price integer primary key, id_product int, price numeric);
create table ps_cart_product (id_cart int, id_product int, quantity int);
create table ps_order_detail (id_order_detail integer primary key, product_id int, product_name text, product_quantity int,
    product_price numeric, product_reference text);
create table ps_manufacturer (id_manufacturer integer primary key, name text);
create table ps_log (id_log integer primary key, message text);
create table ps_customer (id_customer integer primary key, firstname text, lastname text, email text, active int);
insert into ps_product values (1, 1, 'DEMO-1', '600', 0, 20, 9, 1), (2, 1, 'DEMO-2', '601', 0, 30, 9, 1);
insert into ps_product_lang values (1, 1, 'Print', ''), (2, 1, 'Frame', ''), (1, 2, 'Affiche', '');
insert into ps_product_attribute values (1, 1, 'DEMO-1-S', 2, 0), (2, 1, 'DEMO-1-M', 3, 0);
insert into ps_stock_available values (1, 1, 0, 1, 30), (2, 1, 1, 1, 10), (3, 1, 2, 1, 20), (4, 2, 0, 1, 8);
insert into ps_order_detail values (1, 1, 'Print', 3, 20, 'DEMO-1'), (2, 1, 'Print', 3, 20, 'DEMO-1');
insert into ps_customer values (1, 'Ann', 'Day', 'ann@example.com', 1);
