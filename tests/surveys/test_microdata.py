"""Respondent files in the formats of WVS, Pew and OpinionQA, written by the tests."""

from pathlib import Path

import pandas as pd
import pyreadstat
import pytest
import yaml

from opinion_assets.errors import InputError
from opinion_assets.surveys.registry import load_source

QUESTION = {
    "variable": "Q1",
    "text": "How important is family?",
    "options": {1: "Very", 2: "Not very"},
    "is_ordinal": True,
}


class NoAliases(yaml.SafeDumper):
    """Writes out what is the same object twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def wvs_csv(folder: Path, changes: dict | None = None, catalogue: object = None) -> Path:
    frame = pd.DataFrame(
        {
            "B_COUNTRY_ALPHA": ["TUR", "TUR", "TUR", "TUR", "DEU", "DEU"],
            "A_WAVE": 7,
            "W_WEIGHT": [1.0, 2.0, 1.0, 4.0, 1.0, 0.5],
            "Q260": [1, 2, 2, -2, 1, 1],
            "Q1": [1, 2, -1, -4, 1, 2],
        }
    ).assign(**(changes or {}))
    path = folder / "wvs.csv"
    frame.to_csv(path, index=False)
    text = yaml.dump({"questions": [QUESTION]} if catalogue is None else catalogue, Dumper=NoAliases)
    (folder / "wvs.csv.questions.yaml").write_text(text)
    return path


def test_wvs_weights_missing_codes_and_kish(tmp_path: Path) -> None:
    data = load_source("wvs", data_dir=tmp_path / "data", path=wvs_csv(tmp_path), group_by=["sex"])
    turkey = data.response.query("country_label == 'TUR' and group_by == ''")
    assert turkey["share"].tolist() == [0.25, 0.5, 0.25, 0.0]  # very, not very, don't know, no answer
    assert turkey["n"].unique().tolist() == [3]
    assert turkey["n_effective"].iloc[0] == pytest.approx(16 / 6)
    assert data.question["options"].iloc[0] == ["Very", "Not very", "Don't know", "No answer"]
    assert data.question["weighting"].tolist() == ["W_WEIGHT"]
    assert data.dropped[["source_question", "reason", "n"]].values.tolist() == [
        ["Q1", "respondents: not asked (code -4)", 1]
    ]
    women = data.response.query("country_label == 'TUR' and group_by == 'sex' and group_value == '2'")
    assert women["share"].tolist() == pytest.approx([0, 2 / 3, 1 / 3, 0])


def test_pew_sav_with_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"COUNTRY": [1.0, 1, 2, 2], "weight": [1.0, 3, 1, 1], "Q5": [1.0, 2, 9, None], "ID": [1.0, 2, 3, 4]}
    )
    path = tmp_path / "pew.sav"
    pyreadstat.write_sav(
        frame,
        str(path),
        column_labels={"COUNTRY": "Country", "Q5": "Is the economy good?"},
        variable_value_labels={"COUNTRY": {1: "Britain", 2: "S. Korea"}, "Q5": {1: "Good", 2: "Bad", 9: "DK/Refused"}},
    )
    data = load_source("pew_global_attitudes", data_dir=tmp_path / "data", path=path)
    shares = data.response.pivot(index="country_label", columns="option", values="share")
    assert shares.loc["Britain", ["Good", "Bad", "DK/Refused"]].tolist() == [0.25, 0.75, 0.0]
    assert shares.loc["S. Korea", "DK/Refused"] == 1.0
    assert data.dropped["n"].tolist() == [1]


def opinion_qa(folder: Path, references: str = "['Yes', 'No', 'Refused']", **changes: object) -> Path:
    frame = pd.DataFrame(
        {"GUN_W26": ["Yes", "No", "No", None], "SEX": ["Male", "Female", "Male", "Male"], "WEIGHT_W26": [1.0, 1, 2, 1]}
    )
    frame.assign(**changes).to_csv(folder / "responses.csv", index=False)
    pd.DataFrame({"key": ["GUN_W26"], "question": ["Own a gun?"], "references": [references]}).to_csv(
        folder / "info.csv", index=False
    )
    return folder / "responses.csv"


def test_opinion_qa_groups(tmp_path: Path) -> None:
    data = load_source("opinion_qa", data_dir=tmp_path / "data", path=opinion_qa(tmp_path), group_by=["sex"])
    whole = data.response.query("group_by == ''")
    assert whole["share"].tolist() == [0.25, 0.75, 0.0]
    assert set(data.response["country_label"]) == {"United States"}
    men = data.response.query("group_value == 'Male'")
    assert men["share"].tolist() == pytest.approx([1 / 3, 2 / 3, 0])


def test_unknown_group(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="group 'shoe size' is not known; there are sex, age, education"):
        load_source("wvs", data_dir=tmp_path / "data", path=wvs_csv(tmp_path), group_by=["shoe size"])
