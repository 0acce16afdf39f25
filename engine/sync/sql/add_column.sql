alter table {{ table | ident }} add column {{ column | ident }} {{ type | sql }};
