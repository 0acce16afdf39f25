create table llx_product (rowid integer primary key, ref text, label text, description text, price real, price_ttc real,
    cost_price real, barcode text, stock real, tosell int, fk_product_type int);
create table llx_product_stock (rowid integer primary key, fk_product int, fk_entrepot int, reel real);
create table llx_product_price (rowid integer primary key, fk_product int, price_level int, price real);
create table llx_product_lang (rowid integer primary key, fk_product int, lang text, label text);
create table llx_categorie (rowid integer primary key, label text);
create table llx_categorie_product (fk_categorie int, fk_product int, primary key (fk_categorie, fk_product));
create table llx_propaldet (rowid integer primary key, fk_propal int, fk_product int, label text, qty real, price real);
create table llx_commandedet (rowid integer primary key, fk_commande int, fk_product int, label text, qty real, price real);
create table llx_facturedet (rowid integer primary key, fk_facture int, fk_product int, label text, qty real, price real);
create table llx_societe (rowid integer primary key, nom text, code_client text, email text, phone text, status int);
insert into llx_product values (1, 'P-1', 'Chaise', '', 40, 48, 20, '400', 6, 1, 0), (2, 'P-2', 'Table', '', 90, 108, 50, '401', 2, 1, 0);
insert into llx_product_stock values (1, 1, 1, 4), (2, 1, 2, 2), (3, 2, 1, 2);
insert into llx_product_price values (1, 1, 1, 40), (2, 1, 2, 38), (3, 2, 1, 90);
insert into llx_commandedet values (1, 1, 1, 'Chaise', 2, 40), (2, 1, 2, 'Table', 1, 90), (3, 2, 1, 'Chaise', 2, 40);
insert into llx_societe values (1, 'Dupont', 'CU1', 'd@example.com', '01', 1);
