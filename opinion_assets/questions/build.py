"""From survey sources to the question dataset: option roles, ordinal values, topics, harmonised countries.

Does not belong here: reading sources (`opinion_assets.surveys`) and country knowledge (`countries`).
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from opinion_assets.errors import InputError
from opinion_assets.questions.countries import harmonise

FAMILY = "global_opinion"
_ROLES = [
    # "Neither agree nor disagree" is a position on the scale; "Missing; …" is what the release calls no valid answer.
    ("substantive", re.compile(r"neither .* n?or .*|neither|other internet sources|don.?t know anyone.*", re.I)),
    (
        "dont_know_or_refused",
        re.compile(r"(dk|don.?t know|do not know)\s*[/&,]?\s*(or )?\s*(refused|no answer|na)\b.*", re.I),
    ),
    ("dont_know", re.compile(r"(dk|don.?t know|do not know|can.?t choose|not sure|no opinion)\b.*", re.I)),
    ("refused", re.compile(r"(refused|no answer|refuse to answer)\b.*", re.I)),
    ("other", re.compile(r"(other|something else|none of (these|the above)|neither|depends|missing;).*", re.I)),
]


@dataclass(frozen=True)
class QuestionDataset:
    """The four tables of schema ``question``."""

    question: pd.DataFrame
    option: pd.DataFrame
    human_distribution: pd.DataFrame
    country: pd.DataFrame


def option_role(option: str) -> str:
    """Role of an option by its wording.

    >>> [option_role(text) for text in ("DK/Refused", "Don't know", "No answer", "Very good", "Missing; Unknown")]
    ['dont_know_or_refused', 'dont_know', 'refused', 'substantive', 'other']
    """
    text = option.strip().strip("()[]").replace("’", "'")
    return next((role for role, pattern in _ROLES if pattern.fullmatch(text)), "substantive")


@cache
def _scales() -> frozenset[str]:
    return frozenset(yaml.safe_load(Path(__file__).with_name("scales.yaml").read_text(encoding="utf-8")))


def _with_scales(survey_question: pd.DataFrame) -> pd.DataFrame:
    """Fill is_ordinal where the source does not say: true if the substantive options are a scale of scales.yaml."""
    known = survey_question["options"].map(
        lambda options: (
            " | ".join(text for text in options if option_role(text) == "substantive").casefold() in _scales()
        )
    )
    said = survey_question["is_ordinal"].astype(object)
    return survey_question.assign(is_ordinal=said.where(said.notna(), known.astype(object)))


def build(survey_question: pd.DataFrame, survey_response: pd.DataFrame) -> QuestionDataset:
    """The question dataset of all ingested sources.

    Raises InputError for a country label that is not known and for a distribution of a question that is not there.
    """
    strangers = set(survey_response["question_id"]) - set(survey_question["question_id"])
    if strangers:
        raise InputError("has answers but no text", file="survey.response", question=sorted(strangers)[0])
    country = harmonise(survey_response["country_label"])
    survey_question = _with_scales(survey_question)
    option = _options(survey_question)
    return QuestionDataset(_questions(survey_question), option, _human(survey_response, country), country)


def _questions(survey_question: pd.DataFrame) -> pd.DataFrame:
    frame = survey_question.reset_index(drop=True)
    folded = frame["text"].str.casefold().str.replace(r"\W+", " ", regex=True) + frame["options"].map(
        lambda options: "|".join(options).casefold()
    )
    first = frame.groupby([frame["source"], folded], sort=False)["question_id"].transform("first")
    return pd.DataFrame(
        {
            "question_id": frame["question_id"],
            "family": FAMILY,
            "source": frame["source"],
            "source_question": frame["source_question"],
            "survey": frame["survey"],
            "language": frame["language"],
            "text": frame["text"],
            "n_options": frame["options"].map(len),
            "is_ordinal": frame["is_ordinal"].map(lambda value: bool(value) if value is not None else False),
            "topic": frame["topic"].fillna("unclassified"),
            "topic_method": np.where(frame["topic"].isna(), "none", "catalogue"),
            "duplicate_of": first.where(first != frame["question_id"]),
        }
    )


def _options(survey_question: pd.DataFrame) -> pd.DataFrame:
    unique = survey_question.drop_duplicates("question_id")
    frame = unique[["question_id", "options", "is_ordinal"]].explode("options", ignore_index=True)
    frame = frame.rename(columns={"options": "option"})
    frame["option_index"] = frame.groupby("question_id", sort=False).cumcount()
    frame["role"] = frame["option"].map(option_role)
    substantive = frame["role"] == "substantive"
    position = substantive.groupby(frame["question_id"], sort=False).cumsum() - 1
    count = substantive.groupby(frame["question_id"], sort=False).transform("sum")
    ordinal = frame["is_ordinal"].map(lambda value: value is True or value == True) & substantive & (count > 1)  # noqa: E712
    frame["ordinal_value"] = (position / (count - 1).where(count > 1)).where(ordinal)
    return frame[["question_id", "option_index", "option", "role", "ordinal_value"]]


def _human(survey_response: pd.DataFrame, country: pd.DataFrame) -> pd.DataFrame:
    frame = survey_response.merge(country[["country_label", "country", "sample_type"]], on="country_label", how="left")
    # Waves are numbers or years written as text: compare by number first, so that wave 10 is newer than wave 9.
    number = pd.to_numeric(frame["wave"], errors="coerce").fillna(-1.0)
    key = ["source", "question_id", "country_label", "group_by", "group_value"]
    order = (
        pd.DataFrame({"number": number, "wave": frame["wave"]}).apply(tuple, axis=1).rank(method="dense")
        if number.nunique() > 1
        else pd.Series(1.0, index=frame.index)
    )
    frame["is_latest_wave"] = order == order.groupby([frame[column] for column in key], sort=False).transform("max")
    return frame[
        [
            "source", "question_id", "wave", "is_latest_wave", "country_label", "country", "sample_type", "group_by",
            "group_value", "option_index", "share", "n", "n_effective",
        ]
    ]  # fmt: skip
