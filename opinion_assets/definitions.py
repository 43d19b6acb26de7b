"""The one file Dagster loads."""

import dagster as dg

from opinion_assets.assets import automation, questions, reports, responses, similarity, surveys, translations
from opinion_assets.assets.common import StoreResource

defs = dg.Definitions(
    assets=[
        *dg.load_assets_from_modules([surveys, questions, translations, responses, similarity, reports]),
    ],
    jobs=automation.jobs,
    sensors=automation.sensors,
    resources={"store": StoreResource()},
)
