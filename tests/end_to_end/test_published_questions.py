"""The published question set, as a file that the user names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Workplace


@pytest.mark.model
def test_a_hundred_questions_of_the_published_file(
    new_workplace: Callable[[str], Workplace], shared_data: Path
) -> None:
    place = new_workplace("published")
    source = str(shared_data / "global_opinions.csv.gz")
    result = place.cli("run", "--source", source, "--model", "smollm2-135m-instruct-q4_1@0.1.2", "--limit", "100")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "asked the model 100 times" in result.stdout
    assert place.query("SELECT count(*) FROM question.question") == [(2555,)]
    assert place.query("SELECT count(DISTINCT question_id) FROM response.distribution") == [(100,)]
    scored = (
        "SELECT count(DISTINCT country), min(mean), max(mean) FROM similarity.country"
        " WHERE metric = 'js_similarity' AND base = 'e'"
    )
    [(countries, low, high)] = place.query(scored)
    assert countries > 60
    assert 0.167 < low < high < 1


@pytest.fixture(scope="module")
def questions(new_workplace: Callable[[str], Workplace], shared_data: Path) -> Workplace:
    """The published questions and people's answers to them, without a run."""
    from opinion_assets.questions.build import build
    from opinion_assets.surveys.registry import load_source
    from opinion_assets.warehouse import Store

    place = new_workplace("imported")
    data = load_source("global_opinion_qa", data_dir=place.data, path=shared_data / "global_opinions.csv.gz")
    dataset = build(data.question, data.response)
    for table in ("question", "option", "human_distribution", "country"):
        Store(place.data).write(f"question.{table}", getattr(dataset, table))
    return place


@pytest.mark.parametrize("model", ["llama-2-7b-chat", "zephyr-7b-beta"])
def test_published_probabilities_are_imported(model: str, questions: Workplace, shared_data: Path) -> None:
    version = f"{model}@imported"
    file = shared_data / "published" / f"{model}.csv.gz"
    result = questions.cli("import-answers", str(file), "--model-version", version)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2,555 questions matched, 1 rows of unknown questions left out" in result.stdout
    assert questions.query(
        f"SELECT count(DISTINCT question_id) FROM response.distribution WHERE model_version = '{version}'"
    ) == [(2555,)]
    assert questions.query(
        "SELECT count(*) FROM similarity.question_country"
        f" WHERE metric = 'js_similarity' AND base = 'e' AND model_version = '{version}'"
    ) == [(45884,)]


def test_importing_before_there_are_questions_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "answers.csv").write_text('question,options,probs\nIs it?,"[""Yes"", ""No""]","[0.5, 0.5]"\n')
    result = Workplace(tmp_path).cli("import-answers", "answers.csv", "--model-version", "m@1")
    assert result.returncode == 2
    assert "no questions stored" in result.stderr
