-- Every column of every table of the warehouse, with the comments that sql/tables gives them.
SELECT
    columns.schema_name || '.' || columns.table_name AS table_name,
    tables.comment AS table_comment,
    columns.column_name,
    columns.data_type,
    columns.is_nullable,
    columns.comment AS column_comment
FROM duckdb_columns() AS columns
JOIN duckdb_tables() AS tables USING (database_name, schema_name, table_name)
WHERE NOT columns.internal AND columns.database_name = current_database() AND columns.schema_name <> 'main'
ORDER BY tables.table_oid, columns.column_index;
