"""Jobs, sensors and automation conditions: what runs together, what registers partitions, and what runs by itself.

The registry (`opinion_assets.models.registry`) says which model versions run unasked, and under which conditions. The
rules here apply it: nothing else is asked, nothing is asked twice, and what fails is not asked again.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import dagster as dg

from opinion_assets.assets.common import asset_key, by_model_and_condition, conditions, model_versions
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.models.registry import ModelVersion, load_registry, registry_path
from opinion_assets.questions.countries import known_countries

PER_PARTITION = (
    "response.answer",
    "response.distribution",
    "similarity.question_country",
    "similarity.country",
    "similarity.topic",
    "similarity.region",
)

#: Environment variable; ``off`` starts the UI with both sensors stopped.
SWITCH = "OPINION_AUTOMATION"
#: Partitions of an asset that automation keeps in the queue at most, over all model versions.
MAX_IN_PROGRESS = 8
#: Failed partitions of an asset at which a model version is left to a person.
MAX_FAILED = 3

partition_assets = dg.AssetSelection.assets(*[asset_key(name) for name in PER_PARTITION])
COMPARISONS = ("similarity.model_comparison", "similarity.condition_effect", "similarity.condition_entropy")
summary_assets = dg.AssetSelection.assets(*[asset_key(name) for name in COMPARISONS], dg.AssetKey(["report", "html"]))


def question_assets(source: str) -> dg.AssetSelection:
    """One survey source, the question dataset and the references, which need no model."""
    return dg.AssetSelection.assets(
        dg.AssetKey(["source", source]), asset_key("similarity.reference")
    ) | dg.AssetSelection.groups("survey", "question")


# ------------------------------------------------------------------ jobs

partition_job = dg.define_asset_job(
    "model_version_and_condition",
    selection=partition_assets,
    description="Ask model versions under conditions and score their answers. One partition is one run; for a model "
    "version under all conditions choose it and *All* conditions, and launch the backfill.",
)
question_job = dg.define_asset_job(
    "questions",
    selection=question_assets("wvs_embedded"),
    description="Ingest the embedded survey data and build the question dataset.",
)
summary_job = dg.define_asset_job(
    "summary", selection=summary_assets, description="Compare model versions and conditions, and build the report."
)
translation_job = dg.define_asset_job(
    "translations",
    selection=dg.AssetSelection.groups("translation"),
    description="Translate the question dataset into one language.",
)
everything_job = dg.define_asset_job(
    "everything",
    selection=question_assets("wvs_embedded") | partition_assets | summary_assets,
    description="All stages in one run: the embedded survey data, the question dataset, one model version under one "
    "condition, comparison and report.",
)
jobs = [question_job, translation_job, partition_job, summary_job, everything_job]


# ------------------------------------------------------------------ what the registry wants


def wanted_conditions(registry: Mapping[str, ModelVersion]) -> dict[str, tuple[str, ...]]:
    """Conditions of each model version, as the registry lists them. InputError names the entry that is wrong."""
    for name, model in registry.items():
        for key in model.conditions:
            try:
                condition = Condition.parse(key)
            except UnknownNameError as error:
                raise InputError(str(error), file=registry_path(), row=f"models.{name}", field="conditions") from None
            if condition.kind == "cross_national" and condition.argument not in known_countries():
                problem = f"{key}: {condition.argument} is not an ISO 3166-1 alpha-3 code"
                raise InputError(problem, file=registry_path(), row=f"models.{name}", field="conditions")
    return {name: model.conditions for name, model in registry.items()}


def unasked_partitions(registry: Mapping[str, ModelVersion], languages: Iterable[str]) -> list[str]:
    """Partition keys that may run without a person asking, in the order of the registry.

    ``languages`` are those with stored translations; a linguistic condition waits for its language.
    """
    known = {f"linguistic:{language}" for language in languages}
    return [
        dg.MultiPartitionKey({"model_version": name, "condition": condition})
        for name, keys in wanted_conditions(registry).items()
        if registry[name].runs_unasked
        for condition in keys
        if condition in known or not condition.startswith("linguistic:")
    ]


class WantedByRegistry(dg.AutomationCondition[dg.AssetKey]):
    """Partitions whose model version runs unasked, under the conditions that the registry lists for it."""

    @property
    def name(self) -> str:
        return "wanted_by_registry"

    @property
    def description(self) -> str:
        return "The registry lets this model version run unasked under this condition"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        languages = context.asset_graph_view.instance.get_materialized_partitions(asset_key("translation.question"))
        wanted = set(unasked_partitions(load_registry(), languages))
        wanted &= context.candidate_subset.expensively_compute_partition_keys()
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection_with_partition_keys(wanted))


class WithinLimits(dg.AutomationCondition[dg.AssetKey]):
    """:data:`MAX_IN_PROGRESS` partitions at a time, none of a model version that failed :data:`MAX_FAILED` times."""

    @property
    def name(self) -> str:
        return "within_limits"

    @property
    def description(self) -> str:
        return (
            f"At most {MAX_IN_PROGRESS} partitions in progress, and fewer than {MAX_FAILED} failed of the model version"
        )

    async def evaluate(  # type: ignore[override]
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        candidates = context.candidate_subset
        if candidates.is_empty:
            return dg.AutomationResult(context, candidates)
        view, every = context.asset_graph_view, context.asset_graph_view.get_full_subset(key=context.key)
        running = await view.compute_run_in_progress_subset(key=context.key, from_subset=every)
        failed = await view.compute_execution_failed_subset(key=context.key, from_subset=every)
        failures = Counter(map(_model_version, failed.expensively_compute_partition_keys()))
        healthy = [
            key for key in candidates.expensively_compute_partition_keys() if failures[_model_version(key)] < MAX_FAILED
        ]
        # The plain condition first: it is what the others are compared with.
        healthy.sort(key=lambda key: (not key.startswith("default|"), key))
        chosen = set(healthy[: max(0, MAX_IN_PROGRESS - running.size)])
        return dg.AutomationResult(context, candidates.compute_intersection_with_partition_keys(chosen))


class ChangedWithTarget(dg.AutomationCondition[dg.AssetKey]):
    """Upstream data stored by a run that makes the evaluated asset, too: no reason to make it once more.

    Dagster's own `executed_with_root_target` sees the assets of a run only if they were chosen one by one, not those
    of a job.
    """

    @property
    def name(self) -> str:
        return "changed_with_target"

    @property
    def description(self) -> str:
        return "Stored by a run that makes this asset, too"

    async def evaluate(  # type: ignore[override]
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        target = context.root_context.key
        of_jobs = {job.name: job.selection.resolve(context.asset_graph) for job in jobs}

        def makes_target(record: Any) -> bool:
            run = record.dagster_run
            made = run.asset_selection or of_jobs.get(run.job_name, set())
            return target != context.key and target in made

        same = await context.asset_graph_view.compute_latest_run_matches_subset(
            from_subset=context.candidate_subset, filter_fn=makes_target
        )
        return dg.AutomationResult(context, same)


def _model_version(partition_key: str) -> str:
    # Dimensions stand in alphabetical order: condition|model_version.
    return partition_key.rsplit("|", 1)[1]


# ------------------------------------------------------------------ what runs by itself

_is = dg.AutomationCondition
# A rerun that stored the same data again is no change: data versions are hashes of the stored files.
_changed = (_is.data_version_changed() & ~ChangedWithTarget()).with_label("data changed in another run")

#: Survey tables and the question dataset: after a source was ingested.
after_ingestion = (
    _is.any_deps_match(_changed | _is.will_be_requested()).since_last_handled()
    & ~_is.any_deps_in_progress()
    & ~_is.in_progress()
).with_label("when a source was ingested")

#: Asking: once for each partition that the registry wants, never again after a failure, never because inputs changed.
ask_once = (
    WantedByRegistry()
    & _is.missing()
    & ~_is.in_progress()
    & ~_is.execution_failed()
    # Not again after a person cancelled it.
    & ~_is.newly_requested().since(_is.newly_updated()).with_label("requested before")
    & ~_is.any_deps_missing().ignore(dg.AssetSelection.groups("translation"))
    & ~_is.any_deps_in_progress().ignore(dg.AssetSelection.groups("translation"))
    & WithinLimits()
).with_label("once for each partition that the registry wants")

#: Scoring: whenever the answers or the human data of a stored partition changed; it costs nothing.
score_after_change = (
    _is.any_deps_match(_changed | _is.will_be_requested()).since_last_handled()
    & ~_is.any_deps_missing()
    & ~_is.any_deps_in_progress()
    & ~_is.in_progress()
    & WithinLimits()
).with_label("when answers or human data changed")

#: Comparison and report: when similarities changed and nothing is running; during long work each half hour.
_waiting = _is.any_deps_match(_is.in_progress() | _is.will_be_requested()).ignore(summary_assets)
summarise_when_quiet = (
    (
        _is.any_deps_match(_changed).allow(partition_assets)
        | _is.any_deps_match(_is.will_be_requested()).allow(summary_assets)
    ).since_last_handled()
    & ~_is.in_progress()
    & (~_waiting | _is.cron_tick_passed("*/30 * * * *"))
).with_label("when similarities changed and nothing runs")


def automation_condition(spec: dg.AssetSpec) -> dg.AutomationCondition | None:
    """The condition of an asset: by its stage. Sources and translations wait for a person."""
    group = spec.key.path[0]
    if spec.key == asset_key("response.answer"):
        return ask_once
    if spec.partitions_def == by_model_and_condition:
        return score_after_change
    if group in ("survey", "question") or spec.key == asset_key("similarity.reference"):
        return after_ingestion
    if group in ("similarity", "report"):
        return summarise_when_quiet
    return None


def freshness_policy(spec: dg.AssetSpec) -> dg.FreshnessPolicy | None:
    """Survey sources are worth a look once a year (new waves); answers of a hosted model drift, so half-yearly."""
    if spec.key.path[0] == "source":
        return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=730), warn_window=timedelta(days=365))
    if spec.key == asset_key("response.answer"):
        return dg.FreshnessPolicy.time_window(fail_window=timedelta(days=365), warn_window=timedelta(days=183))
    return None


GUIDES = {
    "source": "docs/sources.md",
    "survey": "docs/sources.md",
    "question": "docs/sources.md",
    "translation": "docs/translation.md",
    "response": "docs/collecting.md",
    "similarity": "docs/methods.md",
    "report": "docs/report.md",
}


def automated(assets: Iterable[object]) -> list[dg.AssetsDefinition]:
    """The assets with their automation conditions, freshness policies and the document that explains them."""

    def complete(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(
            automation_condition=automation_condition(spec), freshness_policy=freshness_policy(spec)
        ).merge_attributes(metadata={"documentation": dg.MetadataValue.path(GUIDES[spec.key.path[0]])})

    return [asset.map_asset_specs(complete) for asset in assets if isinstance(asset, dg.AssetsDefinition)]


# ------------------------------------------------------------------ sensors


def default_status() -> dg.DefaultSensorStatus:
    """Whether the sensors of a new instance run: yes, unless :data:`SWITCH` says off."""
    off = os.environ.get(SWITCH, "on").lower() in ("off", "0", "false", "no")
    return dg.DefaultSensorStatus.STOPPED if off else dg.DefaultSensorStatus.RUNNING


@dg.sensor(
    name="model_registry",
    minimum_interval_seconds=10,
    default_status=default_status(),
    description="Registers the model versions of the registry file, and the conditions it wants, as partitions.",
)
def model_registry_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add partitions that are in the registry and not yet in the instance. Removes none: results stay reachable."""
    registry = load_registry()
    wanted = {
        model_versions: list(registry),
        conditions: [key for keys in wanted_conditions(registry).values() for key in keys],
    }
    requests = []
    for definition, keys in wanted.items():
        known = set(context.instance.get_dynamic_partitions(str(definition.name)))
        new = [key for key in dict.fromkeys(keys) if key not in known]
        if new:
            requests.append(definition.build_add_request(new))
    if not requests:
        return dg.SkipReason(f"all {len(registry)} model versions of {registry_path()} are registered")
    return dg.SensorResult(dynamic_partitions_requests=requests)


with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    automation_sensor = dg.AutomationConditionSensorDefinition(
        "automation",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=10,
        default_status=default_status(),
        # The conditions above are classes of this package: the daemon alone does not know them.
        use_user_code_server=True,
        emit_backfills=False,
        run_tags={"opinion/started_by": "automation"},
        description="Runs what the registry wants and is missing, and what follows from it. Stop it here, or start the "
        f"UI with {SWITCH}=off.",
    )

sensors = [model_registry_sensor, automation_sensor]
