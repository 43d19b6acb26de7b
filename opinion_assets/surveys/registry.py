"""The catalogue of survey sources: what there is, which module reads it, what was ingested last.

Does not belong here: any format (one module a source).
"""

import importlib
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.surveys import contract
from opinion_assets.surveys.base import Snapshot, Source, SurveyData, keep_snapshot

_CATALOGUE = Path(__file__).with_name("catalogue.yaml")
_FRAMES = ("question", "response", "dropped")


def _sources() -> dict[str, Source]:
    entries = yaml.safe_load(_CATALOGUE.read_text(encoding="utf-8"))
    return {name: Source(source=name, **entry) for name, entry in entries.items()}


SOURCES = _sources()


def load_source(
    source: str, *, data_dir: Path, path: Path | None = None, group_by: Sequence[str] = (), **options: Any
) -> SurveyData:
    """Read and parse a source; nothing is stored. ``options`` are the source's own, e.g. the hub's ``revision``.

    ``data_dir`` is where earlier snapshots are looked for.

    Raises UnknownNameError for a source that is not in the catalogue and InputError, naming file, row and field, for
    malformed content.
    """
    try:
        entry = SOURCES[source]
    except KeyError:
        raise UnknownNameError(f"unknown survey source {source!r}; there are {', '.join(SOURCES)}") from None
    if path is not None and not path.is_file():
        raise InputError("is a directory" if path.is_dir() else "there is no such file", file=path)
    if path is not None and not os.access(path, os.R_OK):
        raise InputError("may not be read: its permissions forbid it", file=path)
    if path is None and entry.needs_file:
        raise InputError(f"source {source} needs a file: {entry.how_to_get}")
    module = importlib.import_module(f"opinion_assets.surveys.{entry.module}")
    data: SurveyData = module.load(entry, data_dir=data_dir, path=path, group_by=group_by, **options)
    contract.check(data)
    return data


def source_of_path(path: Path) -> str:
    """The source whose format a file has: by the columns or the suffix that its module declares.

    A module may state COLUMNS (columns that only its files have) and SUFFIXES. Respondent files of several programmes
    look alike and are never guessed: name their source. Raises InputError where nothing fits.
    """
    name = path.name.lower()
    columns: set[str] = set()
    try:
        if name.endswith((".csv", ".csv.gz")):
            columns = set(pd.read_csv(path, nrows=0).columns)
        elif name.endswith(".parquet"):
            import pyarrow.parquet as pq

            columns = set(pq.read_schema(path).names)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}", file=path) from error
    for source, entry in SOURCES.items():
        module = importlib.import_module(f"opinion_assets.surveys.{entry.module}")
        needed = getattr(module, "COLUMNS", None)
        if (needed and needed <= columns) or name.endswith(tuple(getattr(module, "SUFFIXES", ()))):
            return source
    named = ", ".join(source for source, entry in SOURCES.items() if entry.needs_file)
    raise InputError(
        "is no survey source that can be told by its columns: GlobalOpinionQA has the columns question, selections, "
        f"options; for respondent files name the source ({named}) as well",
        file=path,
    )


def save_parsed(data: SurveyData, *, data_dir: Path) -> None:
    """Keep a source's files as snapshots and make its frames the current ones: ``<data_dir>/source/<source>/``.

    The frames are replaced as a whole; snapshots are only ever added.
    """
    for snapshot, content in data.files:
        keep_snapshot(snapshot, content, folder=data_dir)
    folder = data_dir / "source" / data.snapshot.source
    version = folder / f"{data.snapshot.snapshot}-{uuid.uuid4().hex[:8]}"
    version.mkdir(parents=True)
    for name in _FRAMES:
        getattr(data, name).to_parquet(version / f"{name}.parquet", index=False)
    (version / "snapshot.json").write_text(json.dumps(asdict(data.snapshot), indent=1), encoding="utf-8")
    pointer = folder / f".{version.name}"
    pointer.write_text(version.name, encoding="utf-8")
    pointer.replace(folder / "current")


def load_parsed(source: str, *, data_dir: Path) -> SurveyData | None:
    """The current parsed source, or None where it was never ingested."""
    pointer = data_dir / "source" / source / "current"
    if not pointer.exists():
        return None
    version = pointer.parent / pointer.read_text(encoding="utf-8")
    question, response, dropped = (pd.read_parquet(version / f"{name}.parquet") for name in _FRAMES)
    snapshot = Snapshot(**json.loads((version / "snapshot.json").read_text(encoding="utf-8")))
    return SurveyData(snapshot, question, response, dropped)
