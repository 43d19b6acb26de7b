"""The DuckDB warehouse and the Parquet files behind it."""

from opinion_assets.warehouse.schema import Column, Table, create_tables, read_sql, table, tables
from opinion_assets.warehouse.store import Provenance, Store, Stored, WarehouseBusyError, partition_name

__all__ = [
    "Column",
    "Provenance",
    "Store",
    "Stored",
    "Table",
    "WarehouseBusyError",
    "create_tables",
    "partition_name",
    "read_sql",
    "table",
    "tables",
]
