{# What the rules over several rows compare, of so many rows and one more. #}
select
    _key,
    _group,
    _shared
    {%- for column in columns %},
    {{ column | ident }},
    fold({{ column | ident }}) as {{ ("folded " ~ column) | ident }}
    {%- endfor +%}
from run.compared
limit {{ most + 1 }};
