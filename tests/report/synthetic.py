"""A warehouse of made-up answers in the shape of the real ones, through the real store, metrics and bootstrap.

Does not belong here: anything that decides what a number should be; tests compute that from the stored tables.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from opinion_assets.identity import question_id
from opinion_assets.metrics import bootstrap, paired
from opinion_assets.metrics.comparison import model_comparison
from opinion_assets.questions.countries import known_countries
from opinion_assets.warehouse import Store, Stored, partition_name, read_sql, tables

SOURCE = "made_up"
MODELS = ("org/model-a@2026-01-31", "org/model-b@2026-03-15")
CONDITIONS = ("default", "cross_national:TUR", "linguistic:es")
COUNTRIES = [
    *[
        "USA",
        "TUR",
        "FRA",
        "DEU",
        "GBR",
        "ESP",
        "ITA",
        "SWE",
        "NOR",
        "FIN",
        "POL",
        "UKR",
        "RUS",
        "CHN",
        "JPN",
        "KOR",
        "IND",
    ],
    *[
        "IDN",
        "VNM",
        "THA",
        "PHL",
        "AUS",
        "NZL",
        "BRA",
        "ARG",
        "CHL",
        "COL",
        "PER",
        "MEX",
        "CAN",
        "EGY",
        "MAR",
        "TUN",
        "DZA",
    ],
    *[
        "NGA",
        "GHA",
        "KEN",
        "ETH",
        "ZAF",
        "ZWE",
        "RWA",
        "TZA",
        "UGA",
        "IRN",
        "IRQ",
        "JOR",
        "LBN",
        "ISR",
        "PSE",
        "SAU",
        "KAZ",
    ],
    *["UZB", "KGZ", "PAK", "BGD", "SGP", "HKG", "MAC", "AND", "GB-NIR"],
]
TOPICS = ("Politics", "Religion", "Family", "Economy", "Environment", "Trust")
#: Texts that would do something if the page took them for HTML, script, a template or an end of its data.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    "<img src=x onerror='window.hacked = 3'>",
    "{{ 7 * 7 }} ${window.hacked = 4} `backticks`",
    "\u202eright to left\u202c & <b>bold</b> \"quotes\" 'single' \u2028 line",
    "-->]]></textarea><style>*{display:none}</style>",
)
STAMP = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def warehouse(
    folder: Path,
    *,
    n_questions: int = 40,
    n_countries: int = 20,
    models: Sequence[str] = MODELS,
    conditions: Sequence[str] = CONDITIONS,
    per_country: float = 0.5,
    n_resamples: int = 100,
    hostile: Sequence[str] = HOSTILE,
    parts: bool = True,
    seed: int = 7,
) -> Store:
    """Make and publish a warehouse.

    ``per_country`` is the share of questions that each country was asked; ``parts`` adds rows of regions, topics and
    references.
    """
    draw = np.random.default_rng(seed)
    store = Store(folder)
    question, option = _questions(n_questions, hostile, draw)
    human = _human(question, n_countries, per_country, draw)
    countries = _codes(n_countries)
    snapshot = pd.DataFrame(
        [
            {
                "source": SOURCE,
                "snapshot": "2026-11-24-0123456789ab",
                "title": f"Made-up survey {hostile[0] if hostile else ''}",
                "origin": "tests/report/synthetic.py",
                "licence": "CC0-1.0",
                "citation": "Nobody (2026). Nothing.",
                "file_name": "made_up.csv",
                "sha256": hashlib.sha256(b"made up").hexdigest(),
                "n_bytes": 7,
                "ingested_at": STAMP,
                "n_questions": n_questions,
                "n_distributions": len(human),
            }
        ]
    )
    names = pd.DataFrame(
        {
            "country_label": countries,
            "country": countries,
            "sample_type": "national",
            "name": [f"Country {code}" for code in countries],
            "alpha_2": None,
            "region": [f"Region {'AB'[place % 2]}" for place in range(n_countries)],
            "mapped_by": "reviewed",
            "reason": "made up",
        }
    )
    written: list[Stored] = []
    lineage: list[dict[str, object]] = []

    def keep(table: str, frame: pd.DataFrame, partition: dict[str, str] | None = None) -> None:
        stored = store.write(table, frame, partition)
        written.append(stored)
        lineage.append(
            {
                "asset": table.replace(".", "/"),
                "partition": partition_name(stored.partition),
                "run_id": f"run-of-{table}",
                "data_version": stored.data_version,
                "code_version": f"code-of-{table.rpartition('.')[2]}",
                "package_version": "0.1.0",
                "upstream": "{}",
                "n_rows": stored.n_rows,
                "materialized_at": STAMP,
            }
        )

    keep("survey.snapshot", snapshot, {"source": SOURCE})
    for table, frame in (("question", question), ("option", option), ("human_distribution", human), ("country", names)):
        keep(f"question.{table}", frame)
    sizes = option.groupby("question_id").size()
    scored = []
    for model in models:
        for condition in conditions:
            partition = {"model_version": model, "condition": condition}
            given = {name: draw.dirichlet(np.full(n, 0.7)) for name, n in sizes.items()}
            keep("response.answer", _answers(partition, question, option, given), partition)
            keep("response.distribution", _distributions(partition, given, draw), partition)
            inputs = ["response.distribution", "question.human_distribution", "question.option"]
            with store.working_copy(inputs, **partition) as connection:
                frame = connection.execute(read_sql("similarity/question_country.sql")).df()
            keep("similarity.question_country", frame, partition)
            means = bootstrap.country_intervals(frame, bootstrap.Settings(n_resamples=n_resamples))
            keep("similarity.country", _as_table("similarity.country", means), partition)
            if parts:
                # Made-up numbers: the page must show them, whatever they mean.
                region = means.drop_duplicates(["source", "metric", "base"]).assign(region="Region A", n_countries=2)
                topic = means[means["country"] == "TUR"].assign(topic="Religion", mean=0.123)
                for table, made_up in (("similarity.region", region), ("similarity.topic", topic)):
                    keep(table, _as_table(table, made_up), partition)
            scored.append(frame[(frame["metric"] == "js_similarity") & (frame["base"] == "e")])
    if parts:
        again = means[means["base"] == "e"].assign(detail=None)
        many = [again.assign(reference=name, mean=again["mean"] / 2) for name in ("uniform", "other_countries")]
        keep("similarity.reference", _as_table("similarity.reference", pd.concat(many)))
    if len(scored) > 1:
        compared = model_comparison(pd.concat(scored), paired.Settings(n_resamples=n_resamples, n_permutations=200))
        keep("similarity.model_comparison", _as_table("similarity.model_comparison", compared))
    written.append(store.write("run.lineage", pd.DataFrame(lineage)))
    store.publish(written)
    return store


def _as_table(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the table's columns; those that only the assets fill in are NULL."""
    return frame.reindex(columns=tables()[name].column_names)


def _codes(n: int) -> list[str]:
    return [*COUNTRIES, *sorted(known_countries() - set(COUNTRIES))][:n]


def _questions(n: int, hostile: Sequence[str], draw: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    questions, options = [], []
    for number in range(n):
        bad = hostile[number % len(hostile)] if hostile and number < len(hostile) else ""
        text = (
            f"{bad}How much do you agree with statement {number} about the way things are going in your country today?"
        )
        size = int(draw.choice([2, 3, 4, 5, 6, 10], p=[0.1, 0.15, 0.4, 0.25, 0.05, 0.05]))
        texts = [f"{bad}Answer {place} of {size}" for place in range(size - 1)] + ["Don't know"]
        name = question_id(text, texts)
        questions.append(
            {
                "question_id": name,
                "family": "global_opinion",
                "source": SOURCE,
                "source_question": f"q{number}",
                "survey": "Made up",
                "language": "en",
                "text": text,
                "n_options": size,
                "is_ordinal": True,
                "topic": TOPICS[number % len(TOPICS)],
                "topic_method": "catalogue",
                "duplicate_of": None,
            }
        )
        for place, answer in enumerate(texts):
            last = place == size - 1
            value = None if last or size < 3 else place / (size - 2)
            role = "dont_know" if last else "substantive"
            options.append(
                {"question_id": name, "option_index": place, "option": answer, "role": role, "ordinal_value": value}
            )
    return pd.DataFrame(questions), pd.DataFrame(options).astype({"ordinal_value": float})


def _human(question: pd.DataFrame, n_countries: int, share: float, draw: np.random.Generator) -> pd.DataFrame:
    countries = _codes(n_countries)
    parts = []
    for name, size in zip(question["question_id"], question["n_options"], strict=True):
        asked = [code for code in countries if draw.random() < share] or countries[:1]
        shares = draw.dirichlet(np.full(size, 0.9), size=len(asked))
        parts.append(
            pd.DataFrame(
                {
                    "source": SOURCE,
                    "question_id": name,
                    "wave": "7",
                    "is_latest_wave": True,
                    "country_label": np.repeat(asked, size),
                    "country": np.repeat(asked, size),
                    "sample_type": "national",
                    "group_by": "",
                    "group_value": "",
                    "option_index": np.tile(np.arange(size), len(asked)),
                    "share": shares.ravel(),
                    "n": 1000,
                    "n_effective": 900.0,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _answers(
    partition: dict[str, str], question: pd.DataFrame, option: pd.DataFrame, given: dict[str, np.ndarray]
) -> pd.DataFrame:
    texts = option.groupby("question_id")["option"].agg(list)
    rows = []
    for name, text in zip(question["question_id"], question["text"], strict=True):
        options = "\n".join(f"({'ABCDEFGHIJ'[place]}) {answer}" for place, answer in enumerate(texts[name]))
        prompt = f"[{partition['condition']}] Question: {text}\n\n{options}\n\nMy answer would be ("
        digest = hashlib.sha256(f"{partition}{prompt}".encode()).hexdigest()
        rows.append(
            {
                **partition,
                "question_id": name,
                "request_hash": digest,
                "prompt_hash": digest,
                "prompt": prompt,
                "method": "completion_logprobs",
                "option_order": list(range(len(texts[name]))),
                "sample_index": 0,
                "status": "ok",
                "error": None,
                "raw_text": "A",
                "option_logprobs": [float("-inf"), *np.log(given[name][1:] * 0.95)],
                "letter_mass": 0.95,
                "answer_index": None,
                "prompt_tokens": 100,
                "completion_tokens": 1,
                "cost_usd": 0.0,
                "model_reported": "made-up",
                "requested_at": STAMP,
                "latency_s": 0.1,
            }
        )
    return pd.DataFrame(rows).astype({"answer_index": "Int64"})


def _distributions(partition: dict[str, str], given: dict[str, np.ndarray], draw: np.random.Generator) -> pd.DataFrame:
    sizes = [len(values) for values in given.values()]
    mass, order = draw.uniform(0.7, 1, len(sizes)), draw.uniform(0, 0.3, len(sizes))
    return pd.DataFrame(
        {
            **partition,
            "question_id": np.repeat(list(given), sizes),
            "option_index": np.concatenate([np.arange(n) for n in sizes]),
            "probability": np.concatenate(list(given.values())),
            "method": "completion_logprobs",
            "n_orders": 2,
            "n_answers": 2,
            "n_invalid": 0,
            "letter_mass": np.repeat(mass, sizes),
            "order_effect": np.repeat(order, sizes),
        }
    )
