{# How many rows each product of the delta has in a window, and how many bytes they have, in the order of sending. #}
select
    outgoing._group,
    count(*) as rows,
    {% if weigh %}
    coalesce(sum(landed._size), 0)::bigint as bytes
    {% else %}
    0 as bytes
    {% endif %}
from run.outgoing as outgoing
{% if weigh %}
left join run.landed as landed
    on landed._raw = outgoing._raw
{% endif %}
where
    outgoing.position > $after
    and outgoing.position <= $upto
group by outgoing._group
order by min(outgoing.position);
