"""What every asset shares: partitions, the store, table metadata, storing with checks. No asset stands here."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

import opinion_assets
from opinion_assets.paths import data_dir, sql_dir
from opinion_assets.warehouse import Provenance, Store, Stored, partition_name, table

OWNERS = ["team:opinion_assets"]

model_versions = dg.DynamicPartitionsDefinition(name="model_version")
conditions = dg.DynamicPartitionsDefinition(name="condition")
by_model_and_condition = dg.MultiPartitionsDefinition({"model_version": model_versions, "condition": conditions})

# Steps that write the warehouse take turns; a pool's limit is 1 unless dagster.yaml says otherwise.
WAREHOUSE_POOL = "warehouse"


class StoreResource(dg.ConfigurableResource[Store]):
    """The data folder: Parquet files, journals, snapshots and the DuckDB warehouse."""

    folder: str = ""
    """Empty for $OPINION_DATA_DIR, or ``data`` under the current directory."""

    def store(self) -> Store:
        return Store(Path(self.folder) if self.folder else data_dir())


@dataclass(frozen=True)
class Check:
    """A condition that a table must fulfil before it is stored.

    ``find`` gets the frame and returns the offending rows; none means passed.
    """

    name: str
    description: str
    find: Callable[[pd.DataFrame], pd.DataFrame]
    blocking: bool = True

    def spec(self, key: dg.AssetKey) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(self.name, asset=key, description=self.description, blocking=self.blocking)


def asset_key(table_name: str) -> dg.AssetKey:
    """``similarity.country`` → AssetKey(["similarity", "country"])."""
    return dg.AssetKey(table_name.split("."))


# What an asset's numbers and pages are made from.
_SOURCES = {".py", ".sql", ".yaml", ".json", ".js", ".css", ".j2"}


@cache
def code_version(*parts: str) -> str:
    """First 12 hex digits of the SHA-256 over the source files of the named packages and sql/ folders.

    An asset names the code that decides its numbers, so that a change there, and only there, marks it stale.
    """
    package = Path(opinion_assets.__file__).parent
    digest = hashlib.sha256()
    for part in parts:
        root = sql_dir() / part.removeprefix("sql/") if part.startswith("sql/") else package / part
        files = [root] if root.is_file() else sorted(root.rglob("*"))
        sources = [file for file in files if file.suffix in _SOURCES]
        if not sources:
            raise FileNotFoundError(f"code_version: no source files under {root}")
        for file in sources:
            digest.update(file.relative_to(root.parent).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


Lineage = Mapping[str, Sequence[tuple[str, str]]]


def table_metadata(table_name: str, lineage: Lineage | None = None) -> dict[str, Any]:
    """Column schema from sql/tables, and column lineage as (upstream table, column) pairs.

    The lineage also stands in the columns' descriptions, because only Dagster+ draws it.
    """
    definition = table(table_name)
    origin = {
        column: "\n\nFrom " + ", ".join(f"`{upstream}.{source}`" for upstream, source in sources) + "."
        for column, sources in (lineage or {}).items()
    }
    metadata: dict[str, Any] = {
        "dagster/table_name": table_name,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    column.name,
                    column.type,
                    description=column.comment + origin.get(column.name, ""),
                    constraints=dg.TableColumnConstraints(nullable=column.nullable),
                )
                for column in definition.columns
            ]
        ),
    }
    if lineage:
        unknown = set(lineage) - set(definition.column_names)
        if unknown:
            raise ValueError(f"{table_name}: lineage of unknown columns {sorted(unknown)}")
        metadata["dagster/column_lineage"] = dg.TableColumnLineage(
            {
                column: [dg.TableColumnDep(asset_key(upstream), source) for upstream, source in sources]
                for column, sources in lineage.items()
            }
        )
    return metadata


def same_columns(upstream: str, *columns: str) -> dict[str, list[tuple[str, str]]]:
    """Lineage of columns that come unchanged from an upstream table."""
    return {column: [(upstream, column)] for column in columns}


def table_asset(
    table_name: str,
    *,
    code: Sequence[str],
    checks: Sequence[Check] = (),
    lineage: Lineage | None = None,
    kinds: Sequence[str] = ("duckdb", "parquet"),
) -> dict[str, Any]:
    """Keyword arguments of ``@dg.asset`` for the asset that makes a table."""
    key = asset_key(table_name)
    return {
        "key": key,
        "group_name": key.path[0],
        "description": table(table_name).comment,
        "metadata": table_metadata(table_name, lineage),
        "kinds": set(kinds),
        "owners": OWNERS,
        "code_version": code_version(*code),
        "check_specs": [check.spec(key) for check in checks],
    }


def table_spec(table_name: str, *, code: Sequence[str], lineage: Lineage | None = None, **more: Any) -> dg.AssetSpec:
    """The same for one output of a multi-asset, whose checks are given to ``@dg.multi_asset``."""
    arguments = table_asset(table_name, code=code, lineage=lineage)
    del arguments["check_specs"]
    return dg.AssetSpec(**arguments, **more)


def run_checks(
    context: dg.AssetExecutionContext, key: dg.AssetKey, frame: pd.DataFrame, checks: Sequence[Check]
) -> Iterator[dg.AssetCheckResult]:
    """Evaluate checks on a frame that is not stored yet; on a failed blocking check raise dg.Failure.

    What was stored before therefore stays as it was, and the failed check is shown beside the asset.
    """
    failed = []
    for check in checks:
        offending = check.find(frame)
        passed = offending.empty
        metadata: dict[str, Any] = {"offending_rows": len(offending)}
        if context.has_partition_key:
            metadata["partition"] = str(context.partition_key)
        if not passed:
            metadata["first_offending_rows"] = dg.MetadataValue.md(as_markdown(offending.head(5)))
            if check.blocking:
                failed.append(f"{check.name} ({len(offending)} rows, first: {_one_line(offending.iloc[0])})")
        yield dg.AssetCheckResult(
            passed=passed,
            asset_key=key,
            check_name=check.name,
            metadata=metadata,
            severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
        )
    if failed:
        raise dg.Failure(f"{key.to_user_string()}: nothing was stored because of failed checks: {'; '.join(failed)}")


def _one_line(row: pd.Series) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in row.items())[:300]


def as_markdown(frame: pd.DataFrame) -> str:
    """A small frame as a Markdown table, long texts shortened, pipes and line breaks escaped."""

    def cell(value: object) -> str:
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        return text.replace("|", "\\|").replace("\n", " ")[:120]

    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def as_images(images: Mapping[str, bytes]) -> str:
    """PNG images under their titles as Markdown that needs no other file."""
    return "\n\n".join(
        f"{title}\n\n![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"
        for title, png in images.items()
    )


def partition_of(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Partition values of the step, in the order in which folders are nested; empty without partitions."""
    if not context.has_partition_key:
        return {}
    key = context.partition_key
    definition = context.assets_def.partitions_def
    if isinstance(definition, dg.MultiPartitionsDefinition):
        # A run launched with the tag `dagster/partition` alone has the key as plain text.
        values = definition.get_partition_key_from_str(key).keys_by_dimension
        return {"model_version": values["model_version"], "condition": values["condition"]}
    return {"language": key}


@dataclass(frozen=True)
class Output:
    """A frame to be stored as a table, and what to show beside it."""

    table: str
    frame: pd.DataFrame
    checks: Sequence[Check] = ()
    metadata: Mapping[str, Any] | None = None


def store_tables(
    context: dg.AssetExecutionContext,
    store: Store,
    outputs: Sequence[Output],
    *,
    partition: Mapping[str, str] | None = None,
    upstream: Sequence[str] = (),
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Check all frames, then write them as Parquet, then load them into the warehouse in one transaction.

    ``upstream`` names the tables read; their data versions become part of ``run.lineage``.
    """
    partition = dict(partition or {})
    for output in outputs:
        yield from run_checks(context, asset_key(output.table), output.frame, output.checks)
    versions = store.data_versions([name.replace(".", "/") for name in upstream], partition)
    written: list[Stored] = []
    for output in outputs:
        stored = store.write(output.table, output.frame, partition)
        key = asset_key(output.table)
        provenance = Provenance(
            run_id=context.run.run_id,
            code_version=context.assets_def.code_versions_by_key.get(key) or "",
            package_version=opinion_assets.__version__,
            upstream=json.dumps(versions, sort_keys=True),
        )
        written += [stored, store.record(stored, provenance)]
    store.publish(written)
    for output, stored in zip(outputs, written[::2], strict=True):
        yield dg.MaterializeResult(
            asset_key=asset_key(output.table),
            data_version=dg.DataVersion(stored.data_version),
            metadata={
                "dagster/row_count": stored.n_rows,
                "dagster/partition_row_count": stored.n_rows,
                "file": dg.MetadataValue.path(str(stored.path)),
                "warehouse": dg.MetadataValue.path(str(store.warehouse_path)),
                "preview": dg.MetadataValue.md(as_markdown(output.frame.head(10))),
                "code_version": context.assets_def.code_versions_by_key.get(asset_key(output.table)) or "",
                "upstream_data_versions": dg.MetadataValue.json(versions),
                "stored_at": dg.MetadataValue.timestamp(datetime.now(UTC)),
                **({"partition": partition_name(partition)} if partition else {}),
                **(output.metadata or {}),
            },
        )


# ------------------------------------------------------------------ checks that several tables share


def sums_to_one(column: str, by: Sequence[str], *, tolerance: float = 1e-6) -> Check:
    """The column sums to 1 within each group of ``by``."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        total = frame.groupby(list(by), dropna=False, sort=False)[column].sum(min_count=1).reset_index(name="total")
        return total[~((total["total"] - 1).abs() <= tolerance)]

    return Check(
        f"{column}_sums_to_1", f"{column} sums to 1 (± {tolerance:g}) over the options of a distribution.", find
    )


def within_unit_interval(column: str) -> Check:
    """Every value lies in [0, 1]; NULL does not pass."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[~frame[column].between(0, 1)]

    return Check(f"{column}_in_0_1", f"Every {column} lies between 0 and 1.", find)


def unique_rows(by: Sequence[str], name: str = "rows_are_unique") -> Check:
    """No two rows agree in the columns of ``by``."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.loc[frame.duplicated(list(by), keep=False), list(by)]

    return Check(name, f"One row for each {', '.join(by)}.", find)


def not_empty() -> Check:
    """There is at least one row."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"problem": ["no rows"]}) if frame.empty else frame.head(0)

    return Check("has_rows", "There is at least one row.", find)


def option_counts_agree(by: Sequence[str], options: Callable[[], pd.DataFrame]) -> Check:
    """Each distribution has exactly the options 0 … n-1 that question.option has for its question."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        expected = options().groupby("question_id")["option_index"].agg(["size", "max"])
        found = (
            frame.groupby(list(by), dropna=False, sort=False)["option_index"]
            .agg(["size", "max", "nunique"])
            .reset_index()
        )
        want = expected.reindex(found["question_id"])
        agree = (
            (found["size"].to_numpy() == want["size"].to_numpy())
            & (found["max"].to_numpy() == want["max"].to_numpy())
            & (found["nunique"] == found["size"]).to_numpy()
        )
        return found[~agree]

    return Check("option_counts_agree", "Each distribution has a value for every option of its question.", find)
