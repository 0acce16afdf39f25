create table oc_product (product_id integer primary key, model text, sku text, upc text, quantity int, price numeric,
    manufacturer_id int, status int, weight numeric);
create table oc_product_description (product_id int, language_id int, name text, description text,
    primary key (product_id, language_id));
create table oc_product_special (product_special_id integer primary key, product_id int, price numeric);
create table oc_product_option_value (product_option_value_id integer primary key, product_id int, quantity int, price int);
create table oc_product_viewed (product_id int, name text, model text, viewed int);
create table oc_category (category_id integer primary key, parent_id int);
create table oc_category_description (category_id int, language_id int, name text);
create table oc_product_to_category (product_id int, category_id int, primary key (product_id, category_id));
create table oc_manufacturer (manufacturer_id integer primary key, name text);
create table oc_cart (cart_id integer primary key, product_id int, quantity int);
create table oc_order_product (order_product_id integer primary key, order_id int, product_id int, name text, model text,
    quantity int, price numeric);
create table oc_customer (customer_id integer primary key, firstname text, lastname text, email text, telephone text);
create table oc_customer_online (ip text, customer_id int);
insert into oc_product values (1, 'MUG-1', '', '', 5, 89.5, 1, 1, 0.4), (2, 'TEE-1', '', '', 0, 199, 1, 1, 0.2),
    (3, 'CAP-1', '', '', 7, 120, 2, 0, 0.1);
insert into oc_product_description values (1, 1, 'Mug', ''), (2, 1, 'Tee', ''), (3, 1, 'Cap', ''), (1, 2, 'Beker', '');
insert into oc_product_option_value values (1, 1, 99, 5), (2, 2, 98, 5);
insert into oc_product_viewed values (1, 'Mug', 'MUG-1', 5), (2, 'Tee', 'TEE-1', 5), (1, 'Mug', 'MUG-1', 5);
insert into oc_manufacturer values (1, 'Kloof'), (2, 'Karoo');
insert into oc_order_product values (1, 1, 1, 'Mug', 'MUG-1', 2, 89.5), (2, 2, 1, 'Mug', 'MUG-1', 2, 89.5);
insert into oc_customer values (1, 'Ann', 'Day', 'ann@example.com', '021');
