create table Artist (ArtistId integer primary key, Name text);
create table Album (AlbumId integer primary key, Title text, ArtistId int references Artist (ArtistId));
create table Genre (GenreId integer primary key, Name text);
create table Track (TrackId integer primary key, Name text, AlbumId int references Album (AlbumId),
    GenreId int references Genre (GenreId), Composer text, UnitPrice numeric);
create table Playlist (PlaylistId integer primary key, Name text);
create table PlaylistTrack (PlaylistId int references Playlist (PlaylistId), TrackId int references Track (TrackId),
    primary key (PlaylistId, TrackId));
create table Employee (EmployeeId integer primary key, LastName text, FirstName text, Title text, Email text);
create table Customer (CustomerId integer primary key, FirstName text, LastName text, Email text, Phone text);
create table Invoice (InvoiceId integer primary key, CustomerId int references Customer (CustomerId), Total numeric);
create table InvoiceLine (InvoiceLineId integer primary key, InvoiceId int references Invoice (InvoiceId),
    TrackId int references Track (TrackId), UnitPrice numeric, Quantity int);
insert into Artist values (1, 'Band');
insert into Album values (1, 'First', 1), (2, 'Second', 1);
insert into Genre values (1, 'Jazz');
insert into Track values (1, 'Opening', 1, 1, 'x', 0.99), (2, 'Middle', 1, 1, 'x', 0.99), (3, 'End', 2, 1, 'x', 1.99);
insert into InvoiceLine values (1, 1, 1, 0.99, 1), (2, 1, 2, 0.99, 1);
insert into Customer values (1, 'Ann', 'Day', 'ann@example.com', '1');
