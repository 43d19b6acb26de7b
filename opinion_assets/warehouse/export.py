"""Tables as CSV and Parquet files for other people, with a data card, licences, citation and provenance.

Columns, types and their meaning come from the schema registry; licences and citations from ``survey.snapshot``; runs
and versions from ``run.lineage``. The same stored tables give the same files. Does not belong here: the report, and
what the tables hold.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import opinion_assets
from opinion_assets.errors import InputError, OpinionAssetsError, UnknownNameError
from opinion_assets.warehouse.schema import Table, tables
from opinion_assets.warehouse.store import Store

FORMATS = ("csv", "parquet")
#: Schemas exported whole, and single tables. ``response.answer`` holds prompts and raw texts: only if asked for.
SCHEMAS = ("similarity", "question")
SINGLE = ("response.distribution", "survey.snapshot", "run.lineage")
ANSWERS = "response.answer"
# Frictionless Table Schema types of DuckDB's; lists are arrays, in CSV written as JSON.
_TYPES = {
    "VARCHAR": "string",
    "DOUBLE": "number",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "BOOLEAN": "boolean",
    "TIMESTAMP WITH TIME ZONE": "datetime",
}
_MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
# Licences that have a name and an address of their own; the others are quoted as the source words them.
_LICENCES = {
    "CC BY-NC-SA 4.0": ("CC-BY-NC-SA-4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    "CC0-1.0": ("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
}


@dataclass(frozen=True)
class ExportedFile:
    """One file of an export: table, format, path in the export's folder, rows, bytes and SHA-256."""

    table: str
    format: str
    path: str
    n_rows: int
    n_bytes: int
    sha256: str


def exported_tables(*, answers: bool) -> list[Table]:
    """The tables that an export holds, in the registry's order."""
    names = {*SINGLE, *([ANSWERS] if answers else [])}
    return [table for name, table in tables().items() if name in names or name.split(".")[0] in SCHEMAS]


def export(
    store: Store, out: Path, *, formats: Sequence[str] = FORMATS, answers: bool = False
) -> tuple[list[ExportedFile], list[str]]:
    """Write the export into the folder ``out``, which must be new or empty. Gives its files and the names of tables
    that are empty and therefore not in it.

    Raises UnknownNameError for a format, InputError for a folder that holds something, OpinionAssetsError where nothing
    is scored. The folder appears whole or not at all.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise UnknownNameError(f"unknown format {unknown[0]!r}; there are csv and parquet" if unknown else "no format")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("is not an empty folder; an export never overwrites", file=out)
    if not store.exists("similarity.country"):
        raise OpinionAssetsError(f"{store.folder}: nothing is scored yet; run `opinion-assets run` first")
    chosen = exported_tables(answers=answers)
    out.parent.mkdir(parents=True, exist_ok=True)
    building = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    building.mkdir()
    files: list[ExportedFile] = []
    empty = []
    try:
        for table in chosen:
            written = [_write(store, table, building, form) for form in dict.fromkeys(formats)]
            if written[0].n_rows:
                files += written
            else:
                empty.append(table.name)
                for file in written:
                    (building / file.path).unlink()
        about = _about(store)
        content = _data_package(about, files, chosen)
        (building / "datapackage.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("opinion_assets.warehouse"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
        environment.filters["yaml"] = lambda text: json.dumps(str(text), ensure_ascii=False)
        in_export = [table for table in chosen if table.name not in empty]
        for name in ("README.md", "CITATION.cff", "references.bib"):
            text = environment.get_template(f"{name}.j2").render(files=files, tables=in_export, empty=empty, **about)
            (building / name).write_text(text, encoding="utf-8")
        if out.exists():
            out.rmdir()
        building.replace(out)
    finally:
        if building.exists():
            for path in sorted(building.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
            building.rmdir()
    return files, empty


def _write(store: Store, table: Table, folder: Path, form: str) -> ExportedFile:
    """One table in one format, its partitions one after the other."""
    path = folder / form / f"{table.name}.{form}"
    path.parent.mkdir(exist_ok=True)
    schema = _csv_schema(table.arrow_schema) if form == "csv" else table.arrow_schema
    n_rows = 0
    writer: Any = (
        pa.csv.CSVWriter(path, schema) if form == "csv" else pq.ParquetWriter(path, schema, compression="zstd")
    )
    with writer:
        for file in store.partitions(table.name):
            rows = pq.ParquetFile(file).read()
            n_rows += rows.num_rows
            writer.write_table(_csv_rows(rows, schema) if form == "csv" else rows.cast(schema))
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return ExportedFile(table.name, form, path.relative_to(folder).as_posix(), n_rows, path.stat().st_size, sha256)


def _csv_schema(schema: pa.Schema) -> pa.Schema:
    return pa.schema(
        [pa.field(item.name, pa.string() if pa.types.is_list(item.type) else item.type) for item in schema]
    )


def _csv_rows(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for item in schema:
        column = rows.column(item.name)
        if pa.types.is_list(column.type):
            texts = [None if value is None else _json(value) for value in column.to_pylist()]
            columns.append(pa.array(texts, type=pa.string()))
        else:
            columns.append(column.cast(item.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _json(values: list[Any]) -> str:
    """A list as JSON; infinities, which JSON lacks, as texts."""
    plain = [str(value) if isinstance(value, float) and math.isinf(value) else value for value in values]
    return json.dumps(plain, ensure_ascii=False, allow_nan=False)


def _about(store: Store) -> dict[str, Any]:
    """What the data card tells of sources, models, runs and versions."""
    snapshots = store.read("survey.snapshot").sort_values(["source", "snapshot"]).to_dict("records")
    lineage = store.read("run.lineage").sort_values(["asset", "partition"])
    scored = store.read("similarity.country")[["model_version", "condition", "source"]].drop_duplicates()
    return {
        "version": opinion_assets.__version__,
        "created": f"{lineage['materialized_at'].max():%Y-%m-%dT%H:%M:%SZ}",
        "sources": snapshots,
        "scored": scored.sort_values(list(scored.columns)).to_dict("records"),
        "lineage": lineage.to_dict("records"),
    }


def _licence(text: str) -> dict[str, str]:
    name, address = _LICENCES.get(text, ("other", ""))
    return {"name": name, "title": text, **({"path": address} if address else {})}


def _data_package(about: dict[str, Any], files: Sequence[ExportedFile], chosen: Sequence[Table]) -> dict[str, Any]:
    """The export as a Data Package (datapackage.org, version 2)."""
    definitions = {table.name: table for table in chosen}
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": "opinion-assets-export",
        "title": "Similarity of language models' answers to people's answers, by country",
        "version": about["version"],
        "created": about["created"],
        "licenses": [_licence(text) for text in dict.fromkeys(row["licence"] for row in about["sources"])],
        "sources": [
            {"title": row["title"], "version": row["snapshot"], "origin": row["origin"], "sha256": row["sha256"],
             "licence": row["licence"], "citation": row["citation"]}
            for row in about["sources"]
        ],
        "resources": [
            {
                "name": f"{file.table.replace('.', '-').replace('_', '-')}-{file.format}",
                "path": file.path,
                "description": definitions[file.table].comment,
                "format": file.format,
                "mediatype": _MEDIA_TYPES[file.format],
                **({"encoding": "utf-8"} if file.format == "csv" else {}),
                "bytes": file.n_bytes,
                "hash": f"sha256:{file.sha256}",
                "rows": file.n_rows,
                "schema": {
                    "fields": [
                        {
                            "name": column.name,
                            "type": "array" if column.type.endswith("[]") else _TYPES[column.type],
                            "description": column.comment,
                            **({} if column.nullable else {"constraints": {"required": True}}),
                        }
                        for column in definitions[file.table].columns
                    ],
                    # An empty cell without quotes is NULL, with quotes an empty text.
                    "missingValues": [],
                },
            }
            for file in files
        ],
    }  # fmt: skip
