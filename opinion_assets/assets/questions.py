"""Stage `question`: the question dataset from all survey sources, with countries harmonised to ISO 3166.

Building itself stands in `opinion_assets.questions`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from opinion_assets.assets.common import (
    WAREHOUSE_POOL,
    Output,
    StoreResource,
    as_markdown,
    asset_key,
    not_empty,
    option_counts_agree,
    same_columns,
    store_tables,
    sums_to_one,
    table_asset,
    table_spec,
    unique_rows,
    within_unit_interval,
)
from opinion_assets.questions.build import QuestionDataset, build
from opinion_assets.questions.human_similarity import human_similarity
from opinion_assets.warehouse import Store, read_sql
from opinion_assets.warehouse.schema import create_views, to_arrow

DISTRIBUTION = ["source", "question_id", "wave", "country_label", "group_by", "group_value"]
CODE = ("questions", "sql/tables/question.sql", "sql/views/survey.sql", "sql/survey", "identity.py")
DEPS = [asset_key("survey.question"), asset_key("survey.response")]

LINEAGE = {
    "question.question": same_columns(
        "survey.question",
        "question_id",
        "source",
        "source_question",
        "survey",
        "language",
        "text",
    )
    | {
        "n_options": [("survey.question", "options")],
        "topic": [("survey.question", "topic"), ("survey.question", "text")],
        "topic_method": [("survey.question", "topic")],
        "is_ordinal": [("survey.question", "is_ordinal"), ("survey.question", "options")],
        "duplicate_of": [("survey.question", "text"), ("survey.question", "options")],
    },
    "question.option": {
        "question_id": [("survey.question", "question_id")],
        "option": [("survey.question", "options")],
        "option_index": [("survey.question", "options")],
        "role": [("survey.question", "options")],
        "ordinal_value": [("survey.question", "options"), ("survey.question", "is_ordinal")],
    },
    "question.human_distribution": same_columns(
        "survey.response", *DISTRIBUTION, "option_index", "share", "n", "n_effective"
    )
    | {
        "country": [("survey.response", "country_label")],
        "sample_type": [("survey.response", "country_label")],
        "is_latest_wave": [("survey.response", "wave"), ("survey.response", "country_label")],
    },
    "question.country": {
        column: [("survey.response", "country_label")]
        for column in ("country_label", "country", "sample_type", "name", "alpha_2", "region", "mapped_by", "reason")
    },
}
HUMAN_CHECKS = (
    sums_to_one("share", DISTRIBUTION),
    within_unit_interval("share"),
    unique_rows([*DISTRIBUTION, "option_index"]),
)
OPTION_CHECKS = (unique_rows(["question_id", "option_index"]), unique_rows(["question_id", "option"], "options_differ"))


def changes_of(store: Store, dataset: QuestionDataset) -> pd.DataFrame:
    """What was dropped, merged, kept apart or changed, and why: survey.change, summed by source, action and reason."""
    with store.working_copy(["survey.dropped"]) as connection:
        for name in ("question", "human_distribution"):
            connection.from_arrow(to_arrow(f"question.{name}", getattr(dataset, name))).insert_into(f"question.{name}")
        create_views(connection)
        return connection.execute(read_sql("survey/changes.sql")).df()


def counts(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Number of rows for each combination of the columns, the most frequent first."""
    return frame.value_counts(list(columns)).rename("n").reset_index()


@dg.multi_asset(
    name="question",
    specs=[table_spec(name, code=CODE, lineage=lineage, deps=DEPS) for name, lineage in LINEAGE.items()],
    check_specs=[
        not_empty().spec(asset_key("question.question")),
        unique_rows(["source", "question_id"]).spec(asset_key("question.question")),
        *[check.spec(asset_key("question.option")) for check in OPTION_CHECKS],
        *[check.spec(asset_key("question.human_distribution")) for check in HUMAN_CHECKS],
        option_counts_agree(DISTRIBUTION, pd.DataFrame).spec(asset_key("question.human_distribution")),
        unique_rows(["country_label"]).spec(asset_key("question.country")),
    ],
    pool=WAREHOUSE_POOL,
)
def question_tables(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """Questions, options with roles, human distributions and harmonised countries."""
    target = store.store()
    dataset = build(target.read("survey.question"), target.read("survey.response"))
    agree = option_counts_agree(DISTRIBUTION, lambda: dataset.option)
    changes = changes_of(target, dataset)
    yield from store_tables(
        context,
        target,
        [
            Output(
                "question.question",
                dataset.question,
                [not_empty(), unique_rows(["source", "question_id"])],
                {
                    "questions_by_source": dataset.question.groupby("source").size().to_dict(),
                    "ordinal_questions": int(dataset.question["is_ordinal"].sum()),
                    "duplicates": int(dataset.question["duplicate_of"].notna().sum()),
                    "topics": dg.MetadataValue.md(as_markdown(counts(dataset.question, "source", "topic"))),
                    "dropped_merged_kept_apart": dg.MetadataValue.md(as_markdown(changes)),
                },
            ),
            Output(
                "question.option",
                dataset.option,
                OPTION_CHECKS,
                {"roles": dg.MetadataValue.md(as_markdown(counts(dataset.option, "role")))},
            ),
            Output(
                "question.human_distribution",
                dataset.human_distribution,
                [*HUMAN_CHECKS, agree],
                {"distributions": len(dataset.human_distribution.drop_duplicates(DISTRIBUTION))},
            ),
            Output(
                "question.country",
                dataset.country,
                [unique_rows(["country_label"])],
                {
                    "countries": int(dataset.country["country"].nunique()),
                    "labels": dg.MetadataValue.md(as_markdown(dataset.country)),
                },
            ),
        ],
        upstream=["survey.question", "survey.response"],
    )


PAIR = ["source", "country_a", "sample_type_a", "country_b", "sample_type_b", "metric", "base"]
SIMILARITY_CHECKS = (unique_rows(PAIR), within_unit_interval("mean"))


@dg.asset(
    **table_asset(
        "question.human_similarity",
        code=("questions/human_similarity.py", "sql/tables/question.sql"),
        checks=SIMILARITY_CHECKS,
        lineage={
            "mean": [("question.human_distribution", "share")],
            "n_questions": [("question.human_distribution", "question_id")],
        },
    ),
    deps=[asset_key("question.human_distribution")],
    pool=WAREHOUSE_POOL,
)
def human_similarity_matrix(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """How alike each two countries' answers are: what a model's similarity to a country can be compared with."""
    target = store.store()
    frame = human_similarity(target.read("question.human_distribution"))
    yield from store_tables(
        context,
        target,
        [Output("question.human_similarity", frame, SIMILARITY_CHECKS)],
        upstream=["question.human_distribution"],
    )
