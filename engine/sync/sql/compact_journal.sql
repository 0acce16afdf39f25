{# Fold the journal of acknowledged rows into published. A key that was removed and created again is in it twice: the row
   that was created is what counts. #}
delete from {{ published | ident }}
where _key in (select _key from {{ acknowledged | ident }});

insert into {{ published | ident }} by name
select * exclude (_kind)
from {{ acknowledged | ident }}
where _kind = 'upsert';

delete from {{ settled | ident }}
where _key in (select _key from {{ acknowledged | ident }});

insert into {{ settled | ident }}
select
    _key,
    _group,
    _raw,
    'Delete' as _flag
from {{ acknowledged | ident }}
where
    _kind = 'marked'
    and _raw is not null;

{# Not those that were removed: one may have been created anew after that, and not been acknowledged. #}
delete from tried
where
    entity = {{ entity }}
    and key in (select _key from {{ acknowledged | ident }} where _kind = 'upsert');

delete from {{ acknowledged | ident }};
