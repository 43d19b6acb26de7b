"""What runs by itself: exactly what the registry wants, each partition once, and never a flood of failures."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData

from opinion_assets.assets import automation, checks
from opinion_assets.assets.automation import MAX_FAILED, MAX_IN_PROGRESS, PER_PARTITION, model_registry_sensor
from opinion_assets.assets.common import StoreResource, asset_key
from opinion_assets.definitions import defs
from opinion_assets.errors import InputError
from opinion_assets.models.registry import load_registry

ANSWER = asset_key("response.answer")
CHAIN = [asset_key(name) for name in PER_PARTITION]
QUESTION_TABLES = ("question", "option", "human_distribution", "country", "human_similarity")

EMBEDDED = "provider: embedded, method: completion_logprobs, file: model.gguf"
PAID = (
    "provider: openai, method: chat_logprobs, endpoint: 'http://127.0.0.1:9/v1', model: m, "
    "prompt_usd_per_million: 1.0, completion_usd_per_million: 2.0"
)


class Daemon:
    """The ticks of the two sensors on a real instance, without the processes."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.registry = folder / "registry.yaml"
        self.now = datetime(2026, 1, 1, 12, 1, tzinfo=UTC)
        self._cursor: Any = None

    def write_registry(self, *models: str, conditions: str = "[default]") -> None:
        entries = "".join(f"  {name}: {{{fields}}}\n" for name, _, fields in (model.partition(" ") for model in models))
        self.registry.write_text(f"conditions: {conditions}\nmodels:\n{entries}", encoding="utf-8")

    def register(self) -> dict[str, list[str]]:
        result = model_registry_sensor(dg.build_sensor_context(instance=self.instance))
        if isinstance(result, dg.SkipReason):
            return {}
        assert isinstance(result, dg.SensorResult)
        added = {
            request.partitions_def_name: list(request.partition_keys)
            for request in result.dynamic_partitions_requests or []
        }
        for name, keys in added.items():
            self.instance.add_dynamic_partitions(name, keys)
        return added

    def tick(self) -> dict[dg.AssetKey, set[str | None]]:
        self.now += timedelta(seconds=10)
        result = dg.evaluate_automation_conditions(
            defs, self.instance, dg.AssetSelection.all(), cursor=self._cursor, evaluation_time=self.now
        )
        self._cursor = result.cursor
        keys = defs.resolve_asset_graph().get_all_asset_keys()
        requested = {key: set(result.get_requested_partitions(key)) for key in keys}
        return {key: partitions for key, partitions in requested.items() if partitions}

    def stored(self, name: str, version: str, partition: str | None = None) -> None:
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key(name),
                partition=partition,
                tags={"dagster/data_version": version, "dagster/code_version": "1"},
            )
        )

    def ingest(self, version: str = "1") -> None:
        for table in QUESTION_TABLES:
            self.stored(f"question.{table}", version)
        self.stored("similarity.reference", version)

    def run(self, partition: str) -> dg.ExecuteInProcessResult:
        """A real run of the partition's job; fails, as nothing is stored in the data folder."""
        model, condition = partition.split("|")[1], partition.split("|")[0]
        return defs.resolve_job_def("model_version_and_condition").execute_in_process(
            instance=self.instance,
            resources={"store": StoreResource(folder=str(self.folder / "data"))},
            partition_key=dg.MultiPartitionKey({"model_version": model, "condition": condition}),
            raise_on_error=False,
        )


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("OPINION_MODEL_REGISTRY", str(tmp_path / "registry.yaml"))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield Daemon(tmp_path, instance)


def test_a_new_model_version_runs_exactly_its_partitions(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}", f"paid@1 {PAID}", conditions="[default, 'cross_national:TUR']")
    assert daemon.register() == {
        "model_version": ["one@1", "paid@1"],
        "condition": ["default", "cross_national:TUR"],
    }
    assert daemon.tick() == {}, "no questions are stored yet"
    daemon.ingest()
    first = {"default|one@1", "cross_national:TUR|one@1"}
    assert daemon.tick() == dict.fromkeys(CHAIN, first)
    for partition in first:
        for name in PER_PARTITION:
            daemon.stored(name, "1", partition)
    daemon.tick()

    daemon.write_registry(
        f"one@1 {EMBEDDED}",
        f"two@1 {EMBEDDED}, conditions: ['cross_national:KEN']",
        f"three@1 {EMBEDDED}, auto_run: false",
        conditions="[default, 'cross_national:TUR']",
    )
    assert daemon.register() == {"model_version": ["two@1", "three@1"], "condition": ["cross_national:KEN"]}
    assert daemon.tick() == {key: {"cross_national:KEN|two@1"} for key in CHAIN}
    assert daemon.register() == {}
    assert daemon.tick() == {}


def test_a_failed_partition_is_not_run_again(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}")
    daemon.register()
    daemon.ingest()
    assert daemon.tick()[ANSWER] == {"default|one@1"}
    assert not daemon.run("default|one@1").success
    for version in "23":
        daemon.ingest(version)
        assert ANSWER not in daemon.tick()
        assert daemon.tick() == {}


def test_a_broken_model_version_stops_early_and_alone(daemon: Daemon) -> None:
    countries = ["TUR", "USA", "KEN", "SWE", "DEU", "FRA", "ITA", "ESP", "JPN", "IND", "BRA", "MEX"]
    conditions = f"[default, {', '.join(f'cross_national:{country}' for country in countries)}]"
    daemon.write_registry(f"broken@1 {EMBEDDED}", conditions=conditions)
    daemon.register()
    daemon.ingest()
    requested = daemon.tick()[ANSWER]
    assert len(requested) == MAX_IN_PROGRESS
    assert "default|broken@1" in requested
    for partition in sorted(requested)[:MAX_FAILED]:
        assert not daemon.run(str(partition)).success
    assert daemon.tick() == {}
    daemon.write_registry(f"broken@1 {EMBEDDED}", f"other@1 {EMBEDDED}, conditions: [default]", conditions=conditions)
    daemon.register()
    assert daemon.tick()[ANSWER] == {"default|other@1"}


def test_the_queue_stays_short_with_every_country_for_thirteen_models(daemon: Daemon) -> None:
    from opinion_assets.questions.countries import known_countries

    countries = sorted(known_countries())[:139]
    daemon.write_registry(
        *[f"m{number:02}@1 {EMBEDDED}" for number in range(13)],
        conditions=f"[default, {', '.join(f'cross_national:{country}' for country in countries)}]",
    )
    daemon.register()
    daemon.ingest()
    requested = daemon.tick()
    assert {len(partitions) for partitions in requested.values()} == {MAX_IN_PROGRESS}
    assert requested[ANSWER] == {f"default|m{number:02}@1" for number in range(MAX_IN_PROGRESS)}


def test_scores_follow_changed_human_data_and_nothing_else(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}")
    daemon.register()
    daemon.ingest()
    daemon.tick()
    for name in PER_PARTITION:
        daemon.stored(name, "1", "default|one@1")
    daemon.tick()
    daemon.ingest()
    assert daemon.tick() == {}, "the same data again is no change"
    daemon.stored("question.human_distribution", "2")
    requested = daemon.tick()
    assert requested == {
        asset_key("question.human_similarity"): {None},
        asset_key("similarity.reference"): {None},
        **{key: {"default|one@1"} for key in CHAIN[2:]},
    }


def test_comparison_and_report_follow_once_nothing_is_running(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}")
    daemon.register()
    daemon.ingest()
    chain = daemon.tick()
    assert dg.AssetKey(["report", "html"]) not in chain
    for name in PER_PARTITION:
        daemon.stored(name, "1", "default|one@1")
    after = daemon.tick()
    assert after[dg.AssetKey(["report", "html"])] == {None}
    assert after[asset_key("similarity.model_comparison")] == {None}
    assert daemon.tick() == {}


def test_a_run_of_a_job_is_not_followed_by_the_same_steps_again(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}, auto_run: false")
    daemon.register()
    daemon.tick()

    def job_that_stores() -> None:
        run = daemon.instance.create_run_for_job(defs.resolve_job_def("questions"))
        for table in QUESTION_TABLES[:4]:
            materialization = dg.AssetMaterialization(
                asset_key(f"question.{table}"), tags={"dagster/data_version": "1"}
            )
            daemon.instance.report_dagster_event(
                dg.DagsterEvent(
                    event_type_value="ASSET_MATERIALIZATION",
                    job_name="questions",
                    event_specific_data=StepMaterializationData(materialization),
                ),
                run.run_id,
            )

    job_that_stores()
    assert daemon.tick() == {}, "the job makes question.human_similarity itself"


def test_failed_partitions_are_listed_by_a_check(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}, auto_run: false")
    daemon.register()
    daemon.ingest()
    daemon.tick()
    assert not daemon.run("default|one@1").success
    result = dg.evaluate_automation_conditions(
        defs, daemon.instance, dg.AssetSelection.all_asset_checks(), evaluation_time=daemon.now
    )
    requested = [result.key for result in result.results if not result.true_subset.is_empty]
    assert dg.AssetCheckKey(ANSWER, "no_failed_partitions") in requested
    [check] = [
        check for check in checks.failed_partitions_checks if ANSWER in {key.asset_key for key in check.check_keys}
    ]
    outcome = (
        dg.Definitions(asset_checks=[check])
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=daemon.instance)
    )
    [evaluation] = outcome.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "default\\|one@1" in str(evaluation.metadata["partitions"].value)


def test_linguistic_conditions_wait_for_their_translation(daemon: Daemon) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}", conditions="['linguistic:tr']")
    assert daemon.register()["condition"] == ["linguistic:tr"]
    daemon.ingest()
    assert daemon.tick() == {}
    daemon.instance.add_dynamic_partitions("language", ["tr"])
    daemon.stored("translation.question", "1", "tr")
    assert daemon.tick()[ANSWER] == {"linguistic:tr|one@1"}


@pytest.mark.parametrize("wrong", ["cross_national:XQX", "upside_down"])
def test_a_wrong_condition_in_the_registry_is_named(daemon: Daemon, wrong: str) -> None:
    daemon.write_registry(f"one@1 {EMBEDDED}", conditions=f"['{wrong}']")
    with pytest.raises(InputError, match=f"one@1.*{wrong}|{wrong}.*one@1") as caught:
        automation.wanted_conditions(load_registry())
    assert "registry.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (f"{PAID}, auto_run: true", "budget_usd"),
        (PAID.split(", prompt_usd")[0] + ", auto_run: true", "prompt_usd_per_million"),
    ],
)
def test_no_model_costs_money_unasked_without_price_and_budget(daemon: Daemon, fields: str, named: str) -> None:
    daemon.write_registry(f"paid@1 {fields}")
    with pytest.raises(InputError, match=named):
        load_registry()
    daemon.write_registry(f"paid@1 {PAID}, auto_run: true, budget_usd: 5.0")
    assert automation.unasked_partitions(load_registry(), []) == ["default|paid@1"]
    daemon.write_registry(f"paid@1 {PAID}")
    assert automation.unasked_partitions(load_registry(), []) == []


def test_the_switch_stops_the_sensors_of_a_new_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {sensor.default_status for sensor in automation.sensors} == {dg.DefaultSensorStatus.RUNNING}
    monkeypatch.setenv(automation.SWITCH, "off")
    assert automation.default_status() == dg.DefaultSensorStatus.STOPPED
