"""Respondent files in the formats of WVS, Pew and OpinionQA, written by the tests."""

from pathlib import Path

import pandas as pd
import pyreadstat
import pytest
import yaml

from opinion_assets.errors import InputError
from opinion_assets.questions.countries import harmonise
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


WVS_LABELS = {-1.0: "Don´t know", -2.0: "No answer", -3.0: "Not applicable", -4.0: "Not asked", -5.0: "Missing"}


@pytest.mark.parametrize(
    ("country", "countries", "wave", "weight"),
    [
        ("B_COUNTRY_ALPHA", ["TUR", "TUR", "TUR", "TUR", "DEU", "DEU", "DEU"], "A_WAVE", "W_WEIGHT"),
        ("B_COUNTRY", [792.0, 792, 792, 792, 276, 276, 276], "A_WAVE", "W_WEIGHT"),
        ("S003", [792.0, 792, 792, 792, 276, 276, 276], "S002VS", "S017"),
    ],
)
def test_wvs_sav_and_csv_of_wave_7_and_the_time_series(
    tmp_path: Path, country: str, countries: list, wave: str, weight: str
) -> None:
    frame = pd.DataFrame(
        {
            country: countries,
            wave: [6.0, 6, 6, 7, 7, 7, 7],
            weight: [1.0, 3.0, 1.0, 2.0, 1.0, 1.0, 2.0],
            "Q1": [1.0, 2, -1, -2, -4, 1, -5],
            "D_INTERVIEW": [1.0, 2, 3, 4, 5, 6, 7],
        }
    )
    text = country == "B_COUNTRY_ALPHA"
    labels = {"Q1": {1.0: "Very", 2.0: "Not very"} | WVS_LABELS, wave: {6.0: "2010-2014", 7.0: "2017-2022"}}
    pyreadstat.write_sav(
        frame,
        str(tmp_path / "wvs.sav"),
        column_labels={"Q1": QUESTION["text"]},
        variable_value_labels=labels if text else labels | {country: {792: "Türkiye", 276: "Germany"}},
        missing_ranges={"Q1": [{"lo": -5, "hi": -1}]},
    )
    of_sav = load_source("wvs", data_dir=tmp_path / "data", path=tmp_path / "wvs.sav")
    frame.to_csv(tmp_path / "wvs.csv", index=False)
    (tmp_path / "wvs.csv.questions.yaml").write_text(yaml.safe_dump({"questions": [QUESTION]}))
    of_csv = load_source("wvs", data_dir=tmp_path / "data", path=tmp_path / "wvs.csv")
    for data in (of_sav, of_csv):
        assert data.question["weighting"].tolist() == [weight]
        assert data.question["options"].iloc[0] == ["Very", "Not very", "Don't know", "No answer"]
        # a place is found by the code of the .csv and by the label of the .sav alike
        place = harmonise(data.response["country_label"]).set_index("country_label")["country"]
        rows = data.response.assign(country=data.response["country_label"].map(place))
        turkey = rows[(rows["country"] == "TUR") & rows["wave"].isin(["6", "2010-2014"])]
        assert turkey["share"].tolist() == [0.2, 0.6, 0.2, 0.0]
        assert set(turkey["n"]) == {3}
        assert turkey["n_effective"].iloc[0] == pytest.approx(25 / 11)
        dropped = data.dropped[data.dropped["source_question"] == "Q1"].set_index("reason")["n"].to_dict()
        assert dropped == {
            "respondents: not asked (code -4)": 1, "respondents: missing or not available (code -5)": 1,
        }  # fmt: skip


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
