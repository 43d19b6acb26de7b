"""run.stale names the stored partitions whose inputs have changed, and only those."""

import json
from pathlib import Path

import pandas as pd

from opinion_assets.warehouse import Provenance, Store

ONE = {"model_version": "m@1", "condition": "default"}
OTHER = {"model_version": "m@2", "condition": "default"}


def put(store: Store, table: str, partition: dict[str, str], upstream: list[str], n: int = 1) -> None:
    """Store and publish ``n`` rows of a table with what it was made from, as the assets do."""
    frames = {
        "question.country": {
            "country_label": [f"c{number}" for number in range(n)], "country": "TUR", "sample_type": "national",
            "name": "Turkey", "alpha_2": "TR", "region": "Western Asia", "mapped_by": "reviewed", "reason": "",
        },
        "response.distribution": {
            "question_id": [f"q{number}" for number in range(n)], "option_index": 0, "probability": 1.0,
            "method": "imported", "n_orders": 1, "n_answers": 1, "n_invalid": 0, "letter_mass": None,
            "order_effect": None,
        },
        "translation.speakers": {
            "language": [f"l{number}" for number in range(n)], "country": "TUR", "share": 1.0, "official_status": None,
        },
    }  # fmt: skip
    versions = store.data_versions(upstream, partition)
    stored = store.write(table, pd.DataFrame(frames[table]).assign(**partition), partition)
    lineage = store.record(stored, Provenance("run", "code", "0", json.dumps(versions)))
    store.publish([stored, lineage])


def stale(store: Store) -> set[tuple[str, str, str, str]]:
    with store.connect(read_only=True) as connection:
        return set(connection.execute("FROM run.stale").fetchall())


def test_nothing_is_stale_until_an_input_changes_and_nothing_after_a_rerun(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def downstream() -> None:
        put(store, "response.distribution", ONE, ["question/country"])
        put(store, "translation.speakers", {}, ["response/distribution"])

    put(store, "question.country", {}, [])
    downstream()
    assert stale(store) == set()
    put(store, "question.country", {}, [])  # the same rows again
    assert stale(store) == set()
    put(store, "question.country", {}, [], n=2)
    partition = "model_version=m@1/condition=default"
    assert stale(store) == {
        ("response/distribution", partition, "question/country", "changed"),
        ("translation/speakers", "", f"response/distribution/{partition}", "input is stale"),
    }
    downstream()
    assert stale(store) == set()


def test_a_new_partition_makes_tables_over_all_partitions_stale(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "question.country", {}, [])
    put(store, "response.distribution", ONE, ["question/country"])
    put(store, "translation.speakers", {}, ["response/distribution"])
    put(store, "response.distribution", OTHER, ["question/country"])
    added = "response/distribution/model_version=m@2/condition=default"
    assert stale(store) == {("translation/speakers", "", added, "added")}
