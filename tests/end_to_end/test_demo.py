"""The whole thread on real survey data and a real model, through a real Dagster instance."""

import csv
import shutil
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.model


def copy_of(demo: Workplace, folder: Path) -> Workplace:
    shutil.copytree(demo.folder, folder / "copy")
    return Workplace(folder / "copy")


def test_output_ends_with_the_paths(demo: Workplace) -> None:
    printed = (demo.folder / "stdout").read_text(encoding="utf-8")
    assert f"Warehouse: {demo.warehouse}" in printed
    assert f"Report:    {demo.data / 'report' / 'index.html'}" in printed
    assert (demo.data / "report" / "index.html").stat().st_size > 10_000


def test_every_country_has_a_similarity_for_each_condition(demo: Workplace) -> None:
    surveyed = demo.query("SELECT DISTINCT country FROM question.human_distribution WHERE source = 'wvs_embedded'")
    scored = demo.query(
        "SELECT condition, count(DISTINCT country) FROM similarity.country"
        " WHERE metric = 'js_similarity' AND base = 'e' AND model_version LIKE 'smollm2%' GROUP BY condition"
    )
    assert len(surveyed) > 80
    assert dict(scored) == dict.fromkeys(["default", "cross_national:TUR", "cross_national:USA"], len(surveyed))


def test_the_model_answers_differently_by_question_and_by_condition(demo: Workplace) -> None:
    rows = demo.query(
        "SELECT condition, question_id, list(round(probability, 6) ORDER BY option_index)"
        " FROM response.distribution GROUP BY ALL"
    )
    by_condition: dict[object, dict[object, tuple[float, ...]]] = {}
    for condition, question, probabilities in rows:
        by_condition.setdefault(condition, {})[question] = tuple(probabilities)  # type: ignore[arg-type]
    for answers in by_condition.values():
        assert len(set(answers.values())) == len(answers) > 1
        for probabilities in answers.values():
            assert max(probabilities) - min(probabilities) > 0.01
    for question, default in by_condition["default"].items():
        assert by_condition["cross_national:TUR"][question] != default


def test_similarity_follows_from_the_stored_distributions(demo: Workplace) -> None:
    from scipy.spatial.distance import jensenshannon

    rows = demo.query(
        "SELECT s.value, list(r.probability ORDER BY r.option_index), list(h.share ORDER BY h.option_index)"
        " FROM similarity.question_country s"
        " JOIN response.distribution r USING (model_version, condition, question_id)"
        " JOIN question.human_distribution h ON (h.source, h.question_id, h.wave, h.country_label, h.option_index)"
        "  = (s.source, s.question_id, s.wave, s.country_label, r.option_index)"
        " WHERE s.metric = 'js_similarity' AND s.base = 'e'"
        " GROUP BY s.model_version, s.condition, s.source, s.question_id, s.wave, s.country_label, s.value"
    )
    assert len(rows) > 500
    for value, model, people in rows:
        assert value == pytest.approx(1 - jensenshannon(model, people), abs=1e-9)


def test_every_answer_is_traceable(demo: Workplace) -> None:
    assert demo.query("SELECT count(*) FROM response.answer WHERE prompt = '' OR request_hash = ''") == [(0,)]
    stored = dict(demo.query("SELECT asset, count(*) FROM run.lineage GROUP BY asset"))
    assert stored["response/answer"] == stored["similarity/country"] == 3
    upstream = demo.query(
        "SELECT upstream FROM run.lineage WHERE asset = 'similarity/question_country' AND partition LIKE '%TUR'"
    )[0][0]
    assert "response/distribution/model_version=" in str(upstream)
    assert "question/human_distribution" in str(upstream)


def test_a_second_run_asks_nothing(demo: Workplace, tmp_path: Path) -> None:
    place = copy_of(demo, tmp_path)
    result = place.cli("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("asked the model 0 times") == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--model", "smollm3@1"), "smollm3@1"),
        (("--model", "smollm2-135m-instruct-q4_1@0.1.2", "--condition", "cross_national:XQX"), "XQX"),
        (("--model", "smollm2-135m-instruct-q4_1@0.1.2", "--condition", "upside_down"), "upside_down"),
        (("--model", "smollm2-135m-instruct-q4_1@0.1.2", "--source", "nowhere/missing.csv"), "nowhere/missing.csv"),
    ],
)
def test_an_unknown_name_ends_with_one_line_and_changes_nothing(
    demo: Workplace, arguments: tuple[str, ...], named: str
) -> None:
    before = demo.files()
    result = demo.cli("run", *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert named in result.stderr
    assert demo.files() == before


def test_a_broken_registry_ends_with_one_line_and_changes_nothing(demo: Workplace, tmp_path: Path) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text("models:\n  m@1:\n    provider: openai\n    method: telepathy\n", encoding="utf-8")
    before = demo.files()
    result = demo.cli("run", "--model", "m@1", environment={"OPINION_MODEL_REGISTRY": str(registry)})
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "registry.yaml" in result.stderr
    assert "method" in result.stderr
    assert demo.files() == before


def test_models_and_status(demo: Workplace) -> None:
    assert "smollm2-135m-instruct-q4_1@0.1.2" in demo.cli("models").stdout
    assert "similarity/country" in demo.cli("status").stdout


def test_rebuilding_the_warehouse_gives_the_same_numbers(demo: Workplace, tmp_path: Path) -> None:
    place = copy_of(demo, tmp_path)
    question = "SELECT * FROM similarity.country ORDER BY ALL"
    before = place.query(question)
    place.warehouse.unlink()
    assert place.cli("rebuild").returncode == 0
    assert place.query(question) == before


def test_translated_questions_are_asked_in_their_language_and_only_changed_ones_again(
    demo: Workplace, tmp_path: Path
) -> None:
    place = copy_of(demo, tmp_path)
    ask = ("run", "--model", "smollm2-135m-instruct-q4_1@0.1.2", "--condition", "linguistic:es")
    assert "no translations are stored" in place.cli(*ask).stderr
    translated = place.cli("translate", "--language", "es")
    assert translated.returncode == 0, translated.stdout + translated.stderr
    assert "4 of 4 translated, 4 usable" in translated.stdout
    assert "asked the model 4 times" in place.cli(*ask).stdout
    [(prompt,)] = place.query(
        "SELECT prompt FROM response.answer JOIN question.question USING (question_id)"
        " WHERE condition = 'linguistic:es' AND source_question = 'WVS.religion'"
    )
    assert "religi" in str(prompt)
    assert "Do you belong" not in str(prompt)
    counted = "SELECT count(*) FROM similarity.country WHERE condition = 'linguistic:es' AND base = 'e'"
    assert place.query(counted)[0][0] > 80  # type: ignore[operator]
    assert "asked the model 0 times" in place.cli(*ask).stdout

    review = place.folder / "review.csv"
    assert place.cli("review-export", str(review), "--language", "es", "--all").returncode == 0
    [(spanish,)] = place.query(
        "SELECT t.text FROM translation.question t JOIN question.question USING (question_id)"
        " WHERE source_question = 'WVS.religion'"
    )
    with review.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    [line] = [row for row in rows if spanish in row.values()]
    line |= {name: f"Dígame: {spanish}" for name, value in line.items() if value == spanish}
    line["reviewer"] = "A. Person"
    with review.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    before = dict(place.query("SELECT question_id, row_hash FROM translation.question"))
    imported = place.cli("review-import", str(review), "--language", "es")
    assert imported.returncode == 0, imported.stdout + imported.stderr
    after = dict(place.query("SELECT question_id, row_hash FROM translation.question"))
    assert sum(before[name] != after[name] for name in before) == 1
    assert "asked the model 1 times, 3 answers from the journal" in place.cli(*ask).stdout
