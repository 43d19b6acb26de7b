"""Eight Dagster runs of different partitions in eight processes, one warehouse, and a reader who never stops asking.

The runs are what the command line starts: `execute_in_process`, which knows no pools, so the warehouse's file lock and
its wait-and-retry are all that keeps them apart. The answers are imported, since no model is needed to share a file.
"""

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import numpy as np
import pytest

from opinion_assets.elicitation.importing import keep_import
from opinion_assets.warehouse import Store

N_RUNS = 8
FIRST = "m0@1"
TABLES = ("response.answer", "response.distribution", "similarity.question_country", "similarity.country")
# In each snapshot of the warehouse, rows counted against what the same transaction recorded in run.lineage.
COUNTED = """
SELECT lineage.partition, lineage.n_rows, coalesce(counted.n, 0)
FROM run.lineage
LEFT JOIN (
    SELECT 'model_version=' || model_version || '/condition=' || condition AS partition, count(*) AS n
    FROM {table}
    GROUP BY ALL
) AS counted USING (partition)
WHERE asset = '{asset}'
"""


def instance_of(folder: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.local_temp(str(folder / "dagster_home"))


def run_job(folder: Path, job: str, model_version: str | None = None) -> None:
    """One real Dagster run in this process, as the command line starts it."""
    from opinion_assets.assets.common import StoreResource
    from opinion_assets.definitions import defs

    with instance_of(folder) as instance:
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance,
            resources={"store": StoreResource(folder=str(folder / "data"))},
            partition_key=dg.MultiPartitionKey({"model_version": model_version, "condition": "default"})
            if model_version
            else None,
        )
        assert result.success


def reader(folder: Path, stop: Any, found: Any) -> None:
    """Until told to stop: every partition that is visible must be whole. Reports snapshots read and what was torn."""
    store = Store(folder / "data")
    snapshots, torn = 0, []
    while not stop.is_set():
        with store.connect(read_only=True) as connection:
            for table in TABLES:
                for partition, recorded, counted in connection.execute(
                    COUNTED.format(table=table, asset=table.replace(".", "/"))
                ).fetchall():
                    if recorded != counted:
                        torn.append((table, partition, recorded, counted))
        snapshots += 1
        time.sleep(0.02)
    found.put({"snapshots": snapshots, "torn": torn})


def rows(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables, in an order of their own; times of import are when they were."""
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
        return {
            table: connection.execute(
                f"SELECT {'* EXCLUDE (requested_at)' if table == 'response.answer' else '*'} FROM {table} ORDER BY ALL"
            ).fetchall()
            for table in TABLES
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded questions and nine imported model versions, the first of them scored."""
    folder = tmp_path_factory.mktemp("concurrent")
    names = [f"m{number}@1" for number in range(N_RUNS + 1)]
    (folder / "dagster_home").mkdir()
    with instance_of(folder) as instance:
        instance.add_dynamic_partitions("model_version", names)
        instance.add_dynamic_partitions("condition", ["default"])
    run_job(folder, "questions")
    store = Store(folder / "data")
    option = store.read("question.option")
    generator = np.random.default_rng(5)
    for name in names:
        lines = ["question_id,options,probs"]
        for question_id, options in option.groupby("question_id"):
            texts = json.dumps(options.sort_values("option_index")["option"].tolist()).replace('"', '""')
            lines.append(f'{question_id},"{texts}","{generator.dirichlet(np.ones(len(options))).tolist()}"')
        file = folder / f"{name}.csv"
        file.write_text("\n".join(lines), encoding="utf-8")
        keep_import(store.folder, name, file)
    run_job(folder, "model_version_and_condition", FIRST)
    return folder


def test_eight_runs_and_a_reader_lose_and_double_no_row(place: Path) -> None:
    expected = {table: len(found) for table, found in rows(place).items()}
    assert min(expected.values()) > 0
    context = multiprocessing.get_context("spawn")
    stop, found = context.Event(), context.Queue()
    watching = context.Process(target=reader, args=(place, stop, found))
    watching.start()
    runs = [
        context.Process(target=run_job, args=(place, "model_version_and_condition", f"m{number}@1"))
        for number in range(1, N_RUNS + 1)
    ]
    try:
        for run in runs:
            run.start()
        for run in runs:
            run.join(400)
        assert [run.exitcode for run in runs] == [0] * N_RUNS
    finally:
        stop.set()
        for run in runs:
            if run.is_alive():
                run.kill()
    seen = found.get(timeout=300)
    watching.join(300)
    assert seen["torn"] == []
    assert seen["snapshots"] > N_RUNS
    after = rows(place)
    for table, number in expected.items():
        assert len(after[table]) == number * (N_RUNS + 1), table
        assert len(set(map(str, after[table]))) == len(after[table]), table
    Store(place / "data").rebuild()
    assert rows(place) == after
    with duckdb.connect(str(place / "data" / "warehouse.duckdb"), read_only=True) as connection:
        made_by = connection.execute(
            "SELECT count(DISTINCT run_id), count(*) FROM run.lineage WHERE asset = 'similarity/country'"
        ).fetchall()
    assert made_by == [(N_RUNS + 1, N_RUNS + 1)]


def test_a_rerun_gives_the_same_rows(place: Path) -> None:
    before = rows(place)
    run_job(place, "model_version_and_condition", FIRST)
    assert rows(place) == before


def test_questions_that_are_gone_leave_no_rows_and_until_then_show_as_stale(place: Path) -> None:
    store = Store(place / "data")
    question = store.read("question.question")
    gone = question["question_id"].iloc[0]
    stored = []
    for table in ("question.question", "question.option", "question.human_distribution"):
        frame = store.read(table)
        stored.append(store.write(table, frame[frame["question_id"] != gone]))
    from opinion_assets.warehouse import Provenance

    lineage = [store.record(item, Provenance("by hand", "code", "0", "{}")) for item in stored]
    store.publish([*stored, *lineage])

    def stale() -> set[str]:
        with store.connect(read_only=True) as connection:
            return {
                asset
                for asset, partition in connection.execute("SELECT asset, partition FROM run.stale").fetchall()
                if FIRST in partition
            }

    assert stale() >= {"response/answer", "response/distribution", "similarity/question_country", "similarity/country"}
    run_job(place, "model_version_and_condition", FIRST)
    assert stale() == set()
    with store.connect(read_only=True) as connection:
        for table in TABLES[:3]:
            assert connection.execute(
                f"SELECT count(*) FROM {table} WHERE model_version = ? AND question_id = ?", [FIRST, gone]
            ).fetchall() == [(0,)]
