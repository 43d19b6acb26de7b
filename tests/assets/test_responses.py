"""Asking in Dagster: plans before, metadata and tags after, budgets that stop, settings that are checked."""

import inspect
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from opinion_assets import cli
from opinion_assets.assets.common import StoreResource, asset_key
from opinion_assets.assets.responses import PROGRESS, AskConfig, answer, distribution
from opinion_assets.elicitation.settings import ElicitationSettings
from opinion_assets.errors import BudgetError, InputError
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source
from opinion_assets.warehouse import Store
from tests.elicitation.batch_server import BatchServer

MODEL = "paid@2026-01-31"
PARTITION = dg.MultiPartitionKey({"model_version": MODEL, "condition": "default"})
ANSWER = asset_key("response.answer")


class Place:
    """A data folder with questions, a registry with one paid model on a stub server, and a Dagster instance."""

    def __init__(self, folder: Path, server: BatchServer, instance: dg.DagsterInstance) -> None:
        self.folder, self.server, self.instance = folder, server, instance
        self.store = Store(folder / "data")

    def ask(self, **config: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [answer],
            instance=self.instance,
            partition_key=PARTITION,
            resources={"store": StoreResource(folder=str(self.store.folder))},
            run_config={
                "ops": {"response__answer": {"config": config}},
                "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
            },
            raise_on_error=False,
        )

    def stored(self) -> int:
        return len(self.store.read("response.answer"))

    def observations(self, run_id: str) -> list[dict[str, Any]]:
        events = self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION)
        found = [event.dagster_event.event_specific_data.asset_observation for event in events]  # type: ignore[union-attr]
        assert {observation.partition for observation in found} == {PARTITION}
        return [{name: value.value for name, value in observation.metadata.items()} for observation in found]

    def tags(self, run_id: str) -> dict[str, str]:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return {name: value for name, value in run.tags.items() if name.startswith("opinion/")}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = load_source("wvs_embedded", data_dir=tmp_path_factory.mktemp("source"))
    return build(data.question, data.response)


@pytest.fixture
def place(tmp_path: Path, dataset: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("OPINION_PROJECT_BUDGET_USD", raising=False)
    monkeypatch.setenv("OPINION_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OPINION_MODEL_REGISTRY", str(tmp_path / "registry.yaml"))
    with BatchServer() as server, dg.DagsterInstance.ephemeral() as instance:
        (tmp_path / "registry.yaml").write_text(
            f"models:\n  {MODEL}:\n    provider: openai\n    method: sampling\n    model: m\n"
            f"    endpoint: {server.url}\n    prompt_usd_per_million: 1.0\n"
            "    completion_usd_per_million: 1.0\n    batch_api: true\n"
        )
        instance.add_dynamic_partitions("model_version", [MODEL])
        instance.add_dynamic_partitions("condition", ["default"])
        found = Place(tmp_path, server, instance)
        for name in ("question", "option"):
            found.store.write(f"question.{name}", getattr(dataset, name))
        yield found


def test_a_plan_before_metadata_after_and_tags_on_the_run(place: Place) -> None:
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    PROGRESS.addHandler(handler)
    try:
        result = place.ask(n_samples=3)
    finally:
        PROGRESS.removeHandler(handler)
    assert result.success
    [planned] = place.observations(result.run_id)
    assert (planned["planned_n_questions"], planned["planned_n_to_ask"]) == (4, 12)
    assert 0 < planned["planned_cost_usd"] < planned["planned_cost_usd_most"]
    [event] = result.get_asset_materialization_events()
    values = {name: value.value for name, value in event.materialization.metadata.items()}
    assert values["n_asked"] == 12 == place.server.n_requests
    assert values["cost_usd"] == pytest.approx(place.server.usd)
    for name in (
        "seconds",
        "rate_per_s",
        "n_retries",
        "n_failed",
        "prompt_tokens",
        "completion_tokens",
        "invalid_rate",
    ):
        assert name in values
    assert values["cost_usd"] <= planned["planned_cost_usd_most"]
    tags = place.tags(result.run_id)
    assert tags["opinion/model_version"] == MODEL
    assert tags["opinion/condition"] == "default"
    assert float(tags["opinion/cost_usd"]) == pytest.approx(place.server.usd, abs=1e-6)
    assert "12 of 12 answers" in lines[-1]


def test_answers_are_read_with_the_settings_they_were_asked_with(place: Place) -> None:
    assert place.ask(n_samples=4, orders="identity+reversed", temperature=0.5).success
    first = place.store.read("response.answer")
    assert len(first) == 16
    assert (
        first.groupby("question_id")["option_order"].agg(lambda orders: len(set(map(tuple, orders)))).tolist()
        == [2] * 4
    )
    # Another temperature is another answer; going back to the first asks nothing.
    assert place.ask(n_samples=4, orders="identity+reversed", temperature=1.5).success
    assert set(place.store.read("response.answer")["request_hash"]).isdisjoint(first["request_hash"])
    asked = place.server.n_requests
    assert place.ask(n_samples=4, orders="identity+reversed", temperature=0.5).success
    assert place.server.n_requests == asked
    assert set(place.store.read("response.answer")["request_hash"]) == set(first["request_hash"])


@pytest.mark.parametrize("by", ["run", "project", "environment"])
def test_a_budget_stops_keeps_what_was_bought_and_stores_no_part(
    by: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.ask(n_samples=1).success
    before, spent = place.stored(), place.server.usd
    if by == "environment":
        monkeypatch.setenv("OPINION_PROJECT_BUDGET_USD", "0.002")
    budget = {"run": {"budget_usd": 0.0018}, "project": {"project_budget_usd": 0.002}, "environment": {}}[by]
    result = place.ask(n_samples=20, **budget)
    assert not result.success
    kind, problem = cli._cause(result)
    assert kind == BudgetError.__name__
    assert "stopped before the budget would be passed" in problem
    assert "\n" not in problem
    assert place.server.usd - (spent if by == "run" else 0) <= 0.002
    assert place.stored() == before == 4
    [_, kept] = place.observations(result.run_id)
    assert kept["n_asked"] > 0
    assert float(place.tags(result.run_id)["opinion/cost_usd"]) == pytest.approx(kept["cost_usd"], abs=1e-6)
    # What was bought can be stored as it is, and is not asked for again.
    monkeypatch.delenv("OPINION_PROJECT_BUDGET_USD", raising=False)
    asked = place.server.n_requests
    assert place.ask(n_samples=20, from_journal=True).success
    assert place.server.n_requests == asked
    assert place.stored() == before + kept["n_asked"]
    assert place.ask(n_samples=20).success
    assert place.server.n_requests == 80 == place.stored()


def test_asking_through_the_batch_api(place: Place) -> None:
    result = place.ask(n_samples=2, use_batch_api=True)
    assert result.success
    assert place.server.n_requests == 0
    assert sum(place.server.bought.values()) == 8 == place.stored()
    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["n_batches"].value == 1
    assert event.materialization.metadata["cost_usd"].value == pytest.approx(place.server.usd / 2)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("limit", -1, "field 'limit': must be at least 0, not -1"),
        ("orders", "sideways", "orders"),
        ("n_samples", 0, "field 'n_samples': must be at least 1, not 0"),
        ("max_samples", 5, "field 'max_samples': must be at least 20, not 5"),
        ("half_width", 0.0, "field 'half_width'"),
        ("temperature", 2.5, "field 'temperature': must be 0 to 2, not 2.5"),
        ("max_tokens", 0, "field 'max_tokens'"),
        ("max_attempts", 0, "field 'max_attempts'"),
        ("budget_usd", -1.0, "field 'budget_usd': must be an amount of US dollars from 0 to 1e9, not -1.0"),
        ("project_budget_usd", float("nan"), "field 'project_budget_usd'"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_asked(field: str, value: Any, problem: str, place: Place) -> None:
    with pytest.raises(InputError) as caught:
        AskConfig(**{field: value})
    assert problem in str(caught.value)
    if value == value:  # NaN is no JSON
        result = place.ask(**{field: value})
        assert not result.success
        assert cli._cause(result)[1] == str(caught.value)
    assert place.server.n_requests == 0


def test_an_unknown_or_mistyped_setting_is_refused_by_the_launchpad(place: Place) -> None:
    for config in ({"n_sampels": 3}, {"n_samples": "three"}, {"use_batch_api": "yes"}):
        with pytest.raises(dg.DagsterInvalidConfigError):
            place.ask(**config)


def test_every_setting_that_a_user_needs_is_in_the_config_and_described() -> None:
    shared = set(ElicitationSettings.__dataclass_fields__) - {"max_wait_s", "progress_every_s", "batch_poll_s"}
    assert shared <= set(AskConfig.model_fields)
    assert all(field.description for field in AskConfig.model_fields.values())
    config, settings = AskConfig(), ElicitationSettings()
    assert {name: getattr(config, name) for name in shared} == {name: getattr(settings, name) for name in shared}


# ------------------------------------------------------------------ run and plan on the command line


def test_options_of_the_command_line_have_the_defaults_of_a_run_in_the_ui() -> None:
    how = cli.AskOptions([MODEL]).how()
    assert "limit" in how
    assert how.items() <= AskConfig().model_dump().items()
    attempts = inspect.signature(cli.run).parameters["max_attempts"].default
    assert attempts == AskConfig().max_attempts


def planned(*arguments: str) -> Any:
    result = CliRunner().invoke(cli.app, ["plan", "--model", MODEL, "--json", *arguments])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return json.loads(result.stdout)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_plan_counts_exactly_what_a_run_sends_and_writes_nothing(place: Place) -> None:
    before = files(place.folder)
    plan = planned("--samples", "5", "--condition", "default", "--condition", "cross_national:TUR")
    assert files(place.folder) == before
    assert place.server.n_requests == 0
    assert [entry["condition"] for entry in plan["partitions"]] == ["default", "cross_national:TUR"]
    assert plan["total"]["n_to_ask"] == 40
    assert plan["total"]["cost_usd"] == pytest.approx(sum(entry["cost_usd"] for entry in plan["partitions"]))
    assert place.ask(n_samples=5).success
    assert place.server.n_requests == plan["partitions"][0]["n_to_ask"] == 20
    assert place.server.usd <= plan["partitions"][0]["cost_usd_most"]
    again = planned("--samples", "8")
    assert (again["total"]["n_in_journal"], again["total"]["n_to_ask"]) == (20, 12)
    assert again["project_spent_usd"] == pytest.approx(place.server.usd, abs=1e-6)
    assert planned("--samples", "8", "--batch")["total"]["cost_usd"] == pytest.approx(again["total"]["cost_usd"] / 2)
    assert planned("--samples", "8", "--max-samples", "24")["total"]["n_to_ask_most"] == 4 * 24 - 20


def test_plan_of_a_source_that_is_not_stored(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPINION_DATA_DIR", str(tmp_path / "nothing"))
    plan = planned("--source", "wvs_embedded")
    assert plan["total"]["n_questions"] == 4
    assert plan["project_spent_usd"] == 0
    assert not (tmp_path / "nothing").exists()


def test_plan_as_a_table_and_run_dry(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPINION_PROJECT_BUDGET_USD", "2")
    monkeypatch.setattr(cli.out, "width", 200)
    before = files(place.folder)
    for command in (["plan"], ["run", "--dry-run"]):
        result = CliRunner().invoke(cli.app, [*command, "--model", MODEL, "--samples", "5"])
        assert result.exit_code == 0, result.output
        assert "to ask" in result.stdout
        assert "20" in result.stdout
        assert "of its budget of $2" in result.stdout
    assert files(place.folder) == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--samples", "0"], "n_samples"),
        (["--budget", "-1"], "budget_usd"),
        (["--temperature", "nan"], "temperature"),
        (["--model", "embedded@1", "--batch"], "batch_api"),
    ],
)
def test_a_wrong_option_changes_nothing(arguments: list[str], problem: str, place: Place) -> None:
    with (place.folder / "registry.yaml").open("a") as file:
        file.write("  embedded@1:\n    provider: embedded\n    method: sampling\n    file: m.gguf\n")
    before = files(place.folder)
    result = CliRunner().invoke(cli.app, ["run", "--model", MODEL, *arguments])
    assert result.exit_code != 0
    assert problem in str(result.exception)
    assert files(place.folder) == before


def test_distributions_follow(place: Place) -> None:
    assert place.ask(n_samples=5).success
    result = dg.materialize(
        [distribution],
        instance=place.instance,
        partition_key=PARTITION,
        resources={"store": StoreResource(folder=str(place.store.folder))},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    assert result.success
    frame = place.store.read("response.distribution")
    assert frame.groupby("question_id")["probability"].sum().tolist() == pytest.approx([1.0] * 4)
