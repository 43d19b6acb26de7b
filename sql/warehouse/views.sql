-- Every column of every view of the warehouse, with the comments that sql/views gives them.
SELECT
    columns.schema_name || '.' || columns.table_name AS view_name,
    views.comment AS view_comment,
    columns.column_name,
    columns.data_type,
    columns.comment AS column_comment
FROM duckdb_columns() AS columns
JOIN duckdb_views() AS views
    ON views.database_name = columns.database_name AND views.schema_name = columns.schema_name
    AND views.view_name = columns.table_name
WHERE NOT views.internal AND columns.database_name = current_database() AND columns.schema_name <> 'main'
ORDER BY view_name, columns.column_index;
