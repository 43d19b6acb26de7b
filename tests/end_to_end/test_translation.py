"""Linguistic prompting from translation to similarity, and what a reviewed file changes."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opinion_assets.models import embedded
from opinion_assets.models.registry import get_model, load_registry
from opinion_assets.translation.checks import script_share
from opinion_assets.translation.translators import Context, Journal, ModelTranslator
from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.model
MODEL = "smollm2-135m-instruct-q4_1@0.1.2"
LANGUAGES = ("ru", "zh", "tr")
ASK = ("run", "--model", MODEL, *(part for name in LANGUAGES for part in ("--condition", f"linguistic:{name}")))


@pytest.fixture(scope="module")
def translated(demo: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The demo with the paper's three languages, asked."""
    folder = tmp_path_factory.mktemp("translated")
    shutil.copytree(demo.folder, folder / "copy")
    place = Workplace(folder / "copy")
    for name in LANGUAGES:
        result = place.cli("translate", "--language", name)
        assert result.returncode == 0, result.stdout + result.stderr
    result = place.cli(*ASK)
    assert result.returncode == 0, result.stdout + result.stderr
    return place


def stale(place: Workplace, *conditions: str) -> dict[str, str]:
    """Staleness of response/answer by condition, as the UI's GraphQL gives it."""
    asked = " ".join(f'c{i}: staleStatus(partition: "{name}|{MODEL}")' for i, name in enumerate(conditions))
    query = f'{{ assetNodeOrError(assetKey: {{path: ["response", "answer"]}}) {{ ... on AssetNode {{ {asked} }} }} }}'
    command = [str(Path(sys.executable).with_name("dagster-graphql")), "-m", "opinion_assets.definitions", "-t", query]
    done = subprocess.run(
        command, env=place.environment, cwd=place.folder, text=True, capture_output=True, timeout=600, check=True
    )
    [line] = [line for line in done.stdout.splitlines() if line.startswith('{"data"')]
    found = json.loads(line)["data"]["assetNodeOrError"]
    return {name: found[f"c{i}"] for i, name in enumerate(conditions)}


def test_each_language_is_asked_in_itself_and_compared_with_every_country(translated: Workplace) -> None:
    for name in LANGUAGES:
        prompts = [
            prompt
            for (prompt,) in translated.query(
                f"SELECT prompt FROM response.answer WHERE condition = 'linguistic:{name}' AND status = 'ok'"
            )
        ]
        assert len(prompts) == 4
        for prompt in prompts:
            share = script_share(str(prompt).replace("(A)", "").replace("(B)", ""), name)
            assert share is not None
            assert share > 0.8, prompt
        [(countries,)] = translated.query(
            f"SELECT count(DISTINCT country) FROM similarity.country WHERE condition = 'linguistic:{name}'"
        )
        assert countries > 80  # type: ignore[operator]


def test_a_reviewed_row_marks_its_partitions_stale_and_only_it_is_asked_again(
    translated: Workplace, tmp_path: Path
) -> None:
    review = tmp_path / "review.csv"
    assert translated.cli("review-export", str(review), "--language", "tr", "--all").returncode == 0
    with review.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    line = next(row for row in rows if row["part"] == "question")
    line |= {"translation": line["translation"].rstrip("?") + ", sizce?", "reviewer": "A. Person"}
    with review.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert set(stale(translated, "default", *(f"linguistic:{name}" for name in LANGUAGES)).values()) == {"FRESH"}
    hashes = "SELECT language, question_id, row_hash FROM translation.question ORDER BY ALL"
    before = translated.query(hashes)
    assert translated.cli("review-import", str(review), "--language", "tr").returncode == 0
    changed = set(translated.query(hashes)) - set(before)
    assert {(language, question) for language, question, _ in changed} == {("tr", line["question_id"])}
    status = stale(translated, "default", "linguistic:tr")
    assert status == {"default": "FRESH", "linguistic:tr": "STALE"}
    again = translated.cli("run", "--model", MODEL, "--condition", "linguistic:tr")
    assert "asked the model 1 times, 3 answers from the journal" in again.stdout, again.stdout + again.stderr
    assert stale(translated, "linguistic:tr") == {"linguistic:tr": "FRESH"}


def test_without_a_usable_translation_nothing_is_asked(translated: Workplace, tmp_path: Path) -> None:
    """A human file with broken rows only: refused rows are counted, and the run says why it asks nothing."""
    shutil.copytree(translated.folder, tmp_path / "copy")
    place = Workplace(tmp_path / "copy")
    rows = place.query(
        "SELECT t.question_id, t.text, len(t.options) FROM translation.question AS t WHERE language = 'ru' ORDER BY ALL"
    )
    question, text, n_options = rows[0]
    human = tmp_path / "human.csv"
    with human.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["language", "question_id", "part", "translation", "translator"])
        writer.writerow(["uk", question, "question", text, "A. Person"])
        for index in range(int(str(n_options))):
            writer.writerow(["uk", question, f"option {index}", "Так", "A. Person"])
    imported = place.cli("review-import", str(human), "--language", "uk", "--human")
    assert "1 of 4 translated, 0 usable" in imported.stdout, imported.stdout + imported.stderr
    asked = place.cli("run", "--model", MODEL, "--condition", "linguistic:uk")
    assert asked.returncode == 2
    assert "none of the 1 translations into uk is usable" in asked.stderr


def test_a_model_behind_a_real_server_translates_and_is_rated(tmp_path: Path) -> None:
    """The embedded model through its OpenAI-compatible server; how good it is stands in docs/translation.md."""
    model = get_model(MODEL, load_registry())
    with embedded.serve(model) as endpoint:
        journal = Journal(tmp_path / "journal.jsonl")
        translator = ModelTranslator(model, endpoint=endpoint, journal=journal)
        [first] = translator.translate(["Yes"], "en", "tr", contexts=[Context("option")])
        [again] = translator.translate(["Yes"], "en", "tr", contexts=[Context("option")])
    assert first == again
    assert translator.n_requests == 1
    [entry] = journal.read().values()
    assert entry["completion_tokens"] <= 88
    assert entry["model_version"] == MODEL
