"""Sources and the question dataset as Dagster runs: groups by configuration, and what a person sees in the UI."""

from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest
import yaml

from opinion_assets.assets.common import StoreResource
from opinion_assets.assets.questions import question_tables
from opinion_assets.assets.surveys import source_assets, survey_tables
from opinion_assets.warehouse import Store


def run(folder: Path, source: str, **config: object) -> dg.ExecuteInProcessResult:
    key = dg.AssetKey(["source", source])
    [asset] = [asset for asset in source_assets if asset.key == key]
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [asset, survey_tables, question_tables],
            instance=instance,
            resources={"store": StoreResource(folder=str(folder / "data"))},
            run_config={"ops": {f"source__{source}": {"config": config}}},
            raise_on_error=False,
        )


def wvs_file(folder: Path, **changes: object) -> Path:
    frame = pd.DataFrame(
        {
            "B_COUNTRY_ALPHA": ["TUR"] * 4 + ["DEU"] * 4,
            "A_WAVE": 7,
            "W_WEIGHT": [1.0, 3.0, 1.0, 1.0, 2.0, 2.0, 0.5, 1.5],
            "Q260": [1, 1, 2, 2, 1, 2, -2, 2],
            "Q1": [1, 2, 1, -1, 2, 1, 1, -4],
        }
    ).assign(**changes)
    frame.to_csv(folder / "wvs.csv", index=False)
    question = {"variable": "Q1", "text": "How serious is air pollution?", "options": {1: "Very", 2: "Not very"}}
    (folder / "wvs.csv.questions.yaml").write_text(yaml.safe_dump({"questions": [question]}))
    return folder / "wvs.csv"


@pytest.fixture(scope="module")
def by_sex(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dg.ExecuteInProcessResult]:
    folder = tmp_path_factory.mktemp("by_sex")
    return folder / "data", run(folder, "wvs", path=str(wvs_file(folder)), group_by=["sex"])


def test_groups_within_a_country_by_configuration(by_sex: tuple[Path, dg.ExecuteInProcessResult]) -> None:
    folder, result = by_sex
    assert result.success
    with Store(folder).connect(read_only=True) as connection:
        human = connection.table("question.human_distribution").df()
        change = connection.table("survey.change").df()
    men = human.query("country == 'TUR' and group_by == 'sex' and group_value == '1'").set_index("option_index")
    assert men["share"].tolist() == [0.25, 0.75, 0.0, 0.0]
    assert set(men["n"]) == {2}
    assert men["n_effective"].unique().tolist() == [pytest.approx((1 + 3) ** 2 / (1 + 9))]
    whole = human.query("country == 'TUR' and group_by == ''")
    assert set(whole["n"]) == {4}
    assert whole["n_effective"].unique().tolist() == [pytest.approx(36 / 12)]
    reasons = change.set_index("reason")["n"].to_dict()
    assert reasons["respondents without sex"] == 1
    assert reasons["respondents: not asked (code -4)"] == 1


def test_what_was_ingested_can_be_seen(by_sex: tuple[Path, dg.ExecuteInProcessResult]) -> None:
    _, result = by_sex
    shown = {event.asset_key.path[-1]: event.materialization.metadata
             for event in result.get_asset_materialization_events()}  # fmt: skip
    source = shown["wvs"]
    assert "| TUR | 7 | 1 |" in source["countries"].value
    assert "How serious is air pollution?" in source["first_questions"].value
    assert "respondents: not asked (code -4)" in source["dropped_or_changed_why"].value
    assert "| sex | 2 | 2 |" in source["groups"].value
    question = next(e.materialization.metadata for e in result.get_asset_materialization_events()
                    if e.asset_key == dg.AssetKey(["question", "question"]))  # fmt: skip
    assert "| wvs | environment_and_energy | 1 |" in question["topics"].value
    assert "respondents: not asked (code -4)" in question["dropped_merged_kept_apart"].value


def test_a_malformed_file_leaves_what_was_stored(tmp_path: Path) -> None:
    assert run(tmp_path, "wvs", path=str(wvs_file(tmp_path))).success
    before = {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.parquet")}
    assert not run(tmp_path, "wvs", path=str(wvs_file(tmp_path, W_WEIGHT=-1.0))).success
    assert {p: p.read_bytes() for p in (tmp_path / "data").rglob("*.parquet")} == before


def test_an_unknown_country_is_refused_before_anything_is_stored(tmp_path: Path) -> None:
    result = run(tmp_path, "wvs", path=str(wvs_file(tmp_path, B_COUNTRY_ALPHA="Turky")))
    assert not result.success
    [failed] = [check for check in result.get_asset_check_evaluations() if not check.passed]
    assert failed.check_name == "countries_are_known"
    assert "near: Turkey" in failed.metadata["first_offending_rows"].value
    assert not list((tmp_path / "data").rglob("*.*"))


def test_labels_of_one_country_and_repeated_questions_are_listed(tmp_path: Path) -> None:
    text = "name,question,option,country,share\n"
    for name, question in (("a", "Is it good?"), ("b", "Is it good"), ("c", "Is it bad?")):
        for country in ("Britain", "Great Britain") if name == "a" else ("Britain", "China (Non-national sample)"):
            text += "".join(f"{name},{question},{option},{country},0.5\n" for option in ("Good", "Bad"))
    (tmp_path / "mine.csv").write_text(text)
    assert run(tmp_path, "custom", path=str(tmp_path / "mine.csv")).success
    with duckdb.connect(str(tmp_path / "data" / "warehouse.duckdb"), read_only=True) as connection:
        change = connection.table("survey.change").df()
    found = change[["source_question", "country_label", "action", "n"]].fillna("").values.tolist()
    assert ["a", "Britain + Great Britain", "kept_apart", 2] in found
    assert ["b", "", "kept_apart", 1] in found
    assert ["", "China (Non-national sample)", "kept_apart", 2] in found
