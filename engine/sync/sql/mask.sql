{# Hide what is about a person in the rows of the window. #}
{% for column in columns %}
update run.window_rows
set {{ column | ident }} = '***'
where {{ column | ident }} <> '';
{% endfor %}
