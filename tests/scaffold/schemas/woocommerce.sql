create table wp_posts (ID integer primary key, post_author int, post_title text, post_name text, post_status text,
    post_type text, post_parent int);
create table wp_postmeta (meta_id integer primary key, post_id int, meta_key text, meta_value text);
create table wp_users (ID integer primary key, user_login text, user_email text, display_name text);
create table wp_wc_product_meta_lookup (product_id integer primary key, sku text, min_price numeric, stock_quantity int);
create table wp_wc_customer_lookup (customer_id integer primary key, first_name text, last_name text, email text);
create table wp_wc_order_product_lookup (order_item_id integer primary key, product_id int, product_qty int);
create table wp_woocommerce_order_items (order_item_id integer primary key, order_item_name text, order_id int);
create table wp_terms (term_id integer primary key, name text, slug text);
insert into wp_posts values (1, 1, 'Hello', 'hello', 'publish', 'post', 0), (2, 1, 'Pot', 'pot', 'publish', 'product', 0),
    (3, 1, 'Pan', 'pan', 'publish', 'product', 0), (4, 1, 'Pan S', 'pan-s', 'publish', 'product_variation', 3);
insert into wp_postmeta values (1, 2, '_sku', 'POT'), (2, 2, '_price', '50'), (3, 2, '_stock', '4'), (4, 3, '_sku', 'PAN'),
    (5, 3, '_price', '80'), (6, 3, '_stock', '2'), (7, 4, '_sku', 'PAN-S'), (8, 4, '_price', '70'), (9, 4, '_stock', '1'),
    (10, 1, '_edit_last', '1');
insert into wp_wc_customer_lookup values (1, 'Ann', 'Day', 'ann@example.com');
