"""A researcher's own questions, with or without human answers: a CSV or a YAML file. Examples: docs/examples/.

CSV: one row per question, country and option, with the columns ``name, question, option`` and, for answers, ``country``
and ``share``; ``wave, n, topic, ordinal`` are optional. Options stand in the order in which they first occur.
YAML: ``survey`` and a list ``questions`` of ``name, text, options, ordinal, topic, answers: {country: [shares]}``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.surveys.base import Source, SurveyData, snapshot_of
from opinion_assets.surveys.user_files import read_csv, read_yaml

COLUMNS = frozenset({"name", "question", "option"})
SUFFIXES = (".yaml", ".yml")
TOLERANCE = 0.02
MAX_N = 10**9
_OPTIONAL = frozenset({"country", "share", "wave", "n", "topic", "ordinal"})


def load(entry: Source, *, data_dir: Path, path: Path, group_by: Sequence[str] = ()) -> SurveyData:
    """Read a researcher's file. Shares within 0.02 of a sum of 1 are divided by it; anything else raises InputError."""
    if group_by:
        raise InputError(f"has no respondents to group by {group_by[0]!r}", file=path)
    content, name = path.read_bytes(), path.name
    parse = _yaml if name.lower().endswith(SUFFIXES) else _csv
    survey, items = parse(content, name)
    if not items:
        raise InputError("there are no questions", file=name)
    questions: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for row, item in enumerate(items, start=1):
        where: dict[str, Any] = {"file": name, "row": item.pop("row", row), "question": item["name"]}
        text, options = item["text"], item["options"]
        if not item["name"].strip():
            raise InputError("is empty", **where, field="name")
        if not text:
            raise InputError("is empty", **where, field="text")
        if len(options) < 2 or not all(options) or len(set(options)) < len(options):
            raise InputError("needs two or more different options, none of them empty", **where, field="options")
        identity = question_id(text, options)
        if any(item["name"] == other["source_question"] or identity == other["question_id"] for other in questions):
            raise InputError("stands twice in the file", **where)
        rounded = 0
        for (country, wave), (values, n) in item["answers"].items():
            place = where | {"field": f"share[{country}]"}
            try:
                if any(isinstance(value, bool) for value in values):
                    raise TypeError
                share = np.array(values, dtype="float64")
            except (TypeError, ValueError, OverflowError):
                raise InputError("has a share that is no number", **place) from None
            if share.shape != (len(options),):
                raise InputError(f"has {len(values)} shares for {len(options)} options", **place)
            if not (np.isfinite(share).all() and (share >= 0).all()):
                raise InputError("has a share that is negative, missing or not finite", **place)
            if abs(share.sum() - 1) > TOLERANCE + 1e-9:
                raise InputError(f"sums to {share.sum():.4g} instead of 1", **place)
            rounded += bool(abs(share.sum() - 1) > 1e-9)
            common = {"source": entry.source, "question_id": identity, "wave": wave, "country_label": country, "n": n}
            rows += [
                common | {"option_index": index, "option": option, "share": value}
                for index, (option, value) in enumerate(zip(options, share / share.sum(), strict=True))
            ]
        if rounded:
            reason = f"distributions that sum to 1 only within {TOLERANCE} were divided by their sum"
            dropped.append({"source_question": item["name"], "action": "normalised", "reason": reason, "n": rounded})
        questions.append(
            {
                "source": entry.source, "source_question": item["name"], "question_id": identity, "survey": survey,
                "language": item["language"], "text": text, "options": options, "is_ordinal": item["ordinal"],
                "topic": item["topic"], "weighting": "as_published",
            }
        )  # fmt: skip
    columns = ["source", "question_id", "wave", "country_label", "option_index", "option", "share", "n"]
    response = pd.DataFrame(rows, columns=columns).assign(
        group_by="", group_value="", weighted_n=None, n_effective=None
    )
    lost = pd.DataFrame(dropped, columns=["source_question", "country_label", "action", "reason", "n"])
    lost.insert(0, "source", entry.source)
    snapshot = snapshot_of(entry, content, file_name=name, origin=f"file {name}", folder=data_dir)
    return SurveyData(snapshot, pd.DataFrame(questions), response, lost, ((snapshot, content),)).counted()


def _yaml(content: bytes, name: str) -> tuple[str, list[dict[str, Any]]]:
    file = read_yaml(content, name)
    if not isinstance(file, dict) or not isinstance(file.get("questions"), list):
        raise InputError("needs a list of questions", file=name, field="questions")
    items = []
    for row, entry in enumerate(file["questions"], start=1):
        if not isinstance(entry, dict):
            raise InputError("is not a question", file=name, row=row)
        where: dict[str, Any] = {"file": name, "row": row, "question": entry.get("name")}
        for field in entry.keys() - {"name", "text", "options", "ordinal", "topic", "language", "answers"}:
            raise InputError("is not a known field", **where, field=str(field))
        for field, kind in (("name", str), ("text", str), ("options", list)):
            if not isinstance(entry.get(field), kind):
                raise InputError(f"is missing or not a {kind.__name__}", **where, field=field)
        if not isinstance(entry.get("ordinal"), bool | None):
            raise InputError("must be true or false", **where, field="ordinal")
        for option in entry["options"]:
            if isinstance(option, bool) or not isinstance(option, str | int | float):
                raise InputError(f"{option!r} is no text; put Yes, No, On and Off in quotes", **where, field="options")
        if not isinstance(entry.get("topic"), str | None):
            raise InputError("must be a text", **where, field="topic")
        answers = entry.get("answers") or {}
        if not isinstance(answers, dict) or not all(isinstance(values, list) for values in answers.values()):
            raise InputError("must map a country to its list of shares", **where, field="answers")
        items.append(
            {
                "name": entry["name"], "text": entry["text"].strip(), "topic": entry.get("topic"),
                "options": [str(option).strip() for option in entry["options"]], "ordinal": entry.get("ordinal"),
                "language": str(entry.get("language", "en")),
                "answers": {(str(country), ""): (values, None) for country, values in answers.items()},
            }
        )  # fmt: skip
    return str(file.get("survey", "custom")), items


def _csv(content: bytes, name: str) -> tuple[str, list[dict[str, Any]]]:
    frame = read_csv(content, name, as_text=True)
    if COLUMNS - set(frame):
        raise InputError("column is missing", file=name, field=min(COLUMNS - set(frame.columns)))
    if set(frame) - COLUMNS - _OPTIONAL:
        raise InputError("is not a known column", file=name, field=str(min(set(frame.columns) - COLUMNS - _OPTIONAL)))
    if ("share" in frame) != ("country" in frame):
        raise InputError("answers need both columns country and share", file=name)
    items: dict[str, dict[str, Any]] = {}
    cells: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
    for row, record in enumerate(frame.to_dict("records"), start=1):
        where: dict[str, Any] = {"file": name, "row": row, "question": record["name"]}
        ordinal = {"": None, "true": True, "false": False}.get(record.get("ordinal", "").lower(), "?")
        if ordinal == "?":
            raise InputError("must be true or false", **where, field="ordinal")
        item = items.setdefault(
            record["name"],
            {
                "row": row, "name": record["name"], "text": record["question"].strip(), "options": [],
                "ordinal": ordinal, "topic": record.get("topic") or None, "language": "en", "answers": {},
            },
        )  # fmt: skip
        if record["question"].strip() != item["text"]:
            raise InputError("is another text than in the rows above", **where, field="question")
        option = record["option"].strip()
        if option not in item["options"]:
            item["options"].append(option)
        if record.get("country"):
            answers = cells.setdefault(record["name"], {}).setdefault((record["country"], record.get("wave", "")), {})
            if option in answers:
                raise InputError(f"{record['country']} has two shares of {option!r}", **where, field="share")
            answers[option] = record["share"]
            if record.get("n") and not (record["n"].isdecimal() and 1 <= int(record["n"]) <= MAX_N):
                raise InputError(f"is not a whole number from 1 to {MAX_N}", **where, field="n")
            item["answers"][record["country"], record.get("wave", "")] = (
                [],
                int(record["n"]) if record.get("n") else None,
            )
    for key, item in items.items():
        for place, shares in cells.get(key, {}).items():
            values = [shares[option] for option in item["options"] if option in shares]
            item["answers"][place] = (values, item["answers"][place][1])
    return "custom", list(items.values())
