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
