"""The schema registry: sql/tables/*.sql, read back from DuckDB's own catalogue.

The SQL files are the one place where a table, its columns, their types and their meaning are written down. The
warehouse, the Parquet files, the checks before storing and the data dictionary all follow from here. What a *value*
must fulfil beyond its type and NOT NULL stands in the package that makes the table, or in a CHECK in the SQL file.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.paths import sql_dir


@dataclass(frozen=True)
class Column:
    """A column of a table: name, DuckDB type, whether NULL is allowed, and its comment."""

    name: str
    type: str
    nullable: bool
    comment: str


@dataclass(frozen=True)
class Table:
    """A table of the warehouse; ``name`` is ``schema.table``, which is also the key of the asset that makes it."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    arrow_schema: pa.Schema

    @property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]


def read_sql(name: str) -> str:
    """Text of a file under sql/, e.g. ``similarity/country.sql``."""
    return (sql_dir() / name).read_text(encoding="utf-8")


def _scripts(folder: str) -> list[Path]:
    return sorted((sql_dir() / folder).glob("*.sql"))


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create what is missing of every schema and table (sql/tables/*.sql) and renew every view (sql/views/*.sql)."""
    for script in _scripts("tables"):
        connection.execute(script.read_text(encoding="utf-8"))


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create or renew every view of sql/views/*.sql. Their tables must exist."""
    for script in _scripts("views"):
        connection.execute(script.read_text(encoding="utf-8"))


def catalogue(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The columns that a DuckDB connection has now (sql/warehouse/catalogue.sql), one row a column."""
    return connection.execute(read_sql("warehouse/catalogue.sql")).df()


@cache
def tables() -> dict[str, Table]:
    """Every table of sql/tables/*.sql by its name, in the order of the files."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_tables(connection)
        found: dict[str, Table] = {}
        for name, rows in catalogue(connection).groupby("table_name", sort=False):
            columns = tuple(
                Column(row["column_name"], row["data_type"], bool(row["is_nullable"]), row["column_comment"] or "")
                for row in rows.to_dict("records")
            )
            schema = pa.schema(
                [
                    pa.field(field.name, field.type, nullable=column.nullable)
                    for field, column in zip(connection.table(str(name)).to_arrow_table().schema, columns, strict=True)
                ]
            )
            found[str(name)] = Table(str(name), rows.table_comment.iloc[0] or "", columns, schema)
    return found


def table(name: str) -> Table:
    """The table of that name. Raises UnknownNameError."""
    try:
        return tables()[name]
    except KeyError:
        raise UnknownNameError(f"no table {name!r} in sql/tables; there are {', '.join(tables())}") from None


def to_arrow(name: str, frame: pd.DataFrame) -> pa.Table:
    """A frame as an Arrow table with exactly the columns, order and types of the warehouse table.

    Raises InputError naming the table, the row (from 0) and the field on a missing or unexpected column, a NULL in a
    NOT NULL column, or a value that its type cannot hold.
    """
    definition = table(name)
    missing = [column for column in definition.column_names if column not in frame.columns]
    extra = [column for column in frame.columns if column not in definition.column_names]
    if missing or extra:
        problem = "; ".join(
            part
            for part in (
                f"column {', '.join(map(str, missing))} is missing" if missing else "",
                f"column {', '.join(map(str, extra))} is not in sql/tables" if extra else "",
            )
            if part
        )
        raise InputError(problem, file=f"table {name}")
    arrays = []
    for column, field in zip(definition.columns, definition.arrow_schema, strict=True):
        values = frame[column.name]
        if not column.nullable and values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            raise InputError("NULL is not allowed here", file=f"table {name}", row=row, field=column.name)
        try:
            arrays.append(pa.Array.from_pandas(values, type=field.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, TypeError, ValueError) as error:
            raise InputError(
                f"does not fit {column.type}: {str(error).splitlines()[0]}", file=f"table {name}", field=column.name
            ) from error
    result = pa.Table.from_arrays(arrays, schema=definition.arrow_schema)
    check_constraints(name, result)
    return result


def check_constraints(name: str, rows: pa.Table) -> None:
    """Insert into a scratch copy of the table, so that its CHECK constraints speak before anything stored changes."""
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        try:
            connection.from_arrow(rows).insert_into(name)
        except duckdb.ConstraintException as error:
            raise InputError(str(error).splitlines()[0], file=f"table {name}") from error
