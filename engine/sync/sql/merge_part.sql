{# Move the first rows of a table behind the others. A part of which no row is left is removed. #}
insert into {{ table | ident }}
select *
from {{ table | ident }}
where rowid <= $last;

delete from {{ table | ident }}
where rowid <= $last;
