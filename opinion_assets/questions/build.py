"""From survey sources to the question dataset: option roles, ordinal values, topics, harmonised countries.

Does not belong here: reading sources (`opinion_assets.surveys`), and what is known of countries, scales and topics
(`countries`, `scales`, `topics`).
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.questions.countries import harmonise
from opinion_assets.questions.scales import option_role, scale_order
from opinion_assets.questions.topics import topic_method, topic_of

FAMILY = "global_opinion"


@dataclass(frozen=True)
class QuestionDataset:
    """The four tables of schema ``question``."""

    question: pd.DataFrame
    option: pd.DataFrame
    human_distribution: pd.DataFrame
    country: pd.DataFrame


def build(survey_question: pd.DataFrame, survey_response: pd.DataFrame) -> QuestionDataset:
    """The question dataset of all ingested sources.

    Raises InputError for a country label that is not known and for a distribution of a question that is not there.
    """
    strangers = set(survey_response["question_id"]) - set(survey_question["question_id"])
    if strangers:
        raise InputError("has answers but no text", file="survey.response", question=sorted(strangers)[0])
    country = harmonise(survey_response["country_label"])
    option = _options(survey_question)
    ordinal = set(option.loc[option["ordinal_value"].notna(), "question_id"])
    return QuestionDataset(_questions(survey_question, ordinal), option, _human(survey_response, country), country)


def _questions(survey_question: pd.DataFrame, ordinal: set[str]) -> pd.DataFrame:
    frame = survey_question.reset_index(drop=True)
    folded = [
        " | ".join(re.sub(r"[\W_]+", " ", part.casefold()).strip() for part in (text, *options))
        for text, options in zip(frame["text"], frame["options"], strict=True)
    ]
    first = frame.assign(folded=folded).groupby(["source", "folded"], sort=False)["question_id"].transform("first")
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
            "is_ordinal": frame["question_id"].isin(ordinal),
            "topic": frame["topic"].where(frame["topic"].notna(), frame["text"].map(topic_of)),
            "topic_method": np.where(frame["topic"].isna(), topic_method(), "catalogue"),
            "duplicate_of": first.where(first != frame["question_id"]),
        }
    )


def _options(survey_question: pd.DataFrame) -> pd.DataFrame:
    rows = []
    # Where two sources ask the same question, the one that says whether it is ordinal decides.
    said = survey_question.dropna(subset=["is_ordinal"]).drop_duplicates("question_id")
    ordinal = said.set_index("question_id")["is_ordinal"]
    for record in survey_question.drop_duplicates("question_id").to_dict("records"):
        identity, options = record["question_id"], list(record["options"])
        roles = [option_role(option) for option in options]
        substantive = [option for option, role in zip(options, roles, strict=True) if role == "substantive"]
        values = dict(zip(substantive, _values(substantive, ordinal.get(identity)), strict=True))
        rows += [
            (identity, index, option, role, values.get(option))
            for index, (option, role) in enumerate(zip(options, roles, strict=True))
        ]
    columns = ["question_id", "option_index", "option", "role", "ordinal_value"]
    return pd.DataFrame(rows, columns=columns).astype({"ordinal_value": "float64"})


def _values(substantive: list[str], is_ordinal: bool | None) -> list[float | None]:
    """Ordinal values, 0 to 1 in equal steps: in the source's order where it says so, else by the reviewed scales."""
    order = scale_order(substantive) if is_ordinal is None else list(range(len(substantive))) if is_ordinal else None
    if order is None or len(order) < 2:
        return [None] * len(substantive)
    return [rank / (len(order) - 1) for rank in order]


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
