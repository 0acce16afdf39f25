{# Add the column of a field that the mapping gained. #}
alter table {{ table | ident }} add column {{ column | ident }} {{ type | sql }};
