-- Remove one partition of a table before it is loaded again. The code puts the table's name and, for each partition
-- column, `column = ?` in the places in braces; the values are bound. Without partition columns: the whole table.
DELETE FROM {table} WHERE {predicate};
