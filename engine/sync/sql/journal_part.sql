{# The products whose rows come first in the journal: about so many rows. All rows of a product are folded together. #}
create or replace table run.journal_part as
select distinct _group
from (
    select _group
    from {{ acknowledged | ident }}
    where _kind = 'upsert'
    order by rowid
    limit {{ rows }}
);
