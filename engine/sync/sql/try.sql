{# What is about to be sent for the first time: until it is answered, Stock2Shop may hold it or not. All of the batch
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
from run.slice
where
    position > {{ after }}
    and position <= {{ upto }}
    and kind = 'insert'
    and not is_tried;
