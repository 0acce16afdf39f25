{# How many rows a table of the state has, with those that are deleted, and in how many parts. #}
select
    (select count(*) from {{ table | ident }}) as live,
    (
        select any_value(estimated_size)
        from duckdb_tables()
        where
            database_name = current_database()
            and table_name = {{ table }}
    ) as held,
    (select count(distinct row_group_id) from pragma_storage_info({{ table }})) as parts;
