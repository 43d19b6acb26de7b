"""Comparing models: cost as a ratio to a bare matrix product, and how often a true null is rejected.

    OPINION_SHARED_DATA=<folder> python benchmarks/comparing.py [--models 13] [--conditions 3]

Cost: random model distributions on GlobalOpinionQA's questions and countries, js_similarity base e, 1,000 resamples and
9,999 sign patterns. The bare product is (resamples + sign patterns) × questions times questions × (series × countries).
It is in double precision; the sign patterns' own products are in single precision.

Level: in each of 2,000 simulated studies A and B are alike; shown is the share of p values ≤ 0.05 of the sign-flip
test and of intervals that leave out 0, for symmetric differences (A and B exchangeable) and skewed ones with mean 0.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from opinion_assets.metrics.bootstrap import cluster_weights
from opinion_assets.metrics.comparison import choose_pairs, model_comparison
from opinion_assets.metrics.conditions import condition_effect
from opinion_assets.metrics.distances import js_similarity
from opinion_assets.metrics.paired import Scores, Settings, paired_differences
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source


def question_country(human: pd.DataFrame, series: list[tuple[str, str]]) -> pd.DataFrame:
    """Similarities of random answers, one condition a shift of the model's default."""
    wide = human.pivot(
        index=["question_id", "wave", "country_label", "country", "sample_type"], columns="option_index", values="share"
    )
    options = wide.notna().to_numpy()
    q = wide.fillna(0.0).to_numpy()
    question, _ = pd.factorize(wide.index.get_level_values("question_id"))
    first = np.unique(question, return_index=True)[1]
    generator = np.random.default_rng(1)
    frames = []
    for model, condition in series:
        p = generator.gamma(1, 1, (len(first), q.shape[1])) * options[first]
        values = js_similarity((p / p.sum(axis=1, keepdims=True))[question], q)
        rows = wide.index.to_frame(index=False)
        frames.append(rows.assign(model_version=model, condition=condition, value=values))
    frame = pd.concat(frames, ignore_index=True).assign(source="global_opinion_qa", metric="js_similarity", base="e")
    texts = [column for column in frame.columns if column != "value"]
    return frame.astype(dict.fromkeys(texts, "category"))


def cost(n_models: int, n_conditions: int) -> None:
    shared = Path(os.environ["OPINION_SHARED_DATA"])
    with tempfile.TemporaryDirectory() as folder:
        data = load_source("global_opinion_qa", data_dir=Path(folder), path=shared / "global_opinions.csv.gz")
    human = build(data.question, data.response).human_distribution
    conditions = ["default", "cross_national:TUR", "cross_national:USA", "cross_national:BRA"][:n_conditions]
    series = [(f"model-{number:02}@1", condition) for number in range(n_models) for condition in conditions]
    frame = question_country(human, series)
    settings = Settings()
    questions = sorted(human["question_id"].unique())
    columns = len(series) * human[["country", "sample_type"]].drop_duplicates().shape[0]
    scores = np.random.default_rng(0).random((len(questions), columns))
    start = time.perf_counter()
    weights = cluster_weights(questions, settings.n_resamples, settings.seed)
    for block in range(settings.n_resamples + settings.n_permutations, 0, -settings.n_resamples):
        weights[: min(block, len(weights))] @ scores
    bare = time.perf_counter() - start
    del scores
    start = time.perf_counter()
    compared = model_comparison(frame, settings)
    models = time.perf_counter() - start
    start = time.perf_counter()
    effects = condition_effect(frame, {}, settings)
    both = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{len(series)} series, {len(choose_pairs(series))} pairs, {len(questions)} questions, {len(frame):,} values")
    print(f"bare matrix product {bare:.2f} s")
    print(f"model_comparison    {models:.2f} s, {models / bare:.2f} × the product, {len(compared):,} rows")
    print(f"condition_effect    {both:.2f} s, {both / bare:.2f} × the product, {len(effects):,} rows (two effects)")
    print(f"largest resident memory {memory:.2f} GB")


def rejection_rates(differences: np.ndarray, settings: Settings) -> tuple[float, float]:
    """Share of p ≤ 0.05 by sign flips and by the inverted percentile interval; (n_studies, n_questions)."""
    studies, n = differences.shape
    table = Scores(
        series=[("a@1", "default"), ("b@1", "default")],
        questions=[f"{number:04}" for number in range(n)],
        question=np.tile(np.arange(n), studies),
        places=pd.DataFrame({"country": [f"{number:04}" for number in range(studies)], "sample_type": "national"}),
        place=np.repeat(np.arange(studies), n),
        values=np.vstack([differences.ravel(), np.zeros(differences.size)]),
    )
    found = paired_differences(table, [(0, 1)], settings)
    low, high = found.ends["percentile"]
    return float((found.p_value <= 0.05).mean()), float(((low > 0) | (high < 0)).mean())


def level() -> None:
    generator = np.random.default_rng(7)
    settings = Settings(n_permutations=1999)
    studies = 2000
    print("\nshare of true nulls rejected at 5 %   sign flips | percentile interval without 0")
    for n in (4, 6, 10, 30, 100, 500):
        # A and B exchangeable: symmetric. Mostly small drops and few large gains: skewed (a shifted exponential).
        for name, drawn in (
            ("symmetric", generator.normal(0, 0.1, (studies, n))),
            ("skewed", 0.1 * (generator.exponential(1, (studies, n)) - 1)),
        ):
            flips, interval = rejection_rates(drawn, settings)
            print(f"{n:4} questions, {name:9}             {flips:6.1%}     | {interval:6.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=13)
    parser.add_argument("--conditions", type=int, default=3, choices=range(1, 5))
    arguments = parser.parse_args()
    cost(arguments.models, arguments.conditions)
    level()
