-- Karoo Outfitters, an invented wholesaler: about 2,000 items in the shape, and with the dirt, of a real ERP.
create table item (
    code char(20),
    style varchar,
    descr varchar,
    notes varchar,
    brand varchar,
    category varchar,
    web varchar,
    barcode varchar,
    weight_kg decimal(10, 3),
    size varchar,
    colour varchar
);

create table price_list (
    list_no integer,
    name varchar
);

create table price (
    code char(20),
    list_no integer,
    amount decimal(18, 4)
);

create table stock (
    code char(20),
    warehouse varchar,
    on_hand decimal(18, 4),
    on_order decimal(18, 4)
);

insert into price_list values (1, 'Retail'), (2, 'Trade'), (3, 'Export');

-- Simple products, their codes padded as CHAR columns pad them.
insert into item
select
    rpad(printf('TOOL-%04d', n), 20, ' '),
    null,
    ['Claw hammer', 'Camping stove', 'Head lamp', 'Water can', 'Tent peg set', 'Braai tongs'][1 + n % 6] || ' ' || n,
    case when n % 3 = 0 then '<p>Made for <b>hard</b> ground.</p>' when n % 3 = 1 then '' end,
    ['Karoo', 'Veld & Sons', 'Kudu'][1 + n % 3],
    ['Tools', 'Camp kitchen', 'Lighting'][1 + n % 3],
    ['Yes', 'yes', 'YES ', 'Yes', 'Y'][1 + n % 5],
    printf('60010%08d', n),
    0.25 + (n % 40) / 8.0,
    '',
    null
from range(1, 1401) as numbers(n);

-- Shirts in four sizes and two colours.
insert into item
select
    rpad(printf('SHIRT-%02d-%s-%s', style, size, left(colour, 2)), 20, ' '),
    printf('SHIRT-%02d', style),
    printf('Bush shirt no. %d', style),
    '<p>Cotton.</p>',
    'Kudu',
    'Clothing',
    'Yes',
    null,
    0.3,
    size,
    colour
from range(1, 71) as styles(style)
cross join (select unnest(['S', 'M', 'L', 'XL']) as size)
cross join (select unnest(['Khaki', 'Olive']) as colour);

insert into price
select
    code,
    list_no,
    round((20 + hash(code) % 900) * [1.0, 0.8, 0.7][list_no], 4)
from item
cross join price_list;

insert into stock
select
    code,
    warehouse,
    (hash(code, warehouse) % 60)::decimal(18, 4),
    (hash(warehouse, code) % 5)::decimal(18, 4)
from item
cross join (select unnest(['JHB', 'CPT']) as warehouse);

-- The dirt: items that are not for the web, items that are to go, and a few that are broken.
update item set web = '' where trim(code) like 'TOOL-00%';
update item set web = 'Delete' where trim(code) in ('TOOL-1390', 'TOOL-1391');
update item set web = 'Maybe' where trim(code) = 'TOOL-1300';
update item set descr = '   ' where trim(code) in ('TOOL-1301', 'TOOL-1302');
update item set barcode = '6001000001303' where trim(code) in ('TOOL-1303', 'TOOL-1304');
update item set size = null where trim(code) = 'SHIRT-70-XL-Ol';
update item set descr = 'Bush shirt number 69' where trim(code) = 'SHIRT-69-M-Kh';
update stock set on_hand = -4 where trim(code) = 'TOOL-0500' and warehouse = 'JHB';
insert into item values ('', null, 'An item without a code', null, null, null, 'Yes', null, 0, null, null);

-- Customers, one of them without an address to write to, and one on hold.
create table customer (
    account varchar primary key,
    contact varchar,
    surname varchar,
    email varchar,
    phone varchar,
    town varchar,
    on_hold varchar,
    list_name varchar
);

insert into customer
select
    'CUST' || lpad(n::varchar, 3, '0') as account,
    'Contact ' || n as contact,
    'Example' as surname,
    'buyer' || n || '@example.com' as email,
    '010 000 ' || lpad(n::varchar, 4, '0') as phone,
    case when n % 2 = 0 then 'Beaufort West' else 'Graaff-Reinet' end as town,
    case when n = 40 then 'Yes' else 'No' end as on_hold,
    case when n % 3 = 0 then 'Export' else 'Trade' end as list_name
from range(1, 41) as numbers(n);

update customer set email = 'no e-mail' where account = 'CUST007';
insert into customer values ('CASH', 'Cash', 'Sales', 'cash@example.com', null, null, 'Yes', null);

-- Where orders are raised.
create sequence order_number start 5001;

create table sales_order (
    number integer default nextval('order_number') primary key,
    stock2shop_id bigint unique,
    reference varchar,
    account varchar not null,
    placed_at timestamp,
    warehouse varchar
);

create table sales_line (
    number integer,
    line integer,
    code varchar,
    quantity decimal(12, 2),
    price decimal(12, 4)
);
