{# Where it is done in parts: of the rows that were sent, those of run.journal_part alone. #}
{% set of_part %}{% if in_parts %} and _group in (select _group from run.journal_part){% endif %}{% endset %}
{# Fold the journal of acknowledged rows into published. A key that was removed and created again is in it twice: the row
   that was created is what counts. A removal is of one product only: the key may be published under another. #}
{% if shared and has_siblings %}
{# Product fields are of the product: what its variants were sent with is what Stock2Shop has of them for the other ones
   too, which were not sent. Those are compared again, and never found unchanged. #}
update {{ published | ident }}
set
    {%- for name in shared %}
    {{ name | ident }} = sent.{{ name | ident }},
    {%- endfor %}
    _raw = null,
    _own = null,
    _fingerprint = 0
from (
    select *
    from {{ acknowledged | ident }}
    where
        _kind = 'upsert'{{ of_part | sql }}
        and _group in (
            select _group
            from {{ published | ident }}
            where
                _group in (select _group from {{ acknowledged | ident }} where _kind = 'upsert'{{ of_part | sql }})
                and _key not in (select _key from {{ acknowledged | ident }} where _kind = 'upsert')
        )
    qualify row_number() over (partition by _group order by _key) = 1
) as sent
where
    {{ published | ident }}._group = sent._group
    and {{ published | ident }}._key not in (select _key from {{ acknowledged | ident }} where _kind = 'upsert')
    and (
        {%- for name in shared %}
        {{ published | ident }}.{{ name | ident }} is distinct from sent.{{ name | ident }}{% if not loop.last %} or{% endif %}
        {%- endfor %}

    );
{% endif %}

{% if shared %}
{# Where a variant was removed, what the other ones were sent with may have been its own: they are compared again. Those
   that the same run sent are in the journal, too; it may have broken off before it did. #}
update {{ published | ident }}
set _raw = null
where
    _own is not null
    and _group in (select _group from {{ acknowledged | ident }} where _kind <> 'upsert');

{% endif %}
delete from {{ published | ident }}
where
    _key in (select _key from {{ acknowledged | ident }} where _kind = 'upsert'{{ of_part | sql }})
    or (_key, _group) in (select (_key, _group) from {{ acknowledged | ident }} where _kind <> 'upsert');

insert into {{ published | ident }} by name
select * exclude (_kind)
from {{ acknowledged | ident }}
where _kind = 'upsert'{{ of_part | sql }};

{% if has_settled %}
delete from {{ settled | ident }}
where _key in (select _key from {{ acknowledged | ident }});
{% endif %}

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

{% if has_doubts %}
{# A journal that an older version wrote leaves in doubt what it acknowledges. #}
delete from in_doubt
where
    entity = {{ entity }}
    and (key, product) in (select (_key, _group) from {{ acknowledged | ident }} where _kind = 'upsert'{{ of_part | sql }});
{% endif %}

{% if in_parts %}
delete from {{ acknowledged | ident }}
where
    _kind <> 'upsert'
    or _group in (select _group from run.journal_part);
{% else %}
delete from {{ acknowledged | ident }};
{% endif %}
