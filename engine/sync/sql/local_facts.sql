{# What there is for the local outcomes to change: most runs have little of it, and each statement costs. #}
(select 'has_settled' as fact from {{ settled | ident }} limit 1)
union all
(select 'has_ignored' as fact from run.landed where _flag = 'Ignore' limit 1)
union all
(select 'has_unchanged' as fact from run.verdict where verdict = 'unchanged' limit 1)
union all
(select 'has_violations' as fact from run.violation limit 1)
union all
(select 'has_quarantine' as fact from quarantine where entity = {{ entity }} and resolved_at is null limit 1)
union all
(select 'has_withheld' as fact from held where entity = {{ entity }} limit 1)
union all
(select 'has_blank_rows' as fact from run.blank_row limit 1);
