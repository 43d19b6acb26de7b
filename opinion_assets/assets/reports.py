"""Stage `report`: the HTML page. What it shows stands in `opinion_assets.report`."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from opinion_assets.assets.common import OWNERS, StoreResource, asset_key, code_version
from opinion_assets.report.build import build_report
from opinion_assets.warehouse import tables

INPUTS = (
    "similarity.country",
    "similarity.question_country",
    "similarity.model_comparison",
    "response.answer",
    "question.country",
)


@dg.asset(
    key=["report", "html"],
    group_name="report",
    description="One self-contained offline HTML file: world map, table and country pages.",
    kinds={"html"},
    owners=OWNERS,
    code_version=code_version("report", "sql/report"),
    deps=[asset_key(name) for name in INPUTS],
)
def html(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """Read the warehouse, write ``<data>/report/index.html``."""
    target = store.store()
    out = target.folder / "report" / "index.html"
    # From the Parquet files, so that a long build never keeps anybody from the warehouse file.
    with target.working_copy(list(tables())) as connection:
        build_report(connection, out)
    yield dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.url(out.as_uri()),
            "file": dg.MetadataValue.path(str(out)),
            "bytes": out.stat().st_size,
        }
    )
