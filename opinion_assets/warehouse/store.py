"""Parquet files first, DuckDB second: how tables are stored, published and read back.

A partition of a table is one Parquet file, ``<data>/<schema>/<table>/<column>=<value>/part.parquet``, written to a
temporary name and renamed. ``warehouse.duckdb`` is loaded from these files in short transactions and can be rebuilt
from them at any time. What the tables look like stands in `schema`; what goes in is computed elsewhere.
"""

import hashlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from tenacity import before_sleep_log, retry, retry_if_exception, stop_after_delay, wait_random_exponential

from opinion_assets.errors import OpinionAssetsError
from opinion_assets.paths import key_of_path, path_key
from opinion_assets.warehouse import schema

_log = logging.getLogger(__name__)
Partition = Mapping[str, str]


class WarehouseBusyError(OpinionAssetsError):
    """Another process kept the warehouse file open for longer than the wait."""


@dataclass(frozen=True)
class Stored:
    """What was stored: table, partition, file, number of rows and the SHA-256 of the file as data version."""

    table: str
    partition: dict[str, str]
    path: Path
    n_rows: int
    data_version: str


@dataclass(frozen=True)
class Provenance:
    """What made a stored partition; becomes its row of ``run.lineage``."""

    run_id: str
    code_version: str
    package_version: str
    upstream: str


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, duckdb.IOException) and "lock" in str(error).lower()


class Store:
    """Tables under one data folder.

    Parameters: the folder (made when first written to) and how many seconds to wait while another process has the
    warehouse file open.
    """

    def __init__(self, folder: Path, *, wait_s: float = 300.0) -> None:
        self.folder = Path(folder)
        self.wait_s = wait_s

    @property
    def warehouse_path(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def table_dir(self, table: str) -> Path:
        schema_name, table_name = schema.table(table).name.split(".")
        return self.folder / schema_name / table_name

    def partition_path(self, table: str, partition: Partition | None = None) -> Path:
        """The file of a partition, whether or not it exists."""
        folder = self.table_dir(table)
        for column, value in (partition or {}).items():
            folder /= f"{column}={path_key(value)}"
        return folder / "part.parquet"

    def partitions(self, table: str) -> dict[Path, dict[str, str]]:
        """Files of a table that exist now, with their partition values, in a stable order."""
        folder = self.table_dir(table)
        return {
            path: {
                column: key_of_path(value)
                for column, value in (part.split("=", 1) for part in path.relative_to(folder).parts[:-1])
            }
            for path in sorted(folder.rglob("part.parquet"))
        }

    # ---------------------------------------------------------------- writing

    def write(self, table: str, frame: pd.DataFrame, partition: Partition | None = None) -> Stored:
        """Check a frame against the table and put it in place of the partition's file.

        Raises InputError before anything stored changes when the frame does not fit the table or holds rows of another
        partition.
        """
        rows = schema.to_arrow(table, frame)
        for column, value in (partition or {}).items():
            strangers = set(rows.column(column).to_pylist()) - {value}
            if strangers:
                raise OpinionAssetsError(
                    f"table {table}: rows of {column}={sorted(strangers)[0]!r} were to be stored in {column}={value!r}"
                )
        path = self.partition_path(table, partition)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            pq.write_table(rows, temporary, compression="zstd")
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
                data_version = hashlib.file_digest(file, "sha256").hexdigest()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return Stored(table, dict(partition or {}), path, rows.num_rows, data_version)

    def record(self, stored: Stored, provenance: Provenance) -> Stored:
        """Write the ``run.lineage`` row of what was stored."""
        partition = {"asset": stored.table.replace(".", "/"), "partition": partition_name(stored.partition)}
        row = {
            **partition,
            "run_id": provenance.run_id,
            "data_version": stored.data_version,
            "code_version": provenance.code_version,
            "package_version": provenance.package_version,
            "upstream": provenance.upstream,
            "n_rows": stored.n_rows,
            "materialized_at": datetime.now(UTC),
        }
        return self.write("run.lineage", pd.DataFrame([row]), partition)

    def publish(self, stored: Sequence[Stored]) -> None:
        """Load stored partitions into the warehouse: delete and insert, all in one transaction.

        Waits while another process has the warehouse open. Raises WarehouseBusyError after ``wait_s`` seconds; the
        Parquet files are kept and a later publish or :meth:`rebuild` loads them.
        """
        with self.connect() as connection:
            connection.begin()
            for item in stored:
                # Read under the write lock: of two runs of one partition, the newest file wins, whoever loads last.
                _load(connection, item.table, item.partition, [item.path])
            connection.commit()

    def rebuild(self) -> dict[str, int]:
        """Make the warehouse anew from the Parquet files alone. Returns the number of rows of each table.

        The new file replaces the old one by a rename, so that a reader sees either the old or the new one.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        new = self.folder / f".warehouse-{uuid.uuid4().hex}.duckdb"
        counts = {}
        try:
            with duckdb.connect(str(new)) as connection:
                schema.create_tables(connection)
                for table in schema.tables():
                    files = list(self.partitions(table))
                    if files:
                        connection.from_parquet([str(file) for file in files], hive_partitioning=False).insert_into(
                            table
                        )
                    counts[table] = len(connection.table(table))
                schema.create_views(connection)
            if self.warehouse_path.exists():
                with self.connect(create=False):
                    new.replace(self.warehouse_path)
            else:
                new.replace(self.warehouse_path)
        finally:
            new.unlink(missing_ok=True)
            shutil.rmtree(new.with_suffix(".duckdb.tmp"), ignore_errors=True)
        return counts

    # ---------------------------------------------------------------- reading

    def read(self, table: str, **partition: str) -> pd.DataFrame:
        """Rows of a table from its Parquet files, all of them or those whose partition values are as given.

        Missing files give an empty frame with the table's columns.
        """
        parts = [pq.ParquetFile(file).read() for file in self._files(table, partition)]
        return pa.concat_tables(parts or [schema.table(table).arrow_schema.empty_table()]).to_pandas()

    def read_where(self, table: str, columns: Sequence[str], condition: pc.Expression) -> pd.DataFrame:
        """Some columns of the rows that fulfil a condition, of all partitions; texts are categories.

        For tables of millions of rows of which few are wanted: only these are held in memory.
        """
        definition = schema.table(table).arrow_schema
        texts = [field.name for field in definition if pa.types.is_string(field.type)]
        options = ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(dictionary_columns=texts))
        wanted = pa.schema(
            [
                field.with_type(pa.dictionary(pa.int32(), pa.string())) if field.name in texts else field
                for field in definition
            ]
        )
        files = [str(file) for file in self.partitions(table)]
        rows = ds.dataset(files, schema=wanted, format=options).to_table(columns=list(columns), filter=condition)
        return rows.unify_dictionaries().to_pandas()

    def exists(self, table: str, **partition: str) -> bool:
        """Whether any matching partition is stored."""
        return bool(self._files(table, partition))

    def _files(self, table: str, partition: Partition) -> list[Path]:
        return [path for path, values in self.partitions(table).items() if partition.items() <= values.items()]

    def data_versions(self, assets: Sequence[str], partition: Partition) -> dict[str, str]:
        """Data versions of upstream assets, as ``run.lineage`` has them: the same partition where the asset has one."""
        lineage = self.read("run.lineage")
        own = partition_name(partition)
        found = {}
        for row in lineage[lineage["asset"].isin(assets)].to_dict("records"):
            asset, partition_of_row = row["asset"], row["partition"]
            if partition_of_row == own or not _same_columns(partition_of_row, own):
                found[f"{asset}/{partition_of_row}" if partition_of_row else asset] = row["data_version"]
        return dict(sorted(found.items()))

    @contextmanager
    def working_copy(self, tables: Sequence[str], **partition: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """An in-memory DuckDB with all tables of the warehouse; those named are filled from the Parquet files.

        A partition value restricts the tables that are partitioned by that column and leaves the others whole. For
        running the queries of sql/ without touching, or waiting for, the warehouse file.
        """
        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            schema.create_tables(connection)
            for table in tables:
                files = [
                    str(path)
                    for path, values in self.partitions(table).items()
                    if all(values.get(column, value) == value for column, value in partition.items())
                ]
                if files:
                    connection.from_parquet(files, hive_partitioning=False).insert_into(table)
            yield connection

    @contextmanager
    def connect(self, *, read_only: bool = False, create: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse file, with all tables and views made. Waits while another process has it open.

        Raises WarehouseBusyError after ``wait_s`` seconds, and OpinionAssetsError when the file was made by a release
        with other columns.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if read_only and not self.warehouse_path.exists():
            raise OpinionAssetsError(
                f"{self.warehouse_path}: there is no warehouse yet; run `opinion-assets run` first"
            )
        wait = retry(
            retry=retry_if_exception(_is_locked),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            stop=stop_after_delay(self.wait_s),
            before_sleep=before_sleep_log(_log, logging.DEBUG),
            reraise=True,
        )
        try:
            connection = wait(lambda: duckdb.connect(str(self.warehouse_path), read_only=read_only))()
        except duckdb.IOException as error:
            if _is_locked(error):
                raise WarehouseBusyError(
                    f"{self.warehouse_path} was open in another process for {self.wait_s:.0f} s; "
                    "close it there and run again"
                ) from error
            raise
        try:
            connection.execute("SET TimeZone = 'UTC'")
            if create and not read_only:
                _check_columns(connection, self.warehouse_path)
                schema.create_tables(connection)
                schema.create_views(connection)
            yield connection
        finally:
            connection.close()


def partition_name(partition: Partition) -> str:
    """A partition as ``run.lineage`` writes it.

    >>> partition_name({"model_version": "m@1", "condition": "default"})
    'model_version=m@1/condition=default'
    """
    return "/".join(f"{column}={value}" for column, value in partition.items())


def _same_columns(one: str, other: str) -> bool:
    def columns(name: str) -> list[str]:
        return [part.split("=", 1)[0] for part in name.split("/") if part]

    return columns(one) == columns(other)


def _load(connection: duckdb.DuckDBPyConnection, table: str, partition: Partition, files: Sequence[Path]) -> None:
    predicate = " AND ".join(f'"{column}" = ?' for column in partition) or "true"
    statement = schema.read_sql("warehouse/delete_partition.sql").format(table=table, predicate=predicate)
    connection.execute(statement, list(partition.values()))
    connection.from_parquet([str(file) for file in files], hive_partitioning=False).insert_into(table)


def _check_columns(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    has = schema.catalogue(connection).groupby("table_name")["column_name"].agg(list).to_dict()
    for name, definition in schema.tables().items():
        if name in has and has[name] != definition.column_names:
            raise OpinionAssetsError(
                f"{path}: table {name} has the columns of another release; run `opinion-assets rebuild` to make it anew"
            )
