{# Nothing is published yet: the journal becomes what is, and the empty table the next journal. No row is written again. #}
{% if has_settled %}
delete from {{ settled | ident }}
where _key in (select _key from {{ acknowledged | ident }});
{% endif %}

{% if has_doubts %}
{# A journal that an older version wrote leaves in doubt what it acknowledges. #}
delete from in_doubt
where
    entity = {{ entity }}
    and (key, product) in (select (_key, _group) from {{ acknowledged | ident }});
{% endif %}

alter table {{ published | ident }} rename to empty_table;

alter table {{ acknowledged | ident }} rename to {{ published | ident }};

alter table {{ published | ident }} drop column _kind;

alter table empty_table rename to {{ acknowledged | ident }};

alter table {{ acknowledged | ident }} add column _kind varchar;

alter table {{ acknowledged | ident }} alter column _kind set not null;
