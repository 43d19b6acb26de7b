"""Storing, publishing and rebuilding with real files, and several processes at one warehouse."""

import multiprocessing
import threading
import time
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from opinion_assets.errors import OpinionAssetsError
from opinion_assets.warehouse import Provenance, Store, WarehouseBusyError

PROVENANCE = Provenance(run_id="run", code_version="code", package_version="0", upstream="{}")
DEFAULT = {"model_version": "m@1", "condition": "default"}


def distribution(partition: dict[str, str], n: int = 2, probability: float = 0.5) -> pd.DataFrame:
    return pd.DataFrame(
        {
            **partition,
            "question_id": "q",
            "option_index": range(n),
            "probability": probability,
            "method": "completion_logprobs",
            "n_orders": 1,
            "n_answers": 1,
            "n_invalid": 0,
            "letter_mass": 0.9,
            "order_effect": None,
        }
    )


def publish(store: Store, partition: dict[str, str], n: int = 2) -> None:
    stored = store.write("response.distribution", distribution(partition, n), partition)
    store.publish([stored, store.record(stored, PROVENANCE)])


def rows(store: Store, table: str = "response.distribution") -> int:
    with store.connect(read_only=True) as connection:
        return len(connection.table(table))


def test_publishing_twice_replaces_the_partition_and_leaves_others(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT, n=5)
    publish(store, DEFAULT | {"condition": "cross_national:TUR"}, n=3)
    publish(store, DEFAULT, n=2)
    assert rows(store) == 5
    assert rows(store, "run.lineage") == 2


def test_same_rows_give_the_same_data_version(tmp_path: Path) -> None:
    one = Store(tmp_path / "a").write("response.distribution", distribution(DEFAULT), DEFAULT)
    two = Store(tmp_path / "b").write("response.distribution", distribution(DEFAULT), DEFAULT)
    other = Store(tmp_path / "b").write("response.distribution", distribution(DEFAULT, probability=0.25), DEFAULT)
    assert one.data_version == two.data_version != other.data_version


def test_partition_values_with_special_characters_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    partition = {"model_version": "org/model:7b@2024-01-01", "condition": "cross_national:TUR"}
    publish(store, partition)
    assert list(store.partitions("response.distribution").values()) == [partition]
    assert len(store.read("response.distribution", **partition)) == 2
    assert store.read("response.distribution", model_version="other@1").empty


def test_rows_of_another_partition_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT)
    before = store.partition_path("response.distribution", DEFAULT).read_bytes()
    with pytest.raises(
        OpinionAssetsError, match=r"rows of model_version='m@2' were to be stored in model_version='m@1'"
    ):
        store.write("response.distribution", distribution(DEFAULT | {"model_version": "m@2"}), DEFAULT)
    assert store.partition_path("response.distribution", DEFAULT).read_bytes() == before
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []


def test_rebuild_gives_the_same_tables(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT, n=3)
    publish(store, DEFAULT | {"condition": "cross_national:TUR"}, n=4)
    with store.connect(read_only=True) as connection:
        before = connection.table("response.distribution").order("condition, option_index").fetchall()
    store.warehouse_path.unlink()
    assert store.rebuild()["response.distribution"] == 7
    with store.connect(read_only=True) as connection:
        assert connection.table("response.distribution").order("condition, option_index").fetchall() == before


def test_working_copy_holds_the_partition_and_whole_other_tables(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT, n=3)
    publish(store, DEFAULT | {"condition": "cross_national:TUR"}, n=4)
    with store.working_copy(["response.distribution", "run.lineage"], **DEFAULT) as connection:
        assert len(connection.table("response.distribution")) == 3
        assert len(connection.table("run.lineage")) == 2
        assert len(connection.table("question.question")) == 0


def test_upstream_versions_are_those_of_the_same_partition(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT)
    publish(store, DEFAULT | {"condition": "cross_national:TUR"}, n=3)
    versions = store.data_versions(["response/distribution"], DEFAULT)
    assert list(versions) == ["response/distribution/model_version=m@1/condition=default"]


def test_a_reader_that_keeps_the_file_makes_a_writer_wait_and_then_say_so(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT)
    context = multiprocessing.get_context("spawn")
    opened, done = context.Event(), context.Event()
    reader = context.Process(target=_hold, args=(store.warehouse_path, opened, done))
    reader.start()
    try:
        assert opened.wait(300)
        with pytest.raises(WarehouseBusyError, match="was open in another process"):
            publish(Store(tmp_path, wait_s=0.3), DEFAULT, n=4)
        threading.Timer(0.3, done.set).start()
        publish(store, DEFAULT, n=4)
    finally:
        done.set()
        reader.join(300)
    assert rows(store) == 4


def test_eight_processes_lose_and_double_no_row(tmp_path: Path) -> None:
    store = Store(tmp_path)
    publish(store, DEFAULT)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish_some, args=(tmp_path, number)) for number in range(8)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        with store.connect(read_only=True) as connection:
            per_partition = (
                connection.table("response.distribution")
                .aggregate("model_version, condition, count(*) AS n")
                .fetchall()
            )
        assert all(n == (2 if condition == "default" else 7) for _, condition, n in per_partition)
        reads += 1
        time.sleep(0.05)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert reads > 0
    assert rows(store) == 2 + 8 * 3 * 7
    assert rows(store, "run.lineage") == 1 + 8 * 3


def test_file_of_another_release_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with duckdb.connect(str(store.warehouse_path)) as connection:
        connection.execute("CREATE SCHEMA run; CREATE TABLE run.lineage (asset VARCHAR)")
    with pytest.raises(OpinionAssetsError, match="columns of another release"):
        publish(store, DEFAULT)
    store.rebuild()
    assert rows(store) == 2


def test_stored_file_has_the_table_schema(tmp_path: Path) -> None:
    stored = Store(tmp_path).write("response.distribution", distribution(DEFAULT), DEFAULT)
    assert pq.read_schema(stored.path).names[:3] == ["model_version", "condition", "question_id"]


def _hold(path: Path, opened: object, done: object) -> None:
    with duckdb.connect(str(path), read_only=True):
        opened.set()  # type: ignore[attr-defined]
        done.wait(60)  # type: ignore[attr-defined]


def _publish_some(folder: Path, number: int) -> None:
    store = Store(folder)
    for condition in range(3):
        publish(store, {"model_version": f"m{number}@1", "condition": f"c{condition}"}, n=7)


def test_reading_some_rows_and_columns_of_all_partitions(tmp_path: Path) -> None:
    store = Store(tmp_path)
    wanted = (pc.field("condition") == "default") & (pc.field("option_index") > 0)
    assert store.read_where("response.distribution", ["model_version", "option_index"], wanted).empty
    for version in ("m@1", "m@2"):
        for condition in ("default", "cross_national:TUR"):
            publish(store, {"model_version": version, "condition": condition}, n=3)
    found = store.read_where("response.distribution", ["model_version", "option_index"], wanted)
    assert found.to_numpy().tolist() == [["m@1", 1], ["m@1", 2], ["m@2", 1], ["m@2", 2]]
    assert found["model_version"].dtype == "category"
