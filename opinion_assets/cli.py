"""The command ``opinion-assets``. Thin: it checks names, then starts Dagster runs that show up in the UI.

Every run is a Dagster run in the instance at $DAGSTER_HOME; nothing is computed here.
"""

import logging
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from opinion_assets import __version__
from opinion_assets.errors import OpinionAssetsError, UnknownNameError
from opinion_assets.paths import data_dir

if TYPE_CHECKING:
    import dagster as dg

app = typer.Typer(
    name="opinion-assets",
    help="Whose opinions do a language model's answers resemble? Ask a model survey questions and compare its answers "
    "with people's, country by country.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

DEMO_MODEL = "smollm2-135m-instruct-q4_1@0.1.2"
DEMO_SOURCE = "wvs_embedded"
DEMO_CONDITIONS = ["default", "cross_national:TUR", "cross_national:USA"]

SourceOption = Annotated[
    str,
    typer.Option(
        "--source",
        "-s",
        help="Survey source: a name of the catalogue (wvs_embedded), the path of a file, or name=path.",
    ),
]


# ------------------------------------------------------------------ commands


@app.command()
def run(
    model: Annotated[list[str], typer.Option("--model", "-m", help="Model version from the registry; repeatable.")],
    source: SourceOption = DEMO_SOURCE,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            "-c",
            help="default, cross_national:<country, e.g. TUR> or linguistic:<language, e.g. tr>; repeatable.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Ask at most so many questions of the source; 0 asks all.")] = 0,
    orders: Annotated[
        str, typer.Option(help="Option orders: identity, reversed, identity+reversed, permutations:K or all.")
    ] = "identity",
    budget: Annotated[float, typer.Option(min=0, help="Stop before a run costs more, US dollars; 0: no limit.")] = 0.0,
) -> None:
    """Ingest a survey source, ask model versions its questions and store the similarities.

    Questions that were already answered are not asked again.
    """
    run_pipeline(source, model, condition or ["default"], limit=limit, orders=orders, budget=budget)


@app.command()
def demo() -> None:
    """Run everything offline on the embedded survey data and the embedded model."""
    run_pipeline(DEMO_SOURCE, [DEMO_MODEL], DEMO_CONDITIONS)


@app.command("import-answers")
def import_answers(
    file: Annotated[Path, typer.Argument(help="csv, csv.gz or parquet with question or question_id, options, probs.")],
    model_version: Annotated[str, typer.Option("--model-version", help="Name to give it, e.g. llama-2-7b-chat@2023.")],
) -> None:
    """Take option probabilities that somebody else collected as a model version, and score them."""
    from opinion_assets.elicitation.importing import import_answers as read_answers
    from opinion_assets.elicitation.importing import imported_model, keep_import
    from opinion_assets.models.registry import load_registry
    from opinion_assets.warehouse import Store

    model = load_registry().get(model_version) or imported_model(model_version)
    store = Store(data_dir())
    question = store.read("question.question")
    if question.empty:
        raise OpinionAssetsError(
            "there are no questions stored to match the answers with; ingest a survey source first"
        )
    frame = read_answers(file, model, question, store.read("question.option"))
    if frame.empty:
        raise OpinionAssetsError(f"{file}: none of its questions is among the {len(question):,} stored")
    keep_import(store.folder, model_version, file)
    out.print(f"{len(frame):,} questions matched, {len(frame.attrs['unmatched']):,} rows of unknown questions left out")
    with _instance() as instance:
        instance.add_dynamic_partitions("model_version", [model_version])
        instance.add_dynamic_partitions("condition", ["default"])
        partition = {"model_version": model_version, "condition": "default"}
        _execute(instance, "model_version_and_condition", model_version, partition=partition)
        _execute(instance, "summary", "Comparison and report")
    _print_paths()


@app.command()
def translate(
    language: Annotated[str, typer.Option("--language", "-l", help="BCP 47 tag, e.g. tr, ru, zh, es.")],
    translator: Annotated[
        str, typer.Option(help="catalogue, apertium, or a model version of the registry.")
    ] = "catalogue",
) -> None:
    """Translate the stored questions into a language, for the condition linguistic:<language>."""
    _translate(language, translator)


@app.command("review-export")
def review_export(
    file: Annotated[Path, typer.Argument(help="CSV file to write.")],
    language: Annotated[str, typer.Option("--language", "-l", help="BCP 47 tag.")],
    all_rows: Annotated[
        bool, typer.Option("--all", help="Every translation, not only those that need a person.")
    ] = False,
) -> None:
    """Write translations for a person to accept or edit."""
    from opinion_assets.translation.review import write_review
    from opinion_assets.warehouse import Store

    store = Store(data_dir())
    translation = store.read("translation.question", language=language)
    n = write_review(
        file, translation, store.read("question.question"), store.read("question.option"), all_rows=all_rows
    )
    out.print(f"{n} of {len(translation)} translations written to {file}")


@app.command("review-import")
def review_import(
    file: Annotated[Path, typer.Argument(help="CSV written by review-export and edited, or human translations.")],
    language: Annotated[str, typer.Option("--language", "-l", help="BCP 47 tag.")],
    translator: Annotated[str, typer.Option(help="Translator of the rows that no person translated.")] = "catalogue",
    human: Annotated[bool, typer.Option("--human", help="The file holds human translations (csv or xliff).")] = False,
) -> None:
    """Take reviewed or human translations; only their rows change."""
    from opinion_assets.assets.translations import keep_reviewed
    from opinion_assets.translation.imported import read_translations
    from opinion_assets.translation.review import as_imported, read_review
    from opinion_assets.warehouse import Store

    store = Store(data_dir())
    question, option = store.read("question.question"), store.read("question.option")
    if human:
        rows = read_translations(file, question, option)
        rows = rows[rows["language"] == language]
    else:
        rows = as_imported(read_review(file, store.read("translation.question", language=language), question, option))
    out.print(f"{keep_reviewed(store.folder, language, rows)} translations by people")
    _translate(language, translator)


def _translate(language: str, translator: str) -> None:
    from opinion_assets.models.registry import get_model, load_registry
    from opinion_assets.translation.languages import language_tag

    language = language_tag(language)
    if translator not in ("catalogue", "apertium"):
        get_model(translator, load_registry())
    with _instance() as instance:
        instance.add_dynamic_partitions("language", [language])
        _execute(
            instance,
            "translations",
            f"Translations into {language}",
            partition=language,
            run_config={"ops": {"translation": {"config": {"translator": translator}}}},
        )


@app.command()
def models() -> None:
    """List the model versions of the registry."""
    from opinion_assets.models.registry import load_registry, registry_path

    table = Table(
        "model version", "provider", "method", "endpoint", title=f"Registry: {registry_path()}", title_justify="left"
    )
    for name, model in load_registry().items():
        table.add_row(name, model.provider, model.method, model.endpoint or "")
    out.print(table)


@app.command()
def status() -> None:
    """Show what is stored: sources, partitions, rows, and the newest runs."""
    from opinion_assets.warehouse import Store, tables

    store = Store(data_dir())
    out.print(f"Data folder: {store.folder}")
    if not store.warehouse_path.exists():
        out.print("Nothing is stored yet. Start with: opinion-assets demo")
        return
    lineage = store.read("run.lineage").sort_values(["asset", "partition"])
    known = {name.replace(".", "/") for name in tables()}
    table = Table("asset", "partition", "rows", "stored (UTC)", "run")
    for row in lineage[lineage["asset"].isin(known)].to_dict("records"):
        stored = f"{row['materialized_at']:%Y-%m-%d %H:%M:%S}"
        table.add_row(row["asset"], row["partition"], f"{row['n_rows']:,}", stored, row["run_id"][:8])
    out.print(table)
    with _instance() as instance:
        newest = Table("run", "job", "partition", "state", title="Newest runs", title_justify="left")
        for record in instance.get_run_records(limit=5):
            run = record.dagster_run
            newest.add_row(run.run_id[:8], run.job_name, run.tags.get("dagster/partition", ""), run.status.value)
        out.print(newest)
    _print_paths()


@app.command()
def report() -> None:
    """Build the report anew from what is stored."""
    with _instance() as instance:
        _execute(instance, "summary", "Report")
    _print_paths()


@app.command()
def rebuild() -> None:
    """Make the warehouse anew from the Parquet files."""
    from opinion_assets.warehouse import Store

    store = Store(data_dir())
    for name, rows in store.rebuild().items():
        out.print(f"{name:32} {rows:>10,}")
    out.print(f"Warehouse: {store.warehouse_path}")


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Open the Dagster UI, with the daemon that runs sensors and queued runs. Ends with Ctrl-C."""
    with _instance():
        pass
    out.print(f"Dagster UI: http://127.0.0.1:{port}")
    command = [
        sys.executable,
        "-m",
        "dagster",
        "dev",
        "-m",
        "opinion_assets.definitions",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with subprocess.Popen(command) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
        try:
            code = process.wait()
        except KeyboardInterrupt:
            code = process.wait()
    raise typer.Exit(code if code > 0 else 0)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        out.print(f"opinion-assets {__version__}")
        raise typer.Exit


# ------------------------------------------------------------------ running


def run_pipeline(
    source: str,
    models: Sequence[str],
    conditions: Sequence[str],
    *,
    limit: int = 0,
    orders: str = "identity",
    budget: float = 0.0,
) -> None:
    """Check every name first, so that a mistake changes nothing; then run the three jobs."""
    from opinion_assets.elicitation.conditions import Condition
    from opinion_assets.models.registry import get_model, load_registry
    from opinion_assets.questions.countries import known_countries
    from opinion_assets.surveys.registry import SOURCES, source_of_path
    from opinion_assets.warehouse import Store

    registry = load_registry()
    versions = [get_model(name, registry).model_version for name in models]
    parsed = [Condition.parse(name) for name in conditions]
    for item in parsed:
        if item.kind == "cross_national" and item.argument not in known_countries():
            raise UnknownNameError(
                f"condition {item.key}: {item.argument!r} is not a country code; codes are ISO 3166-1 alpha-3, e.g. TUR"
            )
        if item.kind == "linguistic" and not Store(data_dir()).exists("translation.question", language=item.argument):
            raise UnknownNameError(
                f"condition {item.key}: no translations are stored; "
                f"run opinion-assets translate -l {item.argument} first"
            )
    name, named, rest = source.partition("=")
    path = Path(rest if named and name in SOURCES else source)
    if source in SOURCES:
        source_id, source_path = source, ""
    elif named and name in SOURCES:
        if not path.is_file():
            raise UnknownNameError(f"survey source {name}: there is no file {str(path)!r}")
        source_id, source_path = name, str(path.absolute())
    elif path.is_file():
        source_id, source_path = source_of_path(path), str(path.absolute())
    else:
        raise UnknownNameError(f"survey source {source!r} is neither a file nor one of {', '.join(SOURCES)}")

    with _instance() as instance:
        instance.add_dynamic_partitions("model_version", versions)
        instance.add_dynamic_partitions("condition", [item.key for item in parsed])
        _execute(
            instance,
            "questions",
            f"Questions of {source_id}",
            selection=source_id,
            run_config={"ops": {f"source__{source_id}": {"config": {"path": source_path}}}},
        )
        ask = {"sources": [source_id], "limit": limit, "orders": orders, "budget_usd": budget}
        for version in versions:
            for item in parsed:
                _execute(
                    instance,
                    "model_version_and_condition",
                    f"{version} · {item.key}",
                    partition={"model_version": version, "condition": item.key},
                    run_config={"ops": {"response__answer": {"config": ask}}},
                )
        _execute(instance, "summary", "Comparison and report")
    _print_paths()


def _execute(
    instance: "dg.DagsterInstance",
    job: str,
    title: str,
    *,
    selection: str | None = None,
    partition: dict[str, str] | str | None = None,
    run_config: dict[str, object] | None = None,
) -> None:
    """One Dagster run in this process. A failure ends the program with one line that names the cause."""
    import dagster as dg

    from opinion_assets.assets.automation import question_assets
    from opinion_assets.definitions import defs

    definition = defs.resolve_job_def(job)
    if selection is not None and job == "questions":
        definition = dg.Definitions(
            assets=defs.assets,
            asset_checks=defs.asset_checks,
            resources=defs.resources,
            jobs=[dg.define_asset_job("questions", selection=question_assets(selection))],
        ).resolve_job_def("questions")
    with err.status(title):
        result = definition.execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}} | (run_config or {}),
            partition_key=dg.MultiPartitionKey(partition) if isinstance(partition, dict) else partition,
            raise_on_error=False,
        )
    if not result.success:
        raise OpinionAssetsError(f"{title}: {_cause(result)} (Dagster run {result.run_id})")
    detail = ""
    for event in result.get_asset_materialization_events():
        counts = {name: value.value for name, value in event.materialization.metadata.items()}
        if "translated" in counts:
            detail = f": {counts['translated']} of {counts['questions']} translated, {counts['usable']} usable"
        if "n_asked" in counts:
            detail = f": asked the model {counts['n_asked']} times, {counts['n_from_journal']} answers from the journal"
    out.print(f"✓ {title}{detail}")


def _cause(result: "dg.ExecuteInProcessResult") -> str:
    """The innermost error of the first failed step, as one line."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                name, _, message = error.message.strip().partition(": ")
                text = message if name.endswith(("Error", "Failure")) and message else error.message.strip()
                return text.splitlines()[0]
            description = event.step_failure_data.user_failure_data
            return (description.description if description else None) or "the step failed"
    return "the run failed"


@contextmanager
def _instance() -> "Iterator[dg.DagsterInstance]":
    """The Dagster instance at $DAGSTER_HOME, or ``dagster_home`` under the current directory, made if missing."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(Path("dagster_home").absolute())))
    os.environ.setdefault("OPINION_DATA_DIR", str(data_dir()))
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        package = Path(__file__).parent
        packaged = package / "dagster_home" / "dagster.yaml"
        shutil.copy(packaged if packaged.exists() else package.parent / "dagster_home" / "dagster.yaml", home)
    import dagster as dg

    with dg.DagsterInstance.get() as instance:
        yield instance


def _print_paths() -> None:
    folder = data_dir()
    out.print(f"Warehouse: {folder / 'warehouse.duckdb'}", soft_wrap=True)
    out.print(f"Report:    {folder / 'report' / 'index.html'}", soft_wrap=True)
    out.print("UI:        make ui (or: opinion-assets ui), then http://127.0.0.1:3000", soft_wrap=True)


def main() -> None:
    """Entry point: user errors become one line on standard error and exit code 2."""
    warnings.filterwarnings("ignore", module="dagster")
    logging.getLogger("dagster").setLevel(logging.ERROR)
    try:
        app()
    except OpinionAssetsError as error:
        err.print(f"opinion-assets: {error}", style="red", soft_wrap=True, markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
