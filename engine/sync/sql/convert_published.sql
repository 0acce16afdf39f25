{# Replace the rows that were sent with the product fields of another variant by what was sent. #}
delete from {{ published | ident }}
where _key in (select _key from run.overridden);

insert into {{ published | ident }} by name
select * replace ({{ fingerprint | sql }} as _fingerprint)
from run.overridden;
