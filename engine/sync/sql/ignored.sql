{# How many rows are flagged Ignore that Stock2Shop acknowledged before. #}
select count(*)
from {{ published | ident }}
where _key in (
    select key
    from {{ ("run.known" if unchanged else "run.matched") | sql }}
    where standing = 'Ignore'
    {% if not unchanged %}
    union all
    select _key
    from run.landed
    where
        _flag = 'Ignore'
        and _key is not null
    {% endif %}
);
