"""The question dataset from two small sources."""

from pathlib import Path

import pandas as pd
import pytest

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.questions.build import build
from opinion_assets.questions.topics import topic_method
from opinion_assets.surveys.registry import load_source

OPTIONS = ["Very good", "Good", "Bad", "DK/Refused"]
TEXT = "How good is it?"
IDENTITY = question_id(TEXT, OPTIONS)


def survey_question(**changes: object) -> dict[str, object]:
    return {
        "source": "s", "source_question": "1", "question_id": IDENTITY, "survey": "WVS", "language": "en", "text": TEXT,
        "options": OPTIONS, "is_ordinal": True, "topic": None, "weighting": "unweighted", **changes,
    }  # fmt: skip


def survey_response(wave: str, country: str = "Kenya", question: str = IDENTITY) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": "s", "question_id": question, "wave": wave, "country_label": country, "group_by": "",
            "group_value": "", "option_index": range(4), "option": OPTIONS, "share": [0.1, 0.2, 0.3, 0.4], "n": 100,
            "weighted_n": 100.0, "n_effective": 90.0,
        }
    )  # fmt: skip


def test_the_newest_wave_is_found_by_number() -> None:
    responses = pd.concat([survey_response("9"), survey_response("10"), survey_response("9", "Turkey")])
    human = build(pd.DataFrame([survey_question()]), responses).human_distribution
    latest = human[human["is_latest_wave"]].drop_duplicates(["country", "wave"])
    assert sorted(zip(latest["country"], latest["wave"], strict=True)) == [("KEN", "10"), ("TUR", "9")]


def test_options_have_roles_and_ordinal_values() -> None:
    option = build(pd.DataFrame([survey_question()]), survey_response("1")).option
    assert option["role"].tolist() == ["substantive"] * 3 + ["dont_know_or_refused"]
    assert option["ordinal_value"].tolist()[:3] == [0.0, 0.5, 1.0]
    assert option["ordinal_value"].isna().tolist() == [False, False, False, True]


def test_a_question_repeated_up_to_spelling_points_to_the_first() -> None:
    shouted = survey_question(text=TEXT.upper(), source_question="2", question_id=question_id(TEXT.upper(), OPTIONS))
    question = build(pd.DataFrame([survey_question(), shouted]), survey_response("1")).question
    assert question["duplicate_of"].fillna("").tolist() == ["", IDENTITY]


def test_answers_to_a_question_without_text_are_refused() -> None:
    with pytest.raises(InputError, match=r"survey\.response, question 'nobody': has answers but no text"):
        build(pd.DataFrame([survey_question()]), survey_response("1", question="nobody"))


def test_a_reviewed_scale_is_ordered_where_the_source_does_not_say() -> None:
    question = survey_question() | {
        "options": ["A lot", "A little", "Nothing at all", "DK/Refused"],
        "is_ordinal": None,
    }
    option = build(pd.DataFrame([question]), survey_response("1", question=question["question_id"])).option
    assert option["ordinal_value"].tolist()[:3] == [0.0, 0.5, 1.0]
    assert option["ordinal_value"].isna().tolist() == [False, False, False, True]


def test_the_published_file_as_a_question_dataset(shared_data: Path, tmp_path: Path) -> None:
    data = load_source("global_opinion_qa", data_dir=tmp_path, path=shared_data / "global_opinions.csv.gz")
    dataset = build(data.question, data.response)
    assert len(dataset.question) == 2555
    assert len(dataset.human_distribution.drop_duplicates(["question_id", "country_label"])) == 45884
    # what docs/sources.md states
    assert dataset.question["is_ordinal"].sum() == 1561
    assert dataset.question["duplicate_of"].notna().sum() == 4
    assert set(dataset.question["topic_method"]) == {topic_method()}
    assert (dataset.question["topic"] == "other").mean() < 0.01
    several = dataset.human_distribution.groupby(["question_id", "country", "sample_type"])["country_label"].nunique()
    assert (several == 1).all()


def test_the_source_goes_before_the_words() -> None:
    questions = [survey_question(topic="my topic"), survey_question(source="t", text="Is air pollution bad?",
                 question_id=question_id("Is air pollution bad?", OPTIONS), is_ordinal=False)]  # fmt: skip
    dataset = build(pd.DataFrame(questions), survey_response("1"))
    assert dataset.question[["topic", "topic_method"]].values.tolist() == [
        ["my topic", "catalogue"],
        ["environment_and_energy", topic_method()],
    ]
    assert dataset.question["is_ordinal"].tolist() == [True, False]


def test_a_source_that_says_so_decides_for_another_that_does_not() -> None:
    questions = [survey_question(is_ordinal=None), survey_question(source="t", is_ordinal=True)]
    assert build(pd.DataFrame(questions), survey_response("1")).question["is_ordinal"].tolist() == [True, True]
