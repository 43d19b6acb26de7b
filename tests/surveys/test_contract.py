"""The contract that every source's frames are held to, broken one rule at a time."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from opinion_assets.errors import InputError
from opinion_assets.surveys import contract
from opinion_assets.surveys.base import SurveyData
from opinion_assets.surveys.registry import load_source

# pandas says so where frames with empty columns are put together: what it makes of them is going to change.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> SurveyData:
    folder = tmp_path_factory.mktemp("custom")
    (folder / "mine.yaml").write_text(
        "questions:\n- name: q\n  text: Is it?\n  options: [Good, Bad, DK]\n  answers: {Kenya: [0.5, 0.25, 0.25]}\n"
    )
    return load_source("custom", data_dir=folder, path=folder / "mine.yaml")


def test_a_good_source_passes(good: SurveyData) -> None:
    contract.check(good)


def change(table: str, **values: object) -> Callable[[SurveyData], SurveyData]:
    """Set cells of the first row of a table."""

    def changed(data: SurveyData) -> SurveyData:
        frame = getattr(data, table).copy()
        for column, value in values.items():
            frame[column] = frame[column].astype(object)
            frame.at[0, column] = value
        return replace(data, **{table: frame.infer_objects()})

    return changed


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (change("response", share=0.4), "shares of a distribution sum to 1"),
        (change("response", share=-0.5), "field 'share'"),
        (change("response", share=1.5), "field 'share'"),
        (change("response", share=None), "field 'share'"),
        (change("response", n=0), "field 'n'"),
        (change("response", n=5, n_effective=6.0), "n_effective is at most n"),
        (change("response", weighted_n=-1.0), "field 'weighted_n'"),
        (change("response", country_label=""), "field 'country_label'"),
        (change("response", group_by="sex"), "group has a value"),
        (change("response", option="Yeah"), "field 'option': the answers of Kenya"),
        (change("response", option_index=1), "one row an option"),
        (change("question", question_id="0" * 16), "question_id is the hash of text and options"),
        (change("question", options=["Yes", "Yes"]), "two or more different options"),
        (change("question", is_ordinal="perhaps"), "field 'is_ordinal'"),
        (change("question", weighting=""), "field 'weighting'"),
        (lambda data: replace(data, question=pd.concat([data.question] * 2)), "field 'question_id'"),
        (lambda data: replace(data, question=data.question.assign(colour="red")), "colour"),
        (lambda data: replace(data, response=data.response.drop(columns="wave")), "wave"),
        (lambda data: replace(data, response=data.response.iloc[:2].assign(share=0.5)), "each option of the question"),
        (
            lambda data: replace(
                data,
                dropped=pd.DataFrame(
                    [{"source": "custom", "source_question": "q", "country_label": None, "action": "lost",
                      "reason": "x", "n": 1}]
                ),
            ),
            "field 'action'",
        ),
    ],
)  # fmt: skip
def test_each_rule(good: SurveyData, broken: Callable[[SurveyData], SurveyData], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        contract.check(broken(good))
    assert "mine.yaml, table survey." in str(caught.value)
