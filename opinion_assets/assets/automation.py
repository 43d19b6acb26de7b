"""Jobs and sensors: what runs together, and what registers partitions."""

import dagster as dg

from opinion_assets.assets.common import asset_key, conditions, model_versions
from opinion_assets.models.registry import load_registry, registry_path

PER_PARTITION = ("response.answer", "response.distribution", "similarity.question_country", "similarity.country")

partition_assets = dg.AssetSelection.assets(*[asset_key(name) for name in PER_PARTITION])
summary_assets = dg.AssetSelection.assets(asset_key("similarity.model_comparison"), dg.AssetKey(["report", "html"]))


def question_assets(source: str) -> dg.AssetSelection:
    """One survey source and the question dataset."""
    return dg.AssetSelection.assets(dg.AssetKey(["source", source])) | dg.AssetSelection.groups("survey", "question")


partition_job = dg.define_asset_job(
    "model_version_and_condition",
    selection=partition_assets,
    description="Ask one model version under one condition and score its answers.",
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
jobs = [question_job, translation_job, partition_job, summary_job]


@dg.sensor(
    name="model_registry",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers each model version of the registry file, and the condition `default`, as partitions.",
)
def model_registry_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Add partitions that are in the registry and not yet in the instance. Removes none: results stay reachable."""
    registry = load_registry()
    known_models = set(context.instance.get_dynamic_partitions("model_version"))
    known_conditions = set(context.instance.get_dynamic_partitions("condition"))
    new_models = [name for name in registry if name not in known_models]
    requests = []
    if new_models:
        requests.append(model_versions.build_add_request(new_models))
    if "default" not in known_conditions:
        requests.append(conditions.build_add_request(["default"]))
    if not requests:
        return dg.SkipReason(f"all {len(registry)} model versions of {registry_path()} are registered")
    return dg.SensorResult(dynamic_partitions_requests=requests)


sensors = [model_registry_sensor]
