{# Nothing counts as published any more, and nothing as allowed, refused or withheld; history stays. #}
{% for table in tables %}
delete from {{ table | ident }};

{% endfor %}
