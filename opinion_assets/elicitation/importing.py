"""Bringing in somebody else's option probabilities as the answers of a model version.

Belongs here: reading the file and matching its rows to the question dataset. Does not belong here: storing them, and
anything that would mend a file: a row that does not fit is an error, a row of an unknown question is reported.
"""

import ast
import hashlib
import json
import math
import unicodedata
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from opinion_assets.elicitation.collect import ANSWER_COLUMNS
from opinion_assets.errors import InputError
from opinion_assets.identity import sha256_json
from opinion_assets.models.registry import ModelVersion
from opinion_assets.paths import path_key

_TOLERANCE = 1e-3
#: Columns that every file needs, besides ``question`` or ``question_id``.
REQUIRED = ("options", "probs")


def import_answers(path: Path, model: ModelVersion, questions: pd.DataFrame, options: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``response.answer`` (condition ``default``) from a table of option probabilities.

    ``path``: .csv (also .csv.gz) or .parquet with the columns ``question`` (text) or ``question_id``, ``options`` (list
    of option texts; may be missing where question_id is given) and ``probs`` (list of probabilities in the order of
    ``options``, non-negative, sum 1 ± 0.001). ``questions`` and ``options`` are the question dataset. A row is matched
    by question_id, else by its text and option texts (Unicode NFC, white space trimmed), and where its options are a
    reordering of the question's, the probabilities are put into the question's order.

    ``result.attrs["unmatched"]`` lists the data rows (1-based) of questions that are not in the dataset. Raises
    :class:`InputError` naming file, row and field for everything malformed and for a question that stands twice.
    """
    if model.provider != "imported":
        raise InputError(f"{model.model_version} is provider {model.provider}; only provider 'imported' takes answers")
    table = _read(path)
    named = "question_id" in table.columns
    needed = ("question_id", "probs") if named else ("question", *REQUIRED)
    for column in needed:
        if column not in table.columns:
            raise InputError(f"the column is missing; there are {', '.join(table.columns)}", file=path, field=column)
    by_question = {
        str(key): group.sort_values("option_index")["option"].tolist()
        for key, group in options.groupby("question_id", sort=False)
    }
    by_text: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for question_id, text in zip(questions["question_id"], questions["text"], strict=True):
        key = (_normal(text), tuple(sorted(_normal(option) for option in by_question[question_id])))
        if question_id not in by_text[key]:
            by_text[key].append(question_id)

    now = pd.Timestamp(datetime.now(UTC))
    rows: list[dict[str, Any]] = []
    unmatched: list[int] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(table.to_dict("records"), start=1):
        given = None
        if "options" in table.columns:
            given = [str(option) for option in _list(row["options"], path, number, "options")]
        probs = _probabilities(row["probs"], path, number)
        if given is not None and len(given) != len(probs):
            raise InputError(
                f"{len(probs)} probabilities for {len(given)} options", file=path, row=number, field="probs"
            )
        if named:
            question_id = str(row["question_id"]) if str(row["question_id"]) in by_question else None
        else:
            assert given is not None
            question_id = _match(by_text, by_question, str(row["question"]), given)
        if question_id is None:
            unmatched.append(number)
            continue
        if question_id in seen:
            raise InputError(
                f"repeats the question of row {seen[question_id]}", file=path, row=number, question=question_id
            )
        seen[question_id] = number
        ordered = _in_dataset_order(probs, given, by_question[question_id], path, number)
        rows.append(_answer(model, question_id, ordered, path.name, now))
    frame = pd.DataFrame(rows, columns=ANSWER_COLUMNS)
    for column in ("answer_index", "prompt_tokens", "completion_tokens"):
        frame[column] = frame[column].astype("Int64")
    for column in ("letter_mass", "latency_s"):
        frame[column] = frame[column].astype(float)
    frame.attrs["unmatched"] = unmatched
    return frame


def imported_model(model_version: str) -> ModelVersion:
    """The registry entry that an imported model version has without standing in the registry."""
    try:
        return ModelVersion(model_version=model_version, provider="imported", method="imported")
    except ValidationError as error:
        raise InputError(error.errors()[0]["msg"], field=f"model version {model_version}") from None


def keep_import(data_dir: Path, model_version: str, path: Path) -> Path:
    """Keep a copy of a file of option probabilities as the current one of a model version. Returns the copy.

    ``<data_dir>/imported/<model version>/<sha256>-<name>``; earlier copies stay.
    """
    content = path.read_bytes()
    folder = data_dir / "imported" / path_key(model_version)
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / f"{hashlib.sha256(content).hexdigest()[:12]}-{path.name}"
    for target, text in ((copy, content), (folder / "current", copy.name.encode())):
        temporary = folder / f".{uuid.uuid4().hex}"
        temporary.write_bytes(text)
        temporary.replace(target)
    return copy


def current_import(data_dir: Path, model_version: str) -> Path | None:
    """The file that :func:`keep_import` kept last, or None where the model version was never imported."""
    pointer = data_dir / "imported" / path_key(model_version) / "current"
    return pointer.parent / pointer.read_text(encoding="utf-8") if pointer.exists() else None


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.name.endswith(".parquet"):
            return pd.read_parquet(path)
        if path.name.endswith((".csv", ".csv.gz")):
            # Texts stay texts: a question may read "NA".
            return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except (OSError, ValueError, UnicodeError) as error:
        raise InputError(f"cannot be read: {str(error).splitlines()[0]}", file=path) from None
    raise InputError("is neither .csv, .csv.gz nor .parquet", file=path)


def _list(value: object, path: Path, row: int, field: str) -> list[Any]:
    """A list cell: a list, or the text of a JSON or Python list of plain values (parsed, never evaluated)."""
    if isinstance(value, str):
        text = value
        parsers: tuple[Callable[[str], Any], ...] = (json.loads, ast.literal_eval)
        for parse in parsers:
            try:
                value = parse(text)
                break
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    if isinstance(value, (list, tuple, np.ndarray)):
        return list(value)
    raise InputError("is no list", file=path, row=row, field=field)


def _probabilities(value: object, path: Path, row: int) -> list[float]:
    probs: list[float] = []
    for item in _list(value, path, row, "probs"):
        if (
            isinstance(item, bool)
            or not isinstance(item, (int, float, np.number))
            or not math.isfinite(item)
            or item < 0
        ):
            raise InputError(f"{item!r} is no probability", file=path, row=row, field="probs")
        probs.append(float(item))
    if abs(sum(probs) - 1) > _TOLERANCE:
        raise InputError(f"probabilities sum to {sum(probs):.6g}, not 1", file=path, row=row, field="probs")
    return probs


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _match(
    by_text: dict[tuple[str, tuple[str, ...]], list[str]],
    by_question: dict[str, list[str]],
    text: str,
    given: list[str],
) -> str | None:
    normal = [_normal(option) for option in given]
    found = by_text.get((_normal(text), tuple(sorted(normal))), [])
    exact = [name for name in found if [_normal(option) for option in by_question[name]] == normal]
    return exact[0] if exact else found[0] if len(found) == 1 else None


def _in_dataset_order(
    probs: list[float], given: list[str] | None, wanted: list[str], path: Path, row: int
) -> list[float]:
    if len(probs) != len(wanted):
        raise InputError(
            f"{len(probs)} probabilities, the question has {len(wanted)} options", file=path, row=row, field="probs"
        )
    if given is None:
        return probs
    have, want = [_normal(option) for option in given], [_normal(option) for option in wanted]
    if have == want:
        return probs
    if sorted(have) != sorted(want):
        raise InputError("the options differ from the question's", file=path, row=row, field="options")
    if len(set(have)) != len(have):
        raise InputError(
            "reordered options with a repeated text cannot be matched", file=path, row=row, field="options"
        )
    return [probs[have.index(option)] for option in want]


def _answer(
    model: ModelVersion, question_id: str, probs: list[float], source: str, now: pd.Timestamp
) -> dict[str, Any]:
    total = sum(probs)
    return {
        "model_version": model.model_version,
        "condition": "default",
        "question_id": question_id,
        "request_hash": sha256_json(["imported", model.model_version, question_id, probs]),
        "prompt_hash": sha256_json(""),
        "prompt": "",
        "method": "imported",
        "option_order": list(range(len(probs))),
        "sample_index": 0,
        "status": "ok",
        "error": None,
        "raw_text": f"imported from {source}",
        "option_logprobs": [math.log(value / total) if value > 0 else -math.inf for value in probs],
        "letter_mass": None,
        "answer_index": None,
        "prompt_tokens": None,
        "completion_tokens": None,
        "cost_usd": 0.0,
        "model_reported": None,
        "requested_at": now,
        "latency_s": None,
    }
