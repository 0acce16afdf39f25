{# Everything that is about to be sent is in doubt until it is answered. #}
insert into in_doubt
select
    {{ entity }} as entity,
    _key as key,
    _group as product,
    kind,
    _fingerprint as fingerprint,
    _shared as shared,
    {% if unclearable %}
    {# A variant that leaves its product for another one is published in that one alone from then on: what it may keep in
       the old one where its removal is refused is known from here. #}
    case
        when kind <> 'delete' or _moves_away
            then list_filter(
                [
                    {%- for each in unclearable %}
                    case when {{ each.window_row | sql }} then {{ each.column }} end{% if not loop.last %},{% endif %}
                    {%- endfor %}
                ],
                lambda name: name is not null
            )
    end
    {%- else %}
    null
    {%- endif %} as unclearable,
    position
from run.window_rows as window_rows
where
    position > $after
    and position <= $upto;
