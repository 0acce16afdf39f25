{# What is about to be sent for the first time: until it is answered, Stock2Shop may hold it or not. #}
insert into tried
select
    {{ entity }} as entity,
    _key,
    _group
from run.slice
where
    position > {{ after }}
    and position <= {{ upto }}
    and kind = 'insert'
    and _key not in (select key from tried where entity = {{ entity }});
