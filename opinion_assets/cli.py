"""The command ``opinion-assets``. Thin: it checks names, then starts Dagster runs that show up in the UI.

Every run is a Dagster run in the instance at $DAGSTER_HOME; nothing is computed here.
"""

import functools
import inspect
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opinion_assets import __version__
from opinion_assets.errors import BudgetError, OpinionAssetsError, UnknownNameError
from opinion_assets.paths import data_dir

if TYPE_CHECKING:
    import dagster as dg

    from opinion_assets.assets.responses import AskConfig
    from opinion_assets.elicitation.conditions import Condition
    from opinion_assets.models.registry import ModelVersion

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

_SAMPLING = "Method sampling"


@dataclass(frozen=True)
class AskOptions:
    """The options that `run` and `plan` share: what to ask whom and, named as fields of AskConfig, how."""

    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="Model version from the registry; repeatable.", show_default=False),
    ]
    source: Annotated[
        str,
        typer.Option(
            "--source",
            "-s",
            help="Survey source: a name of the catalogue (wvs_embedded), the path of a file, or name=path.",
        ),
    ] = DEMO_SOURCE
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            "-c",
            help="default, cross_national:<country, e.g. TUR> or linguistic:<language, e.g. tr>; repeatable.",
        ),
    ] = None
    limit: Annotated[int, typer.Option(help="Ask at most so many questions of the source; 0 asks all.")] = 0
    orders: Annotated[
        str, typer.Option(help="Option orders: identity, reversed, identity+reversed, permutations:K or all.")
    ] = "identity"
    order_seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0
    n_samples: Annotated[int, typer.Option("--samples", help=f"{_SAMPLING}: answers per question and round.")] = 20
    max_samples: Annotated[
        int | None,
        typer.Option(help=f"{_SAMPLING}: rounds follow until --half-width is reached, up to so many answers."),
    ] = None
    half_width: Annotated[
        float, typer.Option(help=f"{_SAMPLING}: half-width of the widest 95 % interval at which rounds end.")
    ] = 0.1
    temperature: Annotated[float | None, typer.Option(help="Temperature, 0 to 2; default: the registry's.")] = None
    max_tokens: Annotated[int | None, typer.Option(help="Length of a reply, tokens; default: the registry's.")] = None
    seed: Annotated[int, typer.Option(help=f"{_SAMPLING}: seed sent to servers that take one.")] = 0
    use_batch_api: Annotated[
        bool, typer.Option("--batch", help="Ask through the provider's batch API: cheaper, and done within a day.")
    ] = False

    @property
    def conditions(self) -> list[str]:
        return self.condition or ["default"]

    def how(self) -> dict[str, Any]:
        """Fields of AskConfig."""
        return {name: value for name, value in asdict(self).items() if name not in ("model", "source", "condition")}


def _takes_ask_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is an `AskOptions`, the options of that in its place."""
    shared = inspect.signature(AskOptions).parameters

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        command(AskOptions(**{name: values.pop(name) for name in shared}), **values)

    _, *own = inspect.signature(command).parameters.values()
    parameters = [*shared.values(), *own]
    # What typer reads: the signature, and annotations of the same names.
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


# ------------------------------------------------------------------ commands


@app.command()
@_takes_ask_options
def run(
    options: AskOptions,
    max_attempts: Annotated[int, typer.Option(help="Attempts at a request before it is recorded as failed.")] = 8,
    budget: Annotated[
        float | None, typer.Option(help="Stop before this command costs more, US dollars; default: no limit.")
    ] = None,
    project_budget: Annotated[
        float | None,
        typer.Option(
            help="Stop before all runs of the data folder together cost more, US dollars; "
            "default: $OPINION_PROJECT_BUDGET_USD, or no limit."
        ),
    ] = None,
    from_journal: Annotated[
        bool, typer.Option("--from-journal", help="Ask nothing: store and score the answers that are there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked and cost, as `plan` does, and do nothing.")
    ] = False,
) -> None:
    """Ingest a survey source, ask model versions its questions and store the similarities.

    Questions that were already answered are not asked again. A budget that is reached ends the command with exit code
    3; the answers bought until then are kept, the next run asks the rest, and --from-journal scores what is there.
    """
    ask = options.how() | {
        "max_attempts": max_attempts, "project_budget_usd": project_budget, "from_journal": from_journal
    }  # fmt: skip
    if dry_run:
        _plan(options.source, options.model, options.conditions, ask, as_json=False)
    else:
        run_pipeline(options.source, options.model, options.conditions, budget=budget, **ask)


@app.command()
@_takes_ask_options
def plan(options: AskOptions, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show what `run` would ask and what it would cost. Sends nothing and stores nothing."""
    _plan(options.source, options.model, options.conditions, options.how(), as_json=as_json)


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
    budget: Annotated[
        float | None, typer.Option(help="Stop before a model's translations cost more, US dollars.")
    ] = None,
) -> None:
    """Translate the stored questions into a language, for the condition linguistic:<language>."""
    _translate(language, translator, budget)


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


def _translate(language: str, translator: str, budget: float | None = None) -> None:
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
            run_config={"ops": {"translation": {"config": {"translator": translator, "budget_usd": budget}}}},
        )


@app.command()
def models(
    fields: Annotated[
        bool, typer.Option("--fields", help="Describe the registry's fields instead (Markdown).")
    ] = False,
) -> None:
    """List the model versions of the registry."""
    from opinion_assets.models.registry import fields_as_markdown, load_registry, registry_path

    if fields:
        print(fields_as_markdown())
        return
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
def figures(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder to write into; made if missing.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Model version.")],
    condition: Annotated[str, typer.Option("--condition", "-c", help="Condition.")] = "default",
    compare_model: Annotated[str | None, typer.Option(help="Model version to compare with.")] = None,
    compare_condition: Annotated[str | None, typer.Option(help="Condition to compare with.")] = None,
    source: Annotated[str | None, typer.Option("--source", "-s", help="One survey source; otherwise each.")] = None,
    metric: Annotated[str, typer.Option(help="Metric, with base e where it has one.")] = "js_similarity",
) -> None:
    """Draw the world map, the ranking and a comparison for a paper, as SVG and PNG (300 dpi)."""
    from opinion_assets.report.figures import INPUTS, write_figures
    from opinion_assets.report.scales import default_base
    from opinion_assets.warehouse import Store

    with Store(data_dir()).working_copy(INPUTS) as connection:
        written = write_figures(
            connection,
            out_dir,
            model_version=model,
            condition=condition,
            compare_model=compare_model,
            compare_condition=compare_condition,
            source=source,
            metric_name=metric,
            base=default_base(metric),
        )
    for path in written:
        out.print(str(path), soft_wrap=True)


@app.command()
def export(
    out_dir: Annotated[Path, typer.Option("--out", help="New or empty folder to write into.")],
    formats: Annotated[str, typer.Option("--format", help="csv, parquet or csv,parquet.")] = "csv,parquet",
    answers: Annotated[bool, typer.Option("--answers", help="Also prompts and raw answers (response.answer).")] = False,
) -> None:
    """Write the tables as CSV and Parquet, with a data card, licences, citation and provenance."""
    from opinion_assets.warehouse import Store
    from opinion_assets.warehouse.export import export as write_export

    files, empty = write_export(Store(data_dir()), out_dir, formats=formats.split(","), answers=answers)
    for file in files:
        out.print(f"{file.path:48} {file.n_rows:>10,} rows {file.n_bytes:>12,} bytes", soft_wrap=True)
    if empty:
        out.print(f"Empty, not written: {', '.join(empty)}")
    out.print(f"Data card: {out_dir / 'README.md'}. The data stay under their sources' licences.", soft_wrap=True)


@app.command()
def rebuild() -> None:
    """Make the warehouse anew from the Parquet files."""
    from opinion_assets.warehouse import Store

    store = Store(data_dir())
    for name, rows in store.rebuild().items():
        out.print(f"{name:32} {rows:>10,}")
    out.print(f"Warehouse: {store.warehouse_path}")


@app.command()
def dictionary(
    file: Annotated[Path | None, typer.Argument(help="File to write; printed without one.")] = None,
) -> None:
    """Write the data dictionary of the warehouse, docs/warehouse.md."""
    from opinion_assets.warehouse.dictionary import data_dictionary

    text = data_dictionary()
    if file is None:
        typer.echo(text, nl=False)
    else:
        file.write_text(text, encoding="utf-8")


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000) -> None:
    """Open the Dagster UI, with the daemon that runs sensors and queued runs. Ends with Ctrl-C."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError as error:
            raise OpinionAssetsError(f"127.0.0.1:{port}: {error.strerror}; choose another port with --port") from None
    with _instance():
        pass
    # Started in the background, SIGINT is ignored, and Dagster would take SIGTERM like it and never end.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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
            # In a terminal Ctrl-C reached Dagster, too.
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.terminate()
                code = process.wait()
    raise typer.Exit(code if code > 0 else 0)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        out.print(f"opinion-assets {__version__}")
        raise typer.Exit


# ------------------------------------------------------------------ running


def _checked(
    source: str, models: Sequence[str], conditions: Sequence[str], ask: Mapping[str, Any]
) -> "tuple[str, Path | None, list[ModelVersion], list[Condition], AskConfig]":
    """Everything that a run is given, checked before anything changes: source, its file, models, conditions, config."""
    from opinion_assets.assets.responses import AskConfig
    from opinion_assets.elicitation.budget import project_budget
    from opinion_assets.elicitation.conditions import Condition
    from opinion_assets.models.registry import get_model, load_registry
    from opinion_assets.questions.countries import known_countries
    from opinion_assets.surveys.registry import SOURCES, source_of_path
    from opinion_assets.warehouse import Store

    registry = load_registry()
    versions = [get_model(name, registry) for name in models]
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
    config = AskConfig(**ask)
    project_budget()
    for version in versions:
        if config.use_batch_api and not version.batch_api:
            raise OpinionAssetsError(
                f"{version.model_version} has no batch API; its registry entry lacks batch_api: true"
            )
    name, named, rest = source.partition("=")
    path = Path(rest if named and name in SOURCES else source)
    if source in SOURCES:
        return source, None, versions, parsed, config
    if named and name in SOURCES:
        if not path.is_file():
            raise UnknownNameError(f"survey source {name}: there is no file {str(path)!r}")
        return name, path.absolute(), versions, parsed, config
    if path.is_file():
        return source_of_path(path), path.absolute(), versions, parsed, config
    raise UnknownNameError(f"survey source {source!r} is neither a file nor one of {', '.join(SOURCES)}")


def run_pipeline(
    source: str, models: Sequence[str], conditions: Sequence[str], *, budget: float | None = None, **ask: Any
) -> None:
    """Check every name first, so that a mistake changes nothing; then run the three jobs.

    ``budget`` is for the whole command: each run may spend what the ones before it left. ``ask``: fields of AskConfig.
    """
    source_id, path, versions, parsed, _ = _checked(source, models, conditions, ask | {"budget_usd": budget})
    with _instance() as instance:
        instance.add_dynamic_partitions("model_version", [version.model_version for version in versions])
        instance.add_dynamic_partitions("condition", [item.key for item in parsed])
        _execute(
            instance,
            "questions",
            f"Questions of {source_id}",
            selection=source_id,
            run_config={"ops": {f"source__{source_id}": {"config": {"path": str(path or "")}}}},
        )
        for version in versions:
            for item in parsed:
                config = ask | {"sources": [source_id], "budget_usd": budget}
                spent = _execute(
                    instance,
                    "model_version_and_condition",
                    f"{version.model_version} · {item.key}",
                    partition={"model_version": version.model_version, "condition": item.key},
                    run_config={"ops": {"response__answer": {"config": config}}},
                )
                if budget is not None:
                    budget = max(0.0, budget - spent)
        _execute(instance, "summary", "Comparison and report")
    _print_paths()


def _plan(
    source: str, models: Sequence[str], conditions: Sequence[str], ask: Mapping[str, Any], *, as_json: bool
) -> None:
    from opinion_assets.assets.responses import asking
    from opinion_assets.elicitation.budget import project_budget, spent_usd
    from opinion_assets.elicitation.collect import plan as plan_collection
    from opinion_assets.questions.build import build
    from opinion_assets.surveys.registry import load_source
    from opinion_assets.warehouse import Store

    source_id, path, versions, parsed, config = _checked(source, models, conditions, ask)
    config = config.model_copy(update={"sources": [source_id]})
    store = Store(data_dir())
    question, option = store.read("question.question"), store.read("question.option")
    if path is not None or source_id not in set(question["source"]):
        data = load_source(source_id, data_dir=store.folder, path=path)
        dataset = build(data.question, data.response)
        question, option = dataset.question, dataset.option
    journal = store.folder / "journal"
    plans = [
        {"model_version": version.model_version, "condition": item.key}
        | asdict(plan_collection(**asking(store, config, version, item, question, option), journal_dir=journal))
        for version in versions
        for item in parsed
    ]
    counts = [name for name in plans[0] if name not in ("model_version", "condition")]
    total = {name: sum(entry[name] for entry in plans) for name in counts}
    spent, limit = spent_usd(journal), project_budget(config.project_budget_usd)
    if as_json:
        content = {"partitions": plans, "total": total, "project_spent_usd": spent, "project_budget_usd": limit}
        out.print_json(json.dumps(content))
        return
    # Two lines to an entry: a model version's name and seven figures fit into 80 characters.
    table = Table(
        title="What would be asked", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False
    )
    table.add_column("model version\n  condition", overflow="fold")
    for heading in ("questions\nrequests", "journal\nbatches", "to ask", "prompt\ntokens", "cost\nat most"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in plans:
        table.add_row(f"{entry['model_version']}\n  {entry['condition']}", *_plan_cells(entry))
    if len(plans) > 1:
        table.add_section()
        table.add_row("total", *_plan_cells(total))
    out.print(table)
    out.print(
        "Tokens and cost are estimates; at most: every prompt byte a token, every reply at its longest, every round of "
        "samples."
    )
    if spent or limit is not None:
        out.print(
            f"The project has spent ${spent:.4f}" + ("" if limit is None else f" of its budget of ${limit:g}") + "."
        )


def _plan_cells(entry: Mapping[str, Any]) -> list[str]:
    least, most = entry["n_to_ask"], entry["n_to_ask_most"]
    return [
        f"{entry['n_questions']:,}\n{entry['n_requests']:,}",
        f"{entry['n_in_journal']:,}\n{entry['n_in_batches']:,}",
        f"{least:,}" if least == most else f"{least:,}\nto {most:,}",
        f"{entry['prompt_tokens']:,}",
        f"${entry['cost_usd']:.4f}\n${entry['cost_usd_most']:.4f}",
    ]


def _execute(
    instance: "dg.DagsterInstance",
    job: str,
    title: str,
    *,
    selection: str | None = None,
    partition: dict[str, str] | str | None = None,
    run_config: dict[str, object] | None = None,
) -> float:
    """One Dagster run in this process; returns what it cost, US dollars.

    A failure ends the program with one line that names the cause.
    """
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
    with _progress(title):
        result = definition.execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}} | (run_config or {}),
            partition_key=dg.MultiPartitionKey(partition) if isinstance(partition, dict) else partition,
            raise_on_error=False,
        )
    if not result.success:
        kind, cause = _cause(result)
        problem = f"{title}: {cause} (Dagster run {result.run_id})"
        raise BudgetError(problem) if kind.endswith("BudgetError") else OpinionAssetsError(problem)
    detail, cost = "", 0.0
    for event in result.get_asset_materialization_events():
        counts: dict[str, Any] = {name: value.value for name, value in event.materialization.metadata.items()}
        if "translated" in counts:
            detail = f": {counts['translated']} of {counts['questions']} translated, {counts['usable']} usable"
        if "n_asked" in counts:
            detail = f": asked the model {counts['n_asked']} times, {counts['n_from_journal']} answers from the journal"
            cost += counts.get("cost_usd", 0.0)
            detail += f", ${cost:.4f}" if cost else ""
            if counts.get("n_failed"):
                detail += f"; {counts['n_failed']} requests failed ({counts['failures']}): run again to ask them again"
    out.print(f"✓ {title}{detail}")
    return cost


@contextmanager
def _progress(title: str) -> Iterator[None]:
    """Show that a run goes on, and while a model is asked how far, how fast, how dear and how long still.

    A line that renews itself in a terminal; elsewhere, in a log, one line every half minute.
    """
    from opinion_assets.assets.responses import PROGRESS

    class Show(logging.Handler):
        told = time.monotonic()

        def emit(self, record: logging.LogRecord) -> None:
            line = record.getMessage()
            if console.is_terminal:
                shown.update(escape(line))
            elif time.monotonic() - self.told >= 30:
                self.told = time.monotonic()
                console.print(line, soft_wrap=True, markup=False)

    handler = Show()
    with _standard_error() as console:
        PROGRESS.addHandler(handler)
        try:
            with console.status(escape(title)) as shown:
                yield
        finally:
            PROGRESS.removeHandler(handler)


@contextmanager
def _standard_error() -> Iterator[Console]:
    """Standard error as it is now: while a step runs, Dagster redirects the file descriptor into the step's log."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, ValueError):  # no file behind it
        yield err
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yield Console(file=file, highlight=False)


def _cause(result: "dg.ExecuteInProcessResult") -> tuple[str, str]:
    """Class name and message, as one line, of the innermost error of the first failed step."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                name, _, message = error.message.strip().partition(": ")
                text = message if name.endswith(("Error", "Failure")) and message else error.message.strip()
                return error.cls_name or "", text.splitlines()[0]
            description = event.step_failure_data.user_failure_data
            return "", (description.description if description else None) or "the step failed"
    return "", "the run failed"


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
    """Entry point: user errors become one line on standard error and exit code 2, a budget that is reached 3."""
    warnings.filterwarnings("ignore", module="dagster")
    logging.getLogger("dagster").setLevel(logging.ERROR)
    try:
        app()
    except OpinionAssetsError as error:
        err.print(f"opinion-assets: {error}", style="red", soft_wrap=True, markup=False)
        sys.exit(3 if isinstance(error, BudgetError) else 2)


if __name__ == "__main__":
    main()
