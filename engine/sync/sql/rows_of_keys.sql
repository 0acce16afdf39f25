select *
from {{ table | sql }}
where _key in (select unnest($1::varchar[]));
