"""Respondent-level files (.csv, .csv.gz, .sav): reading, describing and turning them into weighted shares.

Belongs here: what all microdata sources share. Does not belong here: which variables one survey programme uses (one
module a source).

The variables are described by the value labels of a .sav file or by a YAML file, which lies beside the data as
``<file>.questions.yaml`` or is named by the option ``catalogue``::

    survey: WVS
    country: B_COUNTRY_ALPHA        # optional where the source has a usual name for it
    wave: A_WAVE                    # a variable; or fixed_wave: "7"
    weight: W_WEIGHT
    groups: {sex: Q260}             # demographic variables that may be asked for
    questions:
      - {variable: Q1, text: "…", options: {1: Very important, 2: Not important}, is_ordinal: true, topic: family}
"""

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.surveys.base import Source, SurveyData, shares, snapshot_of
from opinion_assets.surveys.user_files import read_csv, read_yaml

MAX_OPTIONS = 20
RESPONSE_COLUMNS = [
    "source", "question_id", "wave", "country_label", "group_by", "group_value", "option_index", "option",
    "share", "n", "weighted_n", "n_effective",
]  # fmt: skip
DROPPED_COLUMNS = ["source", "source_question", "country_label", "action", "reason", "n"]


@dataclass(frozen=True)
class Layout:
    """Where a survey programme keeps country, wave, weight and groups, and what its special codes mean.

    The first name of ``country``, ``wave`` and ``weight`` that the file has is used. ``kept_codes`` become options of
    every question, after its own; ``dropped_codes`` are respondents who were not asked, with the reason.
    """

    survey: str
    country: tuple[str, ...] = ()
    wave: tuple[str, ...] = ()
    weight: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_codes: Mapping[float, str] = field(default_factory=dict)
    dropped_codes: Mapping[float, str] = field(default_factory=dict)
    fixed_country: str | None = None
    fixed_wave: str = ""


@dataclass(frozen=True)
class Item:
    """One question of a file: the variable and the text of each code, in order."""

    variable: str
    text: str
    options: Mapping[Hashable, str]
    is_ordinal: bool | None = None
    topic: str | None = None


@dataclass(frozen=True)
class Microdata:
    """A file as read: one row a respondent, variable labels and value labels (empty for .csv)."""

    frame: pd.DataFrame
    labels: Mapping[str, str]
    value_labels: Mapping[str, Mapping[float, str]]


def read(content: bytes, name: str) -> Microdata:
    """Read a .csv, .csv.gz or .sav file. User-missing codes of .sav files stay codes. Raises InputError."""
    lower = name.lower()
    if lower.endswith(".sav"):
        frame, labels, value_labels = _read_sav(content, name)
    elif lower.endswith((".csv", ".csv.gz")):
        frame, labels, value_labels = read_csv(content, name), {}, {}
    else:
        raise InputError("is neither .csv, .csv.gz nor .sav", file=name)
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        raise InputError("column stands twice", file=name, field=str(repeated[0]))
    if frame.empty:
        raise InputError("there are no respondents", file=name)
    return Microdata(frame, labels, value_labels)


def _read_sav(content: bytes, name: str) -> tuple[pd.DataFrame, dict[str, str], dict[str, dict[float, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        copy, result = Path(folder) / "data.sav", Path(folder) / "result"
        copy.write_bytes(content)
        command = [sys.executable, "-m", "opinion_assets.surveys.sav_process", str(copy), str(result)]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if ended.returncode == 2:
            raise InputError(f"cannot be read: {ended.stderr}", file=name)
        if ended.returncode:
            raise InputError(
                f"cannot be read: the reader of .sav files ended with code {ended.returncode}; the file is damaged",
                file=name,
            )
        frame, labels, value_labels = pickle.loads(result.read_bytes())
    return frame, labels, value_labels


def read_catalogue(content: bytes, name: str, layout: Layout) -> tuple[Layout, list[Item]]:
    """A questions file: the layout with what it overrides, and the questions. Raises InputError."""
    entries = read_yaml(content, name)
    if not isinstance(entries, dict) or not isinstance(entries.get("questions"), list) or not entries["questions"]:
        raise InputError("needs a list of questions", file=name, field="questions")
    known = {"survey", "country", "wave", "weight", "groups", "questions", "fixed_wave", "fixed_country"}
    if set(entries) - known:
        raise InputError("is not a known field", file=name, field=str(sorted(map(str, set(entries) - known))[0]))
    changes: dict[str, Any] = {key: (str(entries[key]),) for key in ("country", "wave", "weight") if key in entries}
    changes |= {key: str(entries[key]) for key in ("survey", "fixed_wave", "fixed_country") if key in entries}
    if "groups" in entries:
        if not isinstance(entries["groups"], dict):
            raise InputError("must map a group to its variable", file=name, field="groups")
        changes["groups"] = {str(group): (str(variable),) for group, variable in entries["groups"].items()}
    items = []
    for row, entry in enumerate(entries["questions"], start=1):
        if not isinstance(entry, dict):
            raise InputError("is not a question", file=name, row=row)
        for key, kind in (("variable", str), ("text", str), ("options", dict)):
            if not isinstance(entry.get(key), kind) or not entry[key]:
                raise InputError(f"must be a {kind.__name__} that is not empty", file=name, row=row, field=key)
        for code, text in entry["options"].items():
            if isinstance(text, bool) or not isinstance(text, str | int | float):
                raise InputError(f"the text of code {code!r} is no text; put Yes and No in quotes", file=name, row=row,
                                 question=entry["variable"], field="options")  # fmt: skip
        for key, wanted in (("is_ordinal", bool), ("topic", str)):
            if not isinstance(entry.get(key), wanted | None):
                raise InputError(f"must be a {wanted.__name__}", file=name, row=row, field=key)
        options = {code: str(text).strip() for code, text in entry["options"].items()}
        items.append(
            Item(entry["variable"], entry["text"].strip(), options, entry.get("is_ordinal"), entry.get("topic"))
        )
        _check_options(items[-1], name, row)
    names = [item.variable for item in items]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError("variable stands twice", file=name, field=twice)
    return replace(layout, **changes), items


def _check_options(item: Item, name: str, row: int | None) -> None:
    texts = list(item.options.values())
    if len(texts) < 2 or not all(texts) or len(set(texts)) < len(texts):
        raise InputError(
            "needs two or more different options, none of them empty",
            file=name, row=row, question=item.variable, field="options",
        )  # fmt: skip


def items_of_labels(data: Microdata, layout: Layout) -> tuple[list[Item], list[tuple[str, str]]]:
    """Questions from variable and value labels, and the variables left out with the reason."""
    special = {*layout.country, *layout.wave, *layout.weight, *(v for vs in layout.groups.values() for v in vs)}
    items, left = [], []
    for variable in data.frame.columns:
        codes = data.value_labels.get(variable, {})
        if variable in special or not codes:
            continue
        options: dict[Hashable, str] = {
            code: str(text).strip()
            for code, text in codes.items()
            if code not in layout.kept_codes and code not in layout.dropped_codes
        }
        text = data.labels.get(variable, "").strip()
        used = pd.to_numeric(data.frame[variable], errors="coerce").dropna().unique()
        unlabelled = set(used) - set(options) - set(layout.kept_codes) - set(layout.dropped_codes)
        if not text:
            left.append((variable, "variable without a label that could be its question"))
        elif not 2 <= len(options) <= MAX_OPTIONS:
            left.append((variable, f"variable without 2 to {MAX_OPTIONS} labelled answers"))
        elif unlabelled:
            left.append((variable, f"variable with codes that have no label, e.g. {min(unlabelled):g}"))
        elif not all(options.values()) or len(set(options.values())) < len(options):
            left.append((variable, "variable whose value labels are empty or repeat"))
        else:
            items.append(Item(variable, text, options))
    return items, left


def _first(frame: pd.DataFrame, names: Sequence[str], what: str, name: str) -> str:
    for candidate in names:
        if candidate in frame.columns:
            return candidate
    raise InputError(f"has no {what} variable; expected {' or '.join(names) or 'one named in the questions file'}",
                     file=name, field=what)  # fmt: skip


def _texts(data: Microdata, variable: str) -> pd.Series:
    """A variable as text: by its value labels, whole numbers without a decimal point; None where missing."""
    column = data.frame[variable]
    labels = data.value_labels.get(variable, {})
    mapping = {
        value: labels.get(value) or (f"{value:g}" if isinstance(value, int | float | np.number) else str(value).strip())
        for value in column.dropna().unique()
    }
    return column.map(mapping).astype(object).where(column.notna(), None)


def load_microdata(
    entry: Source, layout: Layout, *, data_dir: Path, path: Path, group_by: Sequence[str] = (), catalogue: str = "",
    companion: tuple[str, bytes] | None = None, items: Sequence[Item] | None = None,
) -> SurveyData:  # fmt: skip
    """Weighted shares of every described question of a respondent file; see the module for how it is described.

    Not-asked codes, missing answers and respondents without weight, wave or country are left out and counted in
    ``dropped``. Raises InputError for a code without text, a negative weight, or a variable that is not there.
    """
    content, name = path.read_bytes(), path.name
    data = read(content, name)
    left: list[tuple[str, str]] = []
    beside = Path(catalogue) if catalogue else path.with_name(f"{path.name}.questions.yaml")
    if catalogue and not beside.is_file():
        raise InputError("there is no such file", file=beside)
    if items is None and beside.is_file():
        companion = (beside.name, beside.read_bytes())
        layout, items = read_catalogue(companion[1], companion[0], layout)
    elif items is None:
        items, left = items_of_labels(data, layout)
        if not items:
            raise InputError(
                f"has no value labels that describe questions; describe them in {beside.name}",
                file=name,
                field="options",
            )
    question, response, dropped = tabulate(entry.source, data, layout, items, name=name, group_by=group_by)
    extra = [{"source_question": variable, "reason": reason, "n": 1} for variable, reason in left]
    lost = pd.DataFrame([*extra, *dropped], columns=DROPPED_COLUMNS).assign(source=entry.source, action="dropped")
    snapshot = snapshot_of(entry, content, file_name=name, origin=f"file {name}", folder=data_dir)
    files = [(snapshot, content)]
    if companion:
        other, text = companion
        described = snapshot_of(entry, text, file_name=other, origin=f"file {other}", folder=data_dir)
        files.append((described, text))
        snapshot = replace(snapshot, origin=f"file {name}, described by {other} (snapshot {described.snapshot})")
    return SurveyData(snapshot, question, response, lost[DROPPED_COLUMNS], tuple(files)).counted()


def tabulate(
    source: str, data: Microdata, layout: Layout, items: Sequence[Item], *, name: str, group_by: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame, list[dict[str, Any]]]:
    """Frames of ``survey.question`` and ``survey.response``, and what was left out."""
    frame = data.frame
    base = pd.DataFrame(index=frame.index)
    if layout.fixed_country:
        base["country_label"] = layout.fixed_country
    else:
        base["country_label"] = _texts(data, _first(frame, layout.country, "country", name))
    wave = next((v for v in layout.wave if v in frame.columns), None)
    base["wave"] = _texts(data, wave) if wave else layout.fixed_wave
    weight = _first(frame, layout.weight, "weight", name) if layout.weight else None
    base["w"] = 1.0
    if weight:
        base["w"] = pd.to_numeric(frame[weight], errors="coerce")
        bad = (base["w"] < 0) | np.isinf(base["w"]) | (base["w"].isna() & frame[weight].notna())
        if bad.any():
            raise InputError(
                "is negative, infinite or no number", file=name, row=int(np.flatnonzero(bad)[0]) + 1, field=weight
            )
    groups = {}
    for group in group_by:
        if group not in layout.groups:
            raise InputError(f"group {group!r} is not known; there are {', '.join(layout.groups) or 'none'}", file=name)
        variable = _first(frame, layout.groups[group], group, name)
        # negative codes of a demographic are missing codes in every programme read here
        texts = _texts(data, variable)
        numeric = pd.to_numeric(frame[variable], errors="coerce")
        groups[group] = texts.where(~(numeric < 0), None)
    dropped: list[dict[str, Any]] = []
    for column, reason in (("country_label", "no country"), ("wave", "no wave"), ("w", "no weight, or a weight of 0")):
        gone = base[column].isna() | ((base["w"] == 0) if column == "w" else False)
        if gone.any():
            dropped.append({"reason": f"respondents with {reason}", "n": int(gone.sum())})
            base = base[~gone]
    if base.empty:
        raise InputError("no respondent has country, wave and weight", file=name)
    questions, responses = [], []
    seen: dict[str, str] = {}
    for item in items:
        if item.variable not in frame.columns:
            raise InputError("is not in the file", file=name, question=item.variable, field="variable")
        column = frame.loc[base.index, item.variable]
        options = [*item.options.values(), *(t for t in layout.kept_codes.values() if t not in item.options.values())]
        codes: dict[Hashable, int] = {code: index for index, code in enumerate(item.options)}
        codes |= {code: options.index(text) for code, text in layout.kept_codes.items()}
        answer = column.map(codes)
        for value in column[answer.isna()].dropna().unique():
            why = layout.dropped_codes.get(value)
            if why is None:
                row = int(column.index[column == value][0]) + 1
                shown = value.item() if isinstance(value, np.generic) else value
                raise InputError(f"code {shown!r} has no text", file=name, row=row, field=item.variable)
            dropped.append({"source_question": item.variable, "reason": f"respondents: {why} (code {value:g})",
                            "n": int((column == value).sum())})  # fmt: skip
        if column.isna().any():
            dropped.append({"source_question": item.variable, "reason": "respondents without a recorded answer",
                            "n": int(column.isna().sum())})  # fmt: skip
        identity = question_id(item.text, options)
        if identity in seen:
            raise InputError(f"repeats question {seen[identity]}", file=name, question=item.variable)
        seen[identity] = item.variable
        if not answer.notna().any():
            dropped.append({"source_question": item.variable, "reason": "question without any answer", "n": 1})
            continue
        answered = base.assign(group_by="", group_value="", answer=answer).dropna(subset=["answer"])
        parts = [answered]
        for group, values in groups.items():
            part = answered.assign(group_by=group, group_value=values.loc[answered.index])
            lost = int(part["group_value"].isna().sum())
            if lost:
                dropped.append({"source_question": item.variable,
                                "reason": f"respondents without {group}", "n": lost})  # fmt: skip
            parts.append(part.dropna(subset=["group_value"]))
        every = pd.concat(parts, ignore_index=True).astype({"answer": "int64"})
        share = shares(every, by=["country_label", "wave", "group_by", "group_value"], answer="answer",
                       n_options=len(options), weight="w")  # fmt: skip
        responses.append(share.assign(source=source, question_id=identity,
                                      option=share["option_index"].map(dict(enumerate(options)))))  # fmt: skip
        questions.append(
            {
                "source": source, "source_question": item.variable, "question_id": identity, "survey": layout.survey,
                "language": "en", "text": item.text, "options": options, "is_ordinal": item.is_ordinal,
                "topic": item.topic, "weighting": weight or "unweighted",
            }
        )  # fmt: skip
    if not responses:
        raise InputError("no question has any answer", file=name)
    return pd.DataFrame(questions), pd.concat(responses, ignore_index=True)[RESPONSE_COLUMNS], dropped
