create table Categories (CategoryID integer primary key, CategoryName text);
create table Suppliers (SupplierID integer primary key, CompanyName text, ContactName text);
create table Products (ProductID integer primary key, ProductName text, SupplierID int references Suppliers (SupplierID),
    CategoryID int references Categories (CategoryID), UnitPrice numeric, UnitsInStock int, UnitsOnOrder int, Discontinued int);
create table Orders (OrderID integer primary key, CustomerID text, ShipName text);
create table "Order Details" (OrderID int references Orders (OrderID), ProductID int references Products (ProductID),
    UnitPrice numeric, Quantity int, primary key (OrderID, ProductID));
create table Customers (CustomerID text primary key, CompanyName text, ContactName text, Phone text);
create table Employees (EmployeeID integer primary key, LastName text, FirstName text, Title text);
create view "Current Product List" as select ProductID, ProductName from Products where Discontinued = 0;
create view "Products by Category" as select p.ProductName, c.CategoryName, p.UnitsInStock as Quantity from Products p
    join Categories c on c.CategoryID = p.CategoryID where p.Discontinued = 0;
create view "Product Sales" as select ProductID, sum(Quantity) as Quantity, max(UnitPrice) as UnitPrice from "Order Details"
    group by ProductID;
insert into Categories values (1, 'Tea'), (2, 'Coffee');
insert into Suppliers values (1, 'Leaf', 'Bo');
insert into Products values (1, 'Rooibos', 1, 1, 18, 39, 0, 0), (2, 'Honeybush', 1, 1, 19, 17, 40, 0), (3, 'Mocha', 1, 2, 10, 0, 0, 1);
insert into Orders values (1, 'ALF', 'x');
insert into "Order Details" values (1, 1, 18, 500), (1, 2, 19, 300);
insert into Customers values ('ALF', 'Alf & Co', 'Alf', '1');
