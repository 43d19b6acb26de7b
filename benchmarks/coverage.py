"""How often the 95 % intervals hold the true mean, in simulated studies drawn from real similarities.

    OPINION_SHARED_DATA=<folder> python benchmarks/coverage.py [--studies 4000] [--resamples 1000]

A population of values is given: the published similarities of one model to one country, or to all. A study draws n
questions from it; its interval is computed as for ``similarity.country`` and either holds the population's mean or not.
Three designs:

- plain: the source consists of the country's n questions;
- part of a source: the country was asked n of 5n questions, and all 5n are resampled, as in GlobalOpinionQA;
- topics: n questions in topics of five that share a part of their deviation (intraclass correlation 0.3), with
  questions resampled, which ignores this, and with topics resampled.

The standard error of a coverage near 95 % is 0.34 points with 4,000 studies. Time: about two minutes on two cores.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import skew

from opinion_assets.metrics.bootstrap import INTERVALS, bootstrap_means, cluster_weights

Floats = np.ndarray
# Studies that share one set of resamples; the next ones get another.
_TOGETHER = 250


def populations() -> dict[str, Floats]:
    """Real similarities (1 − Jensen–Shannon distance, natural log) by what they are."""
    folder = Path(os.environ["OPINION_SHARED_DATA"]) / "published"
    found = {}
    for model in ("llama-2-7b-chat", "zephyr-7b-beta"):
        published = pd.read_csv(folder / f"{model}.csv.gz")["published_similarity"].map(json.loads)
        pairs = [(country, value) for row in published for country, value in row.items()]
        frame = pd.DataFrame(pairs, columns=["country", "value"]).dropna()
        found[f"{model}, United States"] = frame.loc[frame["country"] == "United States", "value"].to_numpy()
        found[f"{model}, all countries"] = frame["value"].to_numpy()
    return found


def coverage(values: Floats, cluster: np.ndarray, n_clusters: int, truth: float, resamples: int) -> dict[str, float]:
    """Share of studies whose interval holds the truth; ``values`` and ``cluster`` have the shape (n_studies, n)."""
    hits = dict.fromkeys(INTERVALS, 0.0)
    for start in range(0, len(values), _TOGETHER):
        some, of = values[start : start + _TOGETHER], cluster[start : start + _TOGETHER]
        weights = cluster_weights([str(number) for number in range(n_clusters)], resamples, 1000 + start)
        series = np.repeat(np.arange(len(some)), some.shape[1])
        found = bootstrap_means(some.ravel(), series, of.ravel(), weights, intervals=INTERVALS)
        for kind in INTERVALS:
            hits[kind] += ((found.low[kind] <= truth) & (truth <= found.high[kind])).sum()
    return {kind: hit / len(values) for kind, hit in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=4000)
    parser.add_argument("--resamples", type=int, default=1000)
    arguments = parser.parse_args()
    generator = np.random.default_rng(20230628)
    print("population | n | design | resampled | percentile | bca")
    for name, population in populations().items():
        print(f"# {name}: {len(population):,} values, mean {population.mean():.3f}, sd {population.std():.3f}, "
              f"skewness {skew(population):+.2f}", flush=True)  # fmt: skip
        truth, spread = population.mean(), population.std()
        standard = (population - truth) / spread
        for n in (4, 10, 30, 100, 500):
            shape = (arguments.studies, n)
            plain = generator.choice(population, shape)
            own = np.broadcast_to(np.arange(n), shape)
            some = np.argsort(generator.random((arguments.studies, 5 * n)), axis=1)[:, :n]
            designs = [("plain", "question", plain, own, n), ("part of a source", "question", plain, some, 5 * n)]
            if n >= 10:
                topic = own // 5
                shared = np.take_along_axis(generator.choice(standard, (arguments.studies, n // 5)), topic, axis=1)
                mixed = truth + spread * (np.sqrt(0.3) * shared + np.sqrt(0.7) * generator.choice(standard, shape))
                designs += [("topics", "question", mixed, own, n), ("topics", "topic", mixed, topic, n // 5)]
            for design, resampled, values, cluster, n_clusters in designs:
                found = coverage(values, cluster, n_clusters, truth, arguments.resamples)
                print(
                    f"{name} | {n} | {design} | {resampled} | "
                    + " | ".join(f"{100 * found[kind]:.1f} %" for kind in INTERVALS),
                    flush=True,
                )


if __name__ == "__main__":
    main()
