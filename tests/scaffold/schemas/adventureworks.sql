create table ProductSubcategory (ProductSubcategoryID integer primary key, Name text);
create table ProductModel (ProductModelID integer primary key, Name text);
create table Product (ProductID integer primary key, Name text, ProductNumber text, Color text, Size text,
    SafetyStockLevel int, StandardCost numeric, ListPrice numeric,
    ProductSubcategoryID int references ProductSubcategory (ProductSubcategoryID), SellStartDate text);
create table Location (LocationID integer primary key, Name text);
create table ProductInventory (ProductID int references Product (ProductID), LocationID int references Location (LocationID),
    Shelf text, Bin int, Quantity int, primary key (ProductID, LocationID));
create table ProductListPriceHistory (ProductID int references Product (ProductID), StartDate text, ListPrice numeric);
create table ProductReview (ProductReviewID integer primary key, ProductID int references Product (ProductID), Comments text);
create table TransactionHistory (TransactionID integer primary key, ProductID int references Product (ProductID), Quantity int);
create table ShoppingCartItem (ShoppingCartItemID integer primary key, ProductID int references Product (ProductID), Quantity int);
create table SalesOrderDetail (SalesOrderDetailID integer primary key, ProductID int references Product (ProductID),
    OrderQty int, UnitPrice numeric);
create table Customer (CustomerID integer primary key, AccountNumber text, PersonID int);
create table EmailAddress (EmailAddressID integer primary key, PersonID int, EmailAddress text);
create view vProductAndDescription as select ProductID, Name from Product where Size is not null;
insert into ProductSubcategory values (1, 'Frames');
insert into Product values (1, 'Frame', 'FR-1', 'Red', 'M', 5, 50, 100, 1, ''), (2, 'Fork', 'FK-1', '', '', 5, 20, 60, 1, '');
insert into ProductInventory values (1, 1, 'A', 1, 4), (1, 2, 'A', 1, 6), (2, 1, 'A', 1, 3);
insert into TransactionHistory values (1, 1, 900), (2, 2, 800), (3, 1, 700);
insert into SalesOrderDetail values (1, 1, 5, 100), (2, 2, 5, 60);
