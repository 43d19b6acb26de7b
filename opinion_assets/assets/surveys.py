"""Stage `survey`: one asset a source takes a dated snapshot and parses it; four tables hold all sources together.

Parsing itself stands in `opinion_assets.surveys`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field

from opinion_assets.assets.common import (
    OWNERS,
    WAREHOUSE_POOL,
    Check,
    Output,
    StoreResource,
    as_markdown,
    asset_key,
    code_version,
    not_empty,
    run_checks,
    store_tables,
    sums_to_one,
    table_spec,
    unique_rows,
    within_unit_interval,
)
from opinion_assets.questions.countries import unknown_labels
from opinion_assets.surveys.base import SurveyData
from opinion_assets.surveys.registry import SOURCES, load_parsed, load_source, save_parsed

DISTRIBUTION = ["source", "question_id", "wave", "country_label", "group_by", "group_value"]
CODE = ("surveys", "sql/tables/survey.sql", "identity.py")


class SourceConfig(dg.Config):
    """Where a survey source is read from."""

    path: str = Field(
        default="",
        description="File of the source. Empty: the place that the catalogue names (a package or a hub revision), for "
        "sources that have one.",
    )
    revision: str = Field(
        default="", description="Commit of the hub data set to read, for sources that are on the hub."
    )
    catalogue: str = Field(
        default="",
        description="YAML file that describes the questions of a microdata file. Empty: <file>.questions.yaml "
        "beside it, or the labels in the file.",
    )
    group_by: list[str] = Field(
        default_factory=list,
        description="Also compute shares within groups of these demographic variables, for microdata that has them.",
    )


def shorter_than_options(frame: pd.DataFrame) -> pd.DataFrame:
    """Distributions whose option indexes are not 0, 1, …, n-1."""
    found = frame.groupby(DISTRIBUTION, sort=False)["option_index"].agg(["size", "max", "nunique"]).reset_index()
    return found[(found["max"] + 1 != found["size"]) | (found["nunique"] != found["size"])]


RESPONSE_CHECKS = (
    sums_to_one("share", DISTRIBUTION),
    within_unit_interval("share"),
    Check("option_counts_agree", "Each distribution has every option of its question once.", shorter_than_options),
    unique_rows([*DISTRIBUTION, "option_index"]),
)


def unknown_countries(frame: pd.DataFrame) -> pd.DataFrame:
    """Country labels that the question dataset could not take, with what is wrong."""
    unknown = unknown_labels(frame["country_label"])
    return pd.DataFrame({"country_label": unknown.keys(), "problem": unknown.values()})


SOURCE_CHECKS = (
    *RESPONSE_CHECKS,
    Check("countries_are_known", "Every country label stands for a country of the harmonisation.", unknown_countries),
)
QUESTION_CHECKS = (not_empty(), unique_rows(["source", "question_id"]))


def overview(data: SurveyData) -> dict[str, dg.MetadataValue]:
    """What a person sees of an ingested source: countries, waves and groups, some questions, what was left out."""
    distributions = data.response.drop_duplicates(DISTRIBUTION)
    by_country = distributions.groupby(["country_label"], sort=True).agg(
        waves=("wave", lambda waves: ", ".join(sorted(set(waves)))),
        questions=("question_id", "nunique"),
        distributions=("question_id", "size"),
        smallest_n=("n", "min"),
        smallest_n_effective=("n_effective", "min"),
    )
    left_out = data.dropped.groupby(["action", "reason"], sort=False)["n"].agg(findings="size", n="sum").reset_index()
    tables = {
        "countries": by_country.reset_index(),
        "groups": distributions.value_counts(["group_by", "group_value"]).reset_index(name="distributions"),
        "first_questions": data.question[["source_question", "text", "options", "weighting"]].head(10),
        "dropped_or_changed_why": left_out.sort_values("n", ascending=False).head(50),
    }
    return {name: dg.MetadataValue.md(as_markdown(frame)) for name, frame in tables.items()}


def source_asset(source: str, entry: Any) -> dg.AssetsDefinition:
    """The asset of one survey source: its dated snapshot, parsed."""
    key = dg.AssetKey(["source", source])

    @dg.asset(
        key=key,
        group_name="source",
        description=f"{entry.title}\n\nLicence: {entry.licence}\n\nCite as: {entry.citation}\n\n{entry.how_to_get}",
        kinds={"file", "parquet"},
        owners=OWNERS,
        code_version=code_version(*CODE),
        metadata={"licence": entry.licence, "citation": entry.citation},
        check_specs=[check.spec(key) for check in SOURCE_CHECKS],
    )
    def ingest(context: dg.AssetExecutionContext, config: SourceConfig, store: StoreResource) -> Iterator[Any]:
        folder = store.store().folder
        options: dict[str, Any] = {"revision": config.revision} if config.revision else {}
        if config.catalogue:
            options["catalogue"] = Path(config.catalogue)
        path = Path(config.path) if config.path else None
        data = load_source(source, data_dir=folder, path=path, group_by=config.group_by, **options)
        yield from run_checks(context, key, data.response, SOURCE_CHECKS)
        save_parsed(data, data_dir=folder)
        snapshot = data.snapshot
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(f"{snapshot.sha256[:16]}-{code_version(*CODE)}"),
            metadata={
                "snapshot": snapshot.snapshot,
                "origin": snapshot.origin,
                "sha256": snapshot.sha256,
                "licence": snapshot.licence,
                "citation": snapshot.citation,
                "questions": snapshot.n_questions,
                "distributions": snapshot.n_distributions,
                "country_labels": int(data.response["country_label"].nunique()),
                "dropped_or_changed": len(data.dropped),
                **overview(data),
            },
        )

    return ingest


source_assets = [source_asset(source, entry) for source, entry in SOURCES.items()]

_PARSED = {
    "survey.snapshot": "snapshot",
    "survey.question": "question",
    "survey.response": "response",
    "survey.dropped": "dropped",
}
_CHECKS = {"survey.question": QUESTION_CHECKS, "survey.response": RESPONSE_CHECKS}


@dg.multi_asset(
    name="survey",
    specs=[
        table_spec(name, code=CODE, deps=[dg.AssetKey(["source", source]) for source in SOURCES]) for name in _PARSED
    ],
    check_specs=[check.spec(asset_key(name)) for name, checks in _CHECKS.items() for check in checks],
    pool=WAREHOUSE_POOL,
)
def survey_tables(context: dg.AssetExecutionContext, store: StoreResource) -> Iterator[Any]:
    """All ingested sources together, as tables."""
    target = store.store()
    parsed = [data for source in SOURCES if (data := load_parsed(source, data_dir=target.folder)) is not None]
    if not parsed:
        raise dg.Failure("no survey source has been ingested yet; materialise one of the assets source/… first")
    outputs = []
    for name, attribute in _PARSED.items():
        frames = [data.snapshot.as_frame() if attribute == "snapshot" else getattr(data, attribute) for data in parsed]
        frame = pd.concat([frame for frame in frames if not frame.empty] or frames[:1], ignore_index=True)
        outputs.append(Output(name, frame, _CHECKS.get(name, ())))
    yield from store_tables(context, target, outputs)
