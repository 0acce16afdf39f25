create table product_category (id integer primary key, name text);
create table uom_uom (id integer primary key, name text);
create table product_template (id integer primary key, name text, list_price numeric, default_code text,
    categ_id int references product_category (id), uom_id int references uom_uom (id), active int);
create table product_product (id integer primary key, product_tmpl_id int references product_template (id),
    default_code text, barcode text, active int);
create table product_pricelist_item (id integer primary key, product_id int references product_product (id), fixed_price int);
create table stock_location (id integer primary key, name text, usage text);
create table stock_quant (id integer primary key, product_id int references product_product (id),
    location_id int references stock_location (id), quantity numeric);
create table stock_move (id integer primary key, product_id int references product_product (id), name text, quantity numeric);
create table sale_order_line (id integer primary key, product_id int references product_product (id), name text,
    product_uom_qty numeric, price_unit numeric);
create table mail_message (id integer primary key, subject text);
create table res_partner (id integer primary key, ref text, name text, email text, phone text, active int);
insert into product_category values (1, 'All');
insert into product_template values (1, 'Shirt', 30, null, 1, 1, 1), (2, 'Hat', 15, 'HAT', 1, 1, 1);
insert into product_product values (1, 1, 'SHIRT-S', '700', 1), (2, 1, 'SHIRT-M', '701', 1), (3, 2, 'HAT', '702', 1);
insert into stock_quant values (1, 1, 8, 5), (2, 2, 8, 6), (3, 3, 8, 7);
insert into stock_move values (1, 1, 'x', 500), (2, 2, 'x', 600), (3, 3, 'x', 600), (4, 3, 'x', 600);
insert into sale_order_line values (1, 1, 'Shirt', 2, 30);
insert into res_partner values (1, 'C1', 'Ann', 'ann@example.com', '1', 1);
