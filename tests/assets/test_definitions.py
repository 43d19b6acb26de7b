"""What a person sees in the UI: every asset has a description, an owner, kinds, and tables have columns and lineage."""

import dagster as dg
import pytest

from opinion_assets.assets.common import asset_key
from opinion_assets.assets.responses import choose_questions
from opinion_assets.definitions import defs
from opinion_assets.warehouse import tables

GRAPH = defs.resolve_asset_graph()
SPECS = {spec.key: spec for spec in defs.resolve_all_asset_specs()}


def test_every_asset_is_described_and_owned() -> None:
    for key, spec in SPECS.items():
        assert spec.description, key
        assert spec.owners, key
        assert spec.kinds, key
        assert spec.group_name, key
        assert spec.code_version, key


def test_tables_have_columns() -> None:
    for key, spec in SPECS.items():
        if ".".join(key.path) in tables():
            schema = spec.metadata["dagster/column_schema"]
            assert [column.name for column in schema.columns] == tables()[".".join(key.path)].column_names


def test_column_lineage_leads_from_similarity_back_to_the_survey() -> None:
    def upstream(table: str, column: str) -> set[tuple[str, str]]:
        lineage = SPECS[asset_key(table)].metadata.get("dagster/column_lineage")
        deps = lineage.deps_by_column.get(column, []) if lineage else []
        return {(".".join(dep.asset_key.path), dep.column_name) for dep in deps}

    seen: set[tuple[str, str]] = set()
    todo = {("similarity.country", "mean")}
    while todo:
        seen |= todo
        todo = {found for place in todo for found in upstream(*place)} - seen
    assert ("survey.response", "share") in seen
    assert ("response.answer", "option_logprobs") in seen


def test_column_lineage_can_be_read_in_the_descriptions() -> None:
    described = {
        c.name: c.description for c in SPECS[asset_key("similarity.country")].metadata["dagster/column_schema"].columns
    }
    assert described["mean"].endswith(
        "From `similarity.question_country.value`, `similarity.question_country.is_latest_wave`."
    )
    assert (
        described["n_resamples"]
        == next(c for c in tables()["similarity.country"].columns if c.name == "n_resamples").comment
    )


def test_column_lineage_names_columns_that_exist() -> None:
    for key, spec in SPECS.items():
        lineage = spec.metadata.get("dagster/column_lineage")
        for deps in lineage.deps_by_column.values() if lineage else []:
            for dep in deps:
                assert dep.column_name in tables()[".".join(dep.asset_key.path)].column_names, (key, dep)


@pytest.mark.parametrize(
    ("table", "check"),
    [
        ("survey.response", "share_sums_to_1"),
        ("survey.response", "option_counts_agree"),
        ("question.human_distribution", "share_in_0_1"),
        ("response.distribution", "probability_sums_to_1"),
        ("response.distribution", "probability_in_0_1"),
        ("response.distribution", "option_counts_agree"),
    ],
)
def test_checks_are_blocking(table: str, check: str) -> None:
    spec = GRAPH.get_check_spec(dg.AssetCheckKey(asset_key(table), check))
    assert spec.blocking


def test_partitions_are_model_version_by_condition() -> None:
    for table in ("response.answer", "response.distribution", "similarity.question_country", "similarity.country"):
        partitions = GRAPH.get(asset_key(table)).partitions_def
        assert isinstance(partitions, dg.MultiPartitionsDefinition)
        assert set(partitions.partition_dimension_names) == {"model_version", "condition"}


def test_a_limit_takes_a_fixed_sample_and_never_a_question_without_text() -> None:
    import pandas as pd

    question = pd.DataFrame(
        {"source": ["b", "b", "a", "a"], "question_id": ["4", "3", "2", "1"], "text": ["x", "x", "x", " "]}
    )
    assert choose_questions(question, [], 0)["question_id"].tolist() == ["2", "3", "4"]
    assert choose_questions(question, ["b"], 1)["question_id"].tolist() == ["3"]
    with pytest.raises(dg.Failure, match="survey source 'c' has no questions stored; there are a, b"):
        choose_questions(question, ["c"], 0)
