create table "tabItem" (name text primary key, item_code text, item_name text, item_group text, brand text, disabled int,
    standard_rate numeric);
create table "tabItem Price" (name text primary key, item_code text, price_list text, price_list_rate numeric);
create table "tabItem Group" (name text primary key, item_group_name text);
create table "tabItem Barcode" (name text primary key, parent text, barcode text);
create table "tabBin" (name text primary key, item_code text, warehouse text, actual_qty numeric, reserved_qty numeric);
create table "tabStock Ledger Entry" (name text primary key, item_code text, warehouse text, actual_qty numeric);
create table "tabQuotation Item" (name text primary key, item_code text, item_name text, qty numeric, rate numeric);
create table "tabSales Order Item" (name text primary key, item_code text, item_name text, qty numeric, rate numeric);
create table "tabSales Invoice Item" (name text primary key, item_code text, item_name text, qty numeric, rate numeric);
create table "tabCustomer" (name text primary key, customer_name text, email_id text, disabled int);
create table "tabVersion" (name text primary key, data text);
insert into "tabItem" values ('A', 'A', 'Apple', 'Fruit', 'Farm', 0, 0), ('B', 'B', 'Bean', 'Veg', 'Farm', 0, 0);
insert into "tabItem Price" values ('p1', 'A', 'Selling', 3), ('p2', 'B', 'Selling', 4), ('p3', 'A', 'Buying', 1);
insert into "tabBin" values ('b1', 'A', 'Stores', 5, 0), ('b2', 'A', 'Shop', 1, 0), ('b3', 'B', 'Stores', 9, 0);
insert into "tabStock Ledger Entry" values ('s1', 'A', 'Stores', 500), ('s2', 'B', 'Stores', 900), ('s3', 'B', 'Stores', 1);
insert into "tabSales Order Item" values ('o1', 'A', 'Apple', 2, 3), ('o2', 'A', 'Apple', 2, 3), ('o3', 'B', 'Bean', 2, 3);
