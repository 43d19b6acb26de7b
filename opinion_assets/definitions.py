"""The one file Dagster loads."""

import dagster as dg

from opinion_assets.assets import (
    automation,
    checks,
    comparisons,
    questions,
    reports,
    responses,
    similarity,
    surveys,
    translations,
)
from opinion_assets.assets.common import StoreResource

STAGES = [surveys, questions, translations, responses, similarity, comparisons, reports]

defs = dg.Definitions(
    assets=automation.automated(dg.load_assets_from_modules(STAGES)),
    asset_checks=checks.failed_partitions_checks,
    jobs=automation.jobs,
    sensors=automation.sensors,
    resources={"store": StoreResource()},
    # One process a run: its steps follow one upon another anyway, and each process would load the packages anew.
    executor=dg.in_process_executor,
)
