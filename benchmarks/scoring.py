"""Scoring and bootstrap of many models on the published question set, as ratios to named alternatives in one run.

    OPINION_SHARED_DATA=<folder> python benchmarks/scoring.py [--models 13]

The models' distributions are drawn at random; the human ones are GlobalOpinionQA's. Alternatives: for scoring, the
vectorised array function on ready matrices and a loop over scipy.spatial.distance.jensenshannon (timed on a part and
scaled); for the bootstrap, the bare matrix product of weights and scores.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

from opinion_assets.metrics.bootstrap import cluster_weights, country_intervals
from opinion_assets.metrics.distances import js_similarity
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source
from opinion_assets.warehouse import create_tables, read_sql


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """Shortest of a few runs, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=13)
    n_models = parser.parse_args().models
    shared = Path(os.environ["OPINION_SHARED_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        data = load_source("global_opinion_qa", data_dir=Path(folder), path=shared / "global_opinions.csv.gz")
    human = build(data.question, data.response).human_distribution
    wide = human.pivot(index=["question_id", "country_label"], columns="option_index", values="share").fillna(0.0)
    q = wide.to_numpy()
    question, _ = pd.factorize(wide.index.get_level_values("question_id"))
    size = human.groupby("question_id")["option_index"].max().reindex(pd.unique(wide.index.get_level_values(0))) + 1
    generator = np.random.default_rng(1)
    models = []
    for _ in range(n_models):
        p = generator.gamma(1, 1, (len(size), q.shape[1])) * (np.arange(q.shape[1]) < size.to_numpy()[:, None])
        models.append((p / p.sum(axis=1, keepdims=True))[question])

    vectorised = best(lambda: [js_similarity(p, q) for p in models])
    part = 2000
    loop = best(lambda: [1 - jensenshannon(a, b) for a, b in zip(models[0][:part], q[:part], strict=True)], 1)
    loop *= n_models * len(q) / part

    ids = list(size.index)
    first_pair = np.unique(question, return_index=True)[1]
    rows = pd.concat(
        pd.DataFrame(
            {
                "model_version": f"m{number}@1", "condition": "default",
                "question_id": np.repeat(ids, size.to_numpy()),
                "option_index": np.concatenate([np.arange(n) for n in size]),
                "probability": np.concatenate([row[:n] for row, n in zip(p[first_pair], size, strict=True)]),
                "method": "x", "n_orders": 1, "n_answers": 1, "n_invalid": 0, "letter_mass": None, "order_effect": None,
            }
        )
        for number, p in enumerate(models)
    )  # fmt: skip
    with duckdb.connect(":memory:") as connection:
        create_tables(connection)
        connection.from_df(rows).insert_into("response.distribution")
        connection.from_df(human[connection.table("question.human_distribution").columns]).insert_into(
            "question.human_distribution"
        )
        query = read_sql("similarity/question_country.sql")
        sql = best(lambda: connection.execute(query).to_arrow_table(), 1)
        scored = connection.execute(query).df()
    scored = scored[(scored["metric"] == "js_similarity") & (scored["base"] == "e")]
    intervals = best(lambda: country_intervals(scored), 1)
    weights = cluster_weights(ids, 1000, 1)
    scores = generator.random((len(ids), scored["country"].nunique() * n_models))
    product = best(lambda: weights @ scores)
    print(f"{n_models} models x {len(q):,} pairs")
    print(
        f"all ten metrics in SQL      {sql:7.2f} s  {sql / vectorised:7.1f} x vectorised (one metric)"
        f"  {loop / sql:7.1f} times faster than the scipy loop"
    )
    print(f"vectorised js_similarity    {vectorised:7.2f} s  {loop / vectorised:7.1f} times faster than the scipy loop")
    print(f"country_intervals, 1,000    {intervals:7.2f} s  {intervals / product:7.1f} x bare matrix product")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
