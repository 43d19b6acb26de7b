"""The stage `similarity` in real runs: rows lead back, partitions stand alone, 1 and 2 workers store the same bytes."""

import multiprocessing
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from opinion_assets.assets import similarity
from opinion_assets.assets.common import StoreResource
from opinion_assets.elicitation.distributions import distributions
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source
from opinion_assets.warehouse import Store

PARTITIONS = [("m@1", "default"), ("m@1", "cross_national:TUR")]
MEANS = ["similarity.country", "similarity.topic", "similarity.region"]
TABLES = ["similarity.question_country", *MEANS]


def answer(store: Store, model: str, condition: str, seed: int) -> None:
    """Store random answers of a model, two option orders a question, as the stage `response` does."""
    options = store.read("question.option")
    generator = np.random.default_rng(seed)
    rows = []
    for question_id, part in options.groupby("question_id", sort=True):
        for order in (list(range(len(part))), list(range(len(part)))[::-1]):
            rows.append(
                {
                    "model_version": model, "condition": condition, "question_id": question_id,
                    "request_hash": f"{question_id}{order}", "prompt_hash": "", "prompt": "?",
                    "method": "completion_logprobs", "option_order": order, "sample_index": 0, "status": "ok",
                    "error": None, "raw_text": None, "option_logprobs": np.log(generator.dirichlet(np.ones(len(part)))),
                    "letter_mass": 1.0, "answer_index": None, "prompt_tokens": 1, "completion_tokens": 1,
                    "cost_usd": 0.0, "model_reported": model, "requested_at": pd.Timestamp("2026-01-01", tz="UTC"),
                    "latency_s": 0.0,
                }
            )  # fmt: skip
    answers = pd.DataFrame(rows)
    partition = {"model_version": model, "condition": condition}
    stored = [
        store.write("response.answer", answers, partition),
        store.write("response.distribution", distributions(answers, options), partition),
    ]
    store.publish(stored)


def score(folder: Path, model: str, condition: str) -> None:
    """One run: everything of the stage that belongs to a partition."""
    key = dg.MultiPartitionKey({"model_version": model, "condition": condition})
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("model_version", [model])
        instance.add_dynamic_partitions("condition", [condition])
        result = dg.materialize(
            [similarity.question_country, similarity.country, similarity.topic, similarity.region],
            instance=instance,
            partition_key=key,
            resources={"store": StoreResource(folder=str(folder))},
            run_config={
                "ops": {
                    "__".join(name.split(".")): {"config": {"n_resamples": 200, "intervals": ["percentile", "bca"]}}
                    for name in MEANS
                }
            },
        )
    assert result.success


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("similarity/**/*.parquet"))}


@pytest.fixture(scope="module")
def prepare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two data folders with the same survey data and answers; one scored here, one by two processes at once."""
    data = load_source("wvs_embedded", data_dir=tmp_path_factory.mktemp("source"))
    dataset = build(data.question, data.response)
    folders = {name: tmp_path_factory.mktemp(name) for name in ("one", "two")}
    for folder in folders.values():
        store = Store(folder)
        names = ("question", "option", "human_distribution", "country")
        store.publish([store.write(f"question.{name}", getattr(dataset, name)) for name in names])
        for seed, (model, condition) in enumerate(PARTITIONS):
            answer(store, model, condition, seed)
    for partition in PARTITIONS:
        score(folders["one"], *partition)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=score, args=(folders["two"], *partition)) for partition in reversed(PARTITIONS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    return folders


def test_one_and_two_workers_store_the_same_bytes(prepare: dict[str, Path]) -> None:
    one, two = (files(prepare[name]) for name in ("one", "two"))
    assert len(one) == len(TABLES) * len(PARTITIONS)
    assert one == two
    rows = []
    for name in ("one", "two"):
        with Store(prepare[name]).connect(read_only=True) as connection:
            rows.append([sorted(map(str, connection.table(table).fetchall())) for table in TABLES])
    assert rows[0] == rows[1]


def test_every_row_leads_to_one_human_distribution_and_to_its_answers(prepare: dict[str, Path]) -> None:
    store = Store(prepare["one"])
    scored = store.read("similarity.question_country")
    scored = scored[(scored["metric"] == "js_similarity") & (scored["base"] == "e")]
    key = ["source", "question_id", "wave", "country_label", "group_by", "group_value"]
    human = store.read("question.human_distribution")
    first = human[human["option_index"] == 0]
    # Each partition scores each human distribution once, those of older waves too, and each row finds exactly one.
    assert len(scored) == len(PARTITIONS) * len(first)
    assert first["wave"].nunique() > 1
    joined = scored.merge(first, on=key, how="inner", validate="many_to_one", suffixes=("", "_human"))
    assert len(joined) == len(scored)
    for column in ("country", "sample_type", "is_latest_wave"):
        assert (joined[column] == joined[f"{column}_human"]).all()
    answers = store.read("response.answer")
    partition = ["model_version", "condition", "question_id"]
    assert len(scored.merge(answers, on=partition)) == 2 * len(scored)
    assert set(map(tuple, answers[partition].to_numpy())) == set(map(tuple, scored[partition].to_numpy()))


def test_means_are_those_of_the_rows_behind_them(prepare: dict[str, Path]) -> None:
    store = Store(prepare["one"])
    scored = store.read("similarity.question_country")
    newest = scored[scored["is_latest_wave"]]
    by = ["model_version", "condition", "source", "country", "sample_type", "group_by", "group_value", "metric", "base"]
    country = store.read("similarity.country")
    expected = newest.groupby(by)["value"].agg(["mean", "size"])
    found = country[country["interval"] == "bca"].set_index(by)
    np.testing.assert_allclose(found["mean"], expected["mean"].reindex(found.index), rtol=0, atol=1e-12)
    assert (found["n_questions"] == expected["size"].reindex(found.index)).all()
    assert len(found) == len(expected)
    answers = store.read("response.distribution").drop_duplicates(["model_version", "condition", "question_id"])
    assert country["order_effect"].between(answers["order_effect"].min(), answers["order_effect"].max()).all()
    assert (country["invalid_rate"] == 0).all()


def test_only_the_rows_of_the_partition_that_ran_change(prepare: dict[str, Path]) -> None:
    folder = prepare["two"]
    store = Store(folder)
    before = files(folder)
    (model, changed), (_, other) = PARTITIONS
    answer(store, model, changed, seed=99)
    score(folder, model, changed)
    after = files(folder)
    of_other = {
        str(path.relative_to(folder))
        for table in TABLES
        for path, partition in store.partitions(table).items()
        if partition["condition"] == other
    }
    assert {path for path in before if before[path] == after[path]} == of_other
    with store.connect(read_only=True) as connection:
        for table in TABLES:
            assert len(connection.table(table)) == len(store.read(table))
    [lineage] = [
        row for row in store.read("run.lineage").to_dict("records")
        if row["asset"] == "similarity/country" and row["partition"].endswith(f"condition={changed}")
    ]  # fmt: skip
    assert f"similarity/question_country/model_version={model}/condition={changed}" in lineage["upstream"]
