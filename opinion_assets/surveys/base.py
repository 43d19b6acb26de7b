"""What every survey source yields, and how its file is kept: a dated, checksummed, immutable snapshot.

Belongs here: the value objects, snapshots, weighted shares. Does not belong here: anything that knows one source's
format (one module a source), and country or option meaning (`opinion_assets.questions`).
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from opinion_assets.errors import InputError

RESPONSE_KEY = ["question_id", "wave", "country_label", "group_by", "group_value"]


@dataclass(frozen=True)
class Source:
    """A survey source as the catalogue describes it; see catalogue.yaml for the fields."""

    source: str
    module: str
    title: str
    licence: str
    citation: str
    how_to_get: str
    needs_file: bool


@dataclass(frozen=True)
class Snapshot:
    """The dated copy of a source's file; one row of ``survey.snapshot``."""

    source: str
    snapshot: str
    title: str
    origin: str
    licence: str
    citation: str
    file_name: str
    sha256: str
    n_bytes: int
    ingested_at: str
    n_questions: int = 0
    n_distributions: int = 0

    def as_frame(self) -> pd.DataFrame:
        """One row with the columns of ``survey.snapshot``."""
        return pd.DataFrame([asdict(self) | {"ingested_at": datetime.fromisoformat(self.ingested_at)}])


@dataclass(frozen=True)
class SurveyData:
    """A parsed source: frames with the columns of ``survey.question``, ``survey.response`` and ``survey.dropped``.

    ``files`` are the files that it was read from, each as a snapshot; they are kept when the source is saved.
    """

    snapshot: Snapshot
    question: pd.DataFrame
    response: pd.DataFrame
    dropped: pd.DataFrame
    files: tuple[tuple[Snapshot, bytes], ...] = ()

    def counted(self) -> "SurveyData":
        """The same with the snapshot's counts filled in."""
        n = len(self.response.drop_duplicates(RESPONSE_KEY))
        return replace(self, snapshot=replace(self.snapshot, n_questions=len(self.question), n_distributions=n))


def snapshot_of(entry: Source, content: bytes, *, file_name: str, origin: str, folder: Path) -> Snapshot:
    """Describe a source's file as a snapshot; nothing is written (see :func:`keep_snapshot`).

    The same bytes are one snapshot: if ``folder`` keeps them already, that first snapshot comes back. A kept copy is
    never changed; one that no longer has its checksum raises InputError.
    """
    sha256 = hashlib.sha256(content).hexdigest()
    for kept in sorted(_snapshots(folder, entry.source).glob(f"*-{sha256[:12]}")):
        snapshot = Snapshot(**json.loads((kept / "metadata.json").read_text(encoding="utf-8")))
        if hashlib.sha256((kept / snapshot.file_name).read_bytes()).hexdigest() != snapshot.sha256:
            raise InputError(
                "the kept copy no longer has the checksum it was stored with", file=kept / snapshot.file_name
            )
        return snapshot
    now = datetime.now(UTC)
    return Snapshot(
        source=entry.source,
        snapshot=f"{now:%Y-%m-%d}-{sha256[:12]}",
        title=entry.title,
        origin=origin,
        licence=entry.licence,
        citation=entry.citation,
        file_name=file_name,
        sha256=sha256,
        n_bytes=len(content),
        ingested_at=now.isoformat(timespec="seconds"),
    )


def keep_snapshot(snapshot: Snapshot, content: bytes, *, folder: Path) -> None:
    """Keep the dated copy under ``<folder>/snapshot/<source>/<date>-<sha256>/``, unless it is kept already."""
    root = _snapshots(folder, snapshot.source)
    if (root / snapshot.snapshot).exists():
        return
    temporary = root / f".{uuid.uuid4().hex}"
    temporary.mkdir(parents=True)
    (temporary / snapshot.file_name).write_bytes(content)
    (temporary / "metadata.json").write_text(json.dumps(asdict(snapshot), indent=1), encoding="utf-8")
    temporary.rename(root / snapshot.snapshot)


def _snapshots(folder: Path, source: str) -> Path:
    return folder / "snapshot" / source


def shares(
    respondents: pd.DataFrame, *, by: Sequence[str], answer: str, n_options: int, weight: str | None = None
) -> pd.DataFrame:
    """Weighted shares of each answer in each group of respondents.

    ``answer`` holds option indexes 0 … n_options-1 without gaps in the data frame's rows (no NaN); ``weight`` names a
    column of positive weights, None weighs all alike. Returns one row a group and option with ``option_index``,
    ``share`` (sums to 1 over options), ``n`` (respondents), ``weighted_n`` (sum of weights) and ``n_effective`` =
    (Σw)² / Σw² (Kish 1965, Survey Sampling, §11.7).
    """
    frame = respondents[[*by, answer]].copy()
    frame["w"] = respondents[weight].astype("float64") if weight else 1.0
    frame["w2"] = frame["w"] ** 2
    keys = frame.groupby(list(by), sort=True, observed=True)
    totals = keys.agg(n=("w", "size"), weighted_n=("w", "sum"), w2=("w2", "sum")).reset_index()
    totals["n_effective"] = totals["weighted_n"] ** 2 / totals["w2"]
    per_option = frame.groupby([*by, answer], sort=True, observed=True)["w"].sum().rename("weight").reset_index()
    grid = totals.merge(pd.DataFrame({"option_index": range(n_options)}), how="cross")
    per_option = per_option.rename(columns={answer: "option_index"}).astype({"option_index": "int64"})
    grid = grid.merge(per_option, how="left", on=[*by, "option_index"])
    grid["share"] = grid["weight"].fillna(0.0) / grid["weighted_n"]
    return grid[[*by, "option_index", "share", "n", "weighted_n", "n_effective"]]
