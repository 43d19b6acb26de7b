"""Storing with checks, in a real run of a real instance: a failed blocking check leaves what was stored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from opinion_assets.assets.automation import model_registry_sensor
from opinion_assets.assets.common import Output, StoreResource, store_tables, sums_to_one, table_asset
from opinion_assets.warehouse import Store

CHECKS = (sums_to_one("share", ["question_id", "country_label"]),)


def human(shares: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "source": "s", "question_id": "q", "wave": "", "is_latest_wave": True, "country_label": "Kenya",
            "country": "KEN", "sample_type": "national", "group_by": "", "group_value": "",
            "option_index": range(len(shares)), "share": shares, "n": None, "n_effective": None,
        }
    )  # fmt: skip


def run(folder: Path, instance: dg.DagsterInstance, shares: list[float]) -> dg.ExecuteInProcessResult:
    @dg.asset(**table_asset("question.human_distribution", code=["questions"], checks=CHECKS))
    def distribution(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
        yield from store_tables(context, store.store(), [Output("question.human_distribution", human(shares), CHECKS)])

    resources = {"store": StoreResource(folder=str(folder))}
    return dg.materialize([distribution], instance=instance, resources=resources, raise_on_error=False)


def stored(folder: Path) -> list[float]:
    with Store(folder).connect(read_only=True) as connection:
        return [row[0] for row in connection.table("question.human_distribution").project("share").fetchall()]


def test_a_failed_check_is_recorded_and_stores_nothing(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(tmp_path, instance, [0.4, 0.6]).success
        result = run(tmp_path, instance, [0.1, 0.2])
        assert not result.success
        [evaluation] = result.get_asset_check_evaluations()
        assert not evaluation.passed
        assert evaluation.metadata["offending_rows"].value == 1
    assert stored(tmp_path) == [0.4, 0.6]


def test_metadata_and_lineage_of_what_was_stored(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        result = run(tmp_path, instance, [0.25, 0.75])
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["dagster/row_count"].value == 2
    [row] = Store(tmp_path).read("run.lineage").to_dict("records")
    assert row["asset"] == "question/human_distribution"
    assert row["run_id"] == result.run_id
    assert len(row["data_version"]) == 64


def test_the_sensor_registers_model_versions_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(
        "models:\n"
        "  one@1:\n    provider: imported\n    method: imported\n"
        "  two@2:\n    provider: imported\n    method: imported\n"
    )
    monkeypatch.setenv("OPINION_MODEL_REGISTRY", str(registry))
    with dg.DagsterInstance.ephemeral() as instance:
        result = model_registry_sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(result, dg.SensorResult)
        added = {
            request.partitions_def_name: request.partition_keys for request in result.dynamic_partitions_requests or []
        }
        assert added == {"model_version": ["one@1", "two@2"], "condition": ["default"]}
        for name, keys in added.items():
            instance.add_dynamic_partitions(name, keys)
        assert isinstance(model_registry_sensor(dg.build_sensor_context(instance=instance)), dg.SkipReason)
