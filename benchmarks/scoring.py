"""Scoring and bootstrap of many models on the published question set, as ratios to named alternatives in one run.

    OPINION_SHARED_DATA=<folder> python benchmarks/scoring.py [--models 13] [--growth]

The models' distributions are drawn at random; the human ones are GlobalOpinionQA's. Like is compared with like:

- one metric: 1 − Jensen–Shannon distance in SQL, from the tables with their text keys (js_similarity.sql here) and from
  ready integer keys (integer_keys.sql, js_similarity_ready.sql), and the array function, both on ready inputs, against
  plain vectorised numpy on ready matrices, and against a loop over scipy.spatial.distance.jensenshannon (timed on a
  part and scaled);
- ten metrics: sql/similarity/question_country.sql, from tables to the rows that are stored, against the array functions
  on ready matrices;
- bootstrap: `bootstrap_means` for all countries and models, its weights drawn anew, against the bare matrix product of
  ready weights and scores; and `country_intervals`, which starts from and ends with a table.

Each figure is the shortest of a few runs, by the clock and in processor seconds (of all threads: the fairer one where
other programs run). ``--growth`` measures one model against 1, 2, 5 and 10 times as many human distributions, each in a
process of its own, with the peak of its memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon

from opinion_assets.metrics import distances
from opinion_assets.metrics.bootstrap import _weights, bootstrap_means, cluster_weights, country_intervals
from opinion_assets.questions.build import QuestionDataset, build
from opinion_assets.surveys.registry import load_source
from opinion_assets.warehouse import create_tables, read_sql

HERE = Path(__file__).parent


class Cost:
    """Shortest of a few runs: seconds by the clock and of the processor."""

    def __init__(self, work: Callable[[], object], repeats: int = 3) -> None:
        self.clock = self.processor = float("inf")
        for _ in range(repeats):
            clock, processor = time.perf_counter(), time.process_time()
            work()
            self.clock = min(self.clock, time.perf_counter() - clock)
            self.processor = min(self.processor, time.process_time() - processor)

    def __str__(self) -> str:
        return f"{self.clock:7.2f} s clock {self.processor:7.2f} s processor"

    def over(self, other: "Cost") -> str:
        clock, processor = self.clock / other.clock, self.processor / other.processor
        return f"{clock:6.2f} x by the clock, {processor:6.2f} x in processor time"


def plain(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The alternative: 1 − Jensen–Shannon distance in numpy and nothing else, on padded matrices."""
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / m), 0.0) + np.where(q > 0, q * np.log(q / m), 0.0)
    return 1 - np.sqrt(np.maximum(terms.sum(axis=1) / 2, 0.0))


def dataset() -> QuestionDataset:
    shared = Path(os.environ["OPINION_SHARED_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        data = load_source("global_opinion_qa", data_dir=Path(folder), path=shared / "global_opinions.csv.gz")
    return build(data.question, data.response)


def answers(options: pd.DataFrame, n_models: int) -> pd.DataFrame:
    """Random answer distributions of a number of models, as rows of response.distribution."""
    generator = np.random.default_rng(1)
    start = np.flatnonzero(options["option_index"].to_numpy() == 0)
    size = np.diff([*start, len(options)])
    parts = []
    for number in range(n_models):
        drawn = generator.gamma(1, 1, len(options))
        share = drawn / np.repeat(np.add.reduceat(drawn, start), size)
        parts.append(
            options[["question_id", "option_index"]].assign(model_version=f"m{number:03}@1", probability=share)
        )
    return pd.concat(parts, ignore_index=True).assign(
        condition="default", method="x", n_orders=1, n_answers=1, n_invalid=0, letter_mass=None, order_effect=None
    )


def warehouse(human: pd.DataFrame, options: pd.DataFrame, model: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(":memory:")
    create_tables(connection)
    tables = {"response.distribution": model, "question.human_distribution": human, "question.option": options}
    for name, frame in tables.items():
        connection.from_df(frame[connection.table(name).columns]).insert_into(name)
    return connection


def compare(n_models: int) -> None:
    data = dataset()
    human = data.human_distribution
    options = data.option.sort_values(["question_id", "option_index"], ignore_index=True)
    wide = human.pivot(index=["question_id", "country_label"], columns="option_index", values="share").fillna(0.0)
    q = wide.to_numpy()
    of_pair = wide.index.get_level_values("question_id")
    model = answers(options, n_models)
    models = [
        part.pivot(index="question_id", columns="option_index", values="probability")
        .fillna(0.0)
        .loc[of_pair]
        .to_numpy()
        for _, part in model.groupby("model_version")
    ]
    scale = options.pivot(index="question_id", columns="option_index", values="ordinal_value").loc[of_pair].to_numpy()
    n_options = options.groupby("question_id").size().loc[of_pair].to_numpy()

    connection = warehouse(human, options, model)
    one, ten = (HERE / "js_similarity.sql").read_text(encoding="utf-8"), read_sql("similarity/question_country.sql")
    connection.execute((HERE / "integer_keys.sql").read_text(encoding="utf-8"))
    ready = (HERE / "js_similarity_ready.sql").read_text(encoding="utf-8")
    sums = [connection.sql(query).sum("js_similarity").fetchall()[0][0] for query in (one.rstrip(";\n"), ready)]
    assert abs(sums[0] - sums[1]) < 1e-6, sums  # the same question asked twice
    baseline = Cost(lambda: [plain(p, q) for p in models])
    part = 2000
    loop = Cost(lambda: [1 - jensenshannon(a, b) for a, b in zip(models[0][:part], q[:part], strict=True)])
    loop.clock *= n_models * len(q) / part
    loop.processor *= n_models * len(q) / part
    print(f"{n_models} models x {len(q):,} pairs, 1 - JS distance", flush=True)
    print(f"plain numpy                {baseline}   {loop.over(baseline)} faster than the scipy loop")
    for name, work in (
        ("array function", lambda: [distances.js_similarity(p, q) for p in models]),
        ("SQL, integer keys", lambda: connection.sql(ready).to_arrow_table()),
        ("SQL, text keys", lambda: connection.sql(one).to_arrow_table()),
    ):
        cost = Cost(work, 5)
        print(f"{name:27}{cost}   {loop.over(cost)} faster than the scipy loop")
        print(f"{'':27}against plain numpy: {cost.over(baseline)}", flush=True)

    def every(p: np.ndarray) -> object:
        return distances.measure(p, q, scale, n_options), distances.entropy(p), distances.entropy(q)

    vectorised = Cost(lambda: [every(p) for p in models], 1)
    sql = Cost(lambda: connection.sql(ten).to_arrow_table(), 1)
    print(f"ten metrics, arrays        {vectorised}")
    print(f"ten metrics, SQL           {sql}")
    print(f"                           SQL against arrays: {sql.over(vectorised)}", flush=True)

    scored = connection.sql(f"FROM ({ten.rstrip().rstrip(';')}) WHERE metric = 'js_similarity' AND base = 'e'").df()
    names, cluster = np.unique(scored["question_id"].to_numpy(dtype=str), return_inverse=True)
    series = scored.groupby(["model_version", "country", "sample_type"]).ngroup().to_numpy()
    values = scored["value"].to_numpy()
    weights = cluster_weights(names.tolist(), 1000, 1)
    scores = np.random.default_rng(1).random((len(names), series.max() + 1))

    def bootstrap(*intervals: str) -> object:
        _weights.cache_clear()
        return bootstrap_means(values, series, cluster, cluster_weights(names.tolist(), 1000, 1), intervals=intervals)

    product = Cost(lambda: weights @ scores, 7)
    percentile = Cost(lambda: bootstrap("percentile"), 7)
    bca = Cost(lambda: bootstrap("percentile", "bca"), 3)
    table = Cost(lambda: country_intervals(scored), 1)
    print(f"bare product {weights.shape} @ {scores.shape}  {product}")
    print(f"bootstrap, percentile      {percentile}   {percentile.over(product)} of the product")
    print(f"bootstrap, both kinds      {bca}   {bca.over(product)} of the product")
    print(f"country_intervals, table   {table}   {table.over(product)} of the product")
    print(f"peak memory of all of this {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def grown(times: int) -> None:
    """One partition against ``times`` as many human distributions, as further groups of each country."""
    data = dataset()
    human = pd.concat(
        [data.human_distribution.assign(group_by="copy", group_value=str(number)) for number in range(times)]
    )
    options = data.option.sort_values(["question_id", "option_index"], ignore_index=True)
    connection = warehouse(human, options, answers(options, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ten = read_sql("similarity/question_country.sql")
    sql = Cost(lambda: connection.sql(ten).to_arrow_table(), 1)
    frame = connection.sql(ten).df()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    intervals = Cost(lambda: country_intervals(frame), 1)
    finished = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{times:3} x  {len(frame):10,} rows  scoring {sql}  intervals {intervals}  "
        f"peak memory {before:,.0f} MiB loaded, {after:,.0f} scored, {finished:,.0f} with intervals",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=13)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--times", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.times:
        grown(arguments.times)
    elif arguments.growth:
        for times in (1, 2, 5, 10):
            subprocess.run([sys.executable, __file__, "--times", str(times)], check=True)
    else:
        compare(arguments.models)


if __name__ == "__main__":
    main()
