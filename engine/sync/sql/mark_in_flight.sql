{# The inserts that are about to be sent: until they are answered, nobody knows whether Stock2Shop holds them. The batch
   before was answered. #}
delete from tried
where
    entity = {{ entity }}
    and under_way;

insert into tried
select
    {{ entity }} as entity,
    _key,
    _group,
    true as under_way
from run.window_rows
where
    position > {{ after }}
    and position <= {{ upto }}
    and kind = 'insert'
    and not is_tried;
