"""Stage `report`: the HTML page. What it shows stands in `opinion_assets.report`."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from opinion_assets.assets.common import OWNERS, StoreResource, asset_key, code_version
from opinion_assets.report.build import build_report

INPUTS = (
    "survey.snapshot",
    "question.question",
    "question.option",
    "question.human_distribution",
    "question.country",
    "response.answer",
    "response.distribution",
    "similarity.question_country",
    "similarity.country",
    "similarity.topic",
    "similarity.region",
    "similarity.reference",
    "similarity.model_comparison",
    "run.lineage",
)
#: Tables that no asset makes.
_RECORDED = {"run.lineage"}


@dg.asset(
    key=["report", "html"],
    group_name="report",
    description="One self-contained offline HTML file: world map, comparison, country and question pages, provenance.",
    kinds={"html"},
    owners=OWNERS,
    code_version=code_version("report", "sql/report"),
    deps=[asset_key(name) for name in INPUTS if name not in _RECORDED],
)
def html(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """Read the warehouse, write ``<data>/report/index.html``."""
    target = store.store()
    out = target.folder / "report" / "index.html"
    # From the Parquet files, so that a long build never keeps anybody from the warehouse file.
    with target.working_copy(INPUTS) as connection:
        summary = build_report(connection, out)
    yield dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.url(out.as_uri()),
            "file": dg.MetadataValue.path(str(out)),
            "bytes": summary.n_bytes,
            "country_means": summary.n_rows,
            "left_out_for_size": ", ".join(summary.omitted) or "nothing",
        }
    )
