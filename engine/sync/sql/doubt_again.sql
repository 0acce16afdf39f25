{# What a machine left unanswered that vanished is in doubt again. Of a removal that came late nothing is to be feared where
   nothing of its key is published since: a row that came back is inserted by this very run. #}
insert into in_doubt
select
    $entity as entity,
    row ->> '$[0]' as key,
    row ->> '$[1]' as product,
    row ->> '$[2]' as kind,
    (row ->> '$[3]')::ubigint as fingerprint,
    (row ->> '$[4]')::ubigint as shared,
    (row -> '$[5]')::varchar[] as unclearable,
    null as position
from (select unnest(json_extract($rows::json, '$[*]')) as row)
where
    (row ->> '$[2]') <> 'delete'
    or (row ->> '$[0]') in (select _key from {{ published | ident }});
