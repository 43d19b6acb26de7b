"""GlobalOpinionQA (Durmus et al. 2023): from the hub at a pinned revision, or a local file of the same schema.

The column ``selections`` is the text of a Python defaultdict. It is parsed as data, never evaluated.
"""

import ast
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.surveys.base import Source, SurveyData, snapshot_of
from opinion_assets.surveys.user_files import read_csv

HUB_DATA_SET = "Anthropic/llm_global_opinions"
# Rounding to hundredths moves a sum by up to about 0.02. Pew's rounded shares also leave out answers that the release
# does not list, or count some twice: sums from 0.61 to 1.20 occur there. Outside these bounds a row is malformed.
ROUNDING = 0.02
LOWEST_SUM, HIGHEST_SUM = 0.6, 1.25
COLUMNS = frozenset({"question", "selections", "options"})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SELECTIONS = re.compile(r"\s*defaultdict\(<class 'list'>, (\{.*\})\)\s*", re.DOTALL)


def load(
    entry: Source, *, data_dir: Path, path: Path | None, group_by: Sequence[str] = (), revision: str = ""
) -> SurveyData:
    """Read a csv, csv.gz or parquet file of the release's schema; without a file, the hub at ``revision`` (a commit).

    Distributions are divided by their sum, as the published similarities did, and what was changed is listed in
    ``dropped``. A sum below 0.6 or above 1.25, or another length than the options', raises InputError.
    """
    if group_by:
        raise InputError(f"GlobalOpinionQA has no respondents to group by {group_by[0]!r}")
    if path is None:
        if not _COMMIT.fullmatch(revision):
            raise InputError(
                f"source {entry.source}: name a file, or the commit of the hub data set {HUB_DATA_SET} to read "
                "(40 hexadecimal digits); a moving revision is not read"
            )
        content, name, origin = (
            _from_hub(revision),
            "hub.parquet",
            f"hub data set {HUB_DATA_SET} at revision {revision}",
        )
    else:
        content, name, origin = path.read_bytes(), path.name, f"file {path.name}"
    frame = _read(content, name)
    question, response, dropped = _parse(entry.source, frame, name)
    snapshot = snapshot_of(entry, content, file_name=name, origin=origin, folder=data_dir)
    return SurveyData(snapshot, question, response, dropped, ((snapshot, content),)).counted()


def _from_hub(revision: str) -> bytes:
    from datasets import load_dataset

    buffer = io.BytesIO()
    load_dataset(HUB_DATA_SET, split="train", revision=revision).to_pandas().to_parquet(buffer)
    return buffer.getvalue()


def _read(content: bytes, name: str) -> pd.DataFrame:
    try:
        if name.endswith(".parquet"):
            frame = pd.read_parquet(io.BytesIO(content))
        else:
            frame = read_csv(content, name, as_text=True)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}", file=name) from error
    missing = {"question", "selections", "options"} - set(frame.columns)
    if missing:
        raise InputError(f"column {sorted(missing)[0]!r} is missing", file=name)
    if frame.empty:
        raise InputError("there are no rows", file=name)
    return frame


def _literal(text: object, kind: type, **where: Any) -> Any:
    """A Python list or dict display as data. Only constants, lists and dicts; anything else raises InputError."""
    try:
        node = ast.parse(str(text).strip(), mode="eval").body
        value = ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(f"is not the text of a {kind.__name__}", **where) from error
    if not isinstance(value, kind):
        raise InputError(f"is not the text of a {kind.__name__}", **where)
    if isinstance(node, ast.Dict) and isinstance(value, dict) and len(node.keys) > len(value):
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        raise InputError(f"has {next(key for key in keys if keys.count(key) > 1)!r} twice", **where)
    return value


def _parse(source: str, frame: pd.DataFrame, name: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    questions, rows = [], []
    rounded = 0
    rescaled: dict[str, list[float]] = {}
    dropped: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, record in enumerate(frame.to_dict("records"), start=1):
        where: dict[str, Any] = {"file": name, "row": number}
        text = "" if record["question"] is None else str(record["question"]).strip()
        if not text:  # one row of the release: it has answers, so it stays; it can be scored but not asked
            reason = "question without a text: kept for imported answers, never put to a model"
            dropped.append(_lost(source, str(record.get("release_row") or number), None, "kept_apart", reason, 1))
        where["question"] = text[:60]
        options = "" if record["options"] is None else record["options"]
        if isinstance(options, str):
            if not options.strip():
                dropped.append(_lost(source, str(number), None, "dropped", "question without an option list", 1))
                continue
            options = _literal(options, list, **where, field="options")
        if any(isinstance(option, bool) or not isinstance(option, str | int | float) for option in options):
            raise InputError("needs options that are texts or numbers", **where, field="options")
        options = [str(option).strip() for option in options]
        if len(options) < 2 or any(not option for option in options) or len(set(options)) < len(options):
            raise InputError("needs two or more different options, none of them empty", **where, field="options")
        identity = question_id(text, options)
        if identity in seen:
            raise InputError(f"repeats row {seen[identity]}", **where)
        seen[identity] = number
        matched = _SELECTIONS.fullmatch(str(record["selections"]))
        if not matched:
            raise InputError("is not the text of defaultdict(<class 'list'>, {…})", **where, field="selections")
        source_question = str(record.get("release_row") or number)
        questions.append((source_question, identity, str(record.get("source") or ""), text, options))
        for label, values in _literal(matched[1], dict, **where, field="selections").items():
            place = where | {"field": f"selections[{label}]"}
            if not isinstance(label, str) or not isinstance(values, list):
                raise InputError("is not a country with a list of shares", **place)
            if len(values) != len(options):
                raise InputError(f"has {len(values)} shares for {len(options)} options", **place)
            if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
                raise InputError("has a share that is no number", **place)
            try:
                share = np.array(values, dtype="float64")
            except OverflowError:
                raise InputError("has a share that is not finite", **place) from None
            total = share.sum()
            if not (np.isfinite(share).all() and (share >= 0).all()):
                raise InputError("has a share that is negative or not finite", **place)
            if not LOWEST_SUM <= total <= HIGHEST_SUM:
                raise InputError(f"sums to {total:.4g} instead of 1", **place)
            if abs(total - 1) > ROUNDING + 1e-9:
                rescaled.setdefault(source_question, []).append(float(total))
            elif abs(total - 1) > 1e-9:
                rounded += 1
            rows += [
                (identity, label, index, option, value / total)
                for index, (option, value) in enumerate(zip(options, share.tolist(), strict=True))
            ]
    if rounded:
        reason = f"distributions whose rounded shares sum to 1 only within {ROUNDING} were divided by their sum"
        dropped.append(_lost(source, None, None, "normalised", reason, rounded))
    for source_question, totals in rescaled.items():
        reason = f"distributions that sum to {min(totals):.2f} to {max(totals):.2f} were divided by their sum"
        dropped.append(_lost(source, source_question, None, "normalised", reason, len(totals)))
    question = pd.DataFrame(questions, columns=["source_question", "question_id", "survey", "text", "options"]).assign(
        source=source, language="en", is_ordinal=None, topic=None, weighting="as_published"
    )
    response = pd.DataFrame(rows, columns=["question_id", "country_label", "option_index", "option", "share"]).assign(
        source=source, wave="", group_by="", group_value="", n=None, weighted_n=None, n_effective=None
    )
    columns = ["source", "source_question", "country_label", "action", "reason", "n"]
    return question, response, pd.DataFrame(dropped, columns=columns)


def _lost(
    source: str, source_question: str | None, country: str | None, action: str, reason: str, n: int
) -> dict[str, Any]:
    return {
        "source": source, "source_question": source_question, "country_label": country, "action": action,
        "reason": reason, "n": n,
    }  # fmt: skip
