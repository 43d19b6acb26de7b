"""Topics by words, and how well they agree with a person's.

topic_labels.csv: 300 questions of GlobalOpinionQA, drawn at random and labelled by one annotator (a language model) by
the scheme's descriptions before any word was chosen. The words were then chosen on the part `development` and on other
questions of the file; the part `held_out` was looked at for its result only.
"""

from pathlib import Path

import pandas as pd
import pytest

from opinion_assets.questions.topics import explain, item_of, topic_of, topics
from opinion_assets.surveys.registry import load_source

LABELS = pd.read_csv(Path(__file__).with_name("topic_labels.csv"))


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("How serious a problem is air pollution?", "environment_and_energy"),
        ("How much confidence do you have in each of these?  The police", "crime_and_law"),
        ("Please tell me if you have a very favorable opinion of ____? b. the United Nations", "international_affairs"),
        ("Do you approve of the way the president is handling...Education?", "education"),
        ("Can it always be justified, never be justified?  Avoiding a fare on public transport", "values_and_ethics"),
        ("Is it?", "other"),
        ("", "other"),
    ],
)
def test_the_thing_asked_about_decides(text: str, topic: str) -> None:
    assert topic_of(text) == topic


def test_it_can_be_explained() -> None:
    [(first, score, words), *_] = explain("How serious a problem is air pollution?")
    assert (first, score, words) == ("environment_and_energy", 8.0, ["pollution"])


def test_items_of_batteries() -> None:
    assert item_of("Is it good or bad?...Trade") == "Trade"
    assert item_of("One question") == "One question"


def test_labels_name_topics_of_the_scheme_once_each() -> None:
    assert set(LABELS["topic"]) <= set(topics())
    assert LABELS["question_id"].is_unique
    assert LABELS["part"].value_counts().to_dict() == {"held_out": 200, "development": 100}


def agreement(labels: pd.Series, found: pd.Series) -> tuple[float, float]:
    """Accuracy, and Cohen's kappa (Cohen 1960): agreement beyond that of independent choices with the same margins."""
    observed = float((labels == found).mean())
    chance = sum(float((labels == topic).mean() * (found == topic).mean()) for topic in topics())
    return observed, (observed - chance) / (1 - chance)


def test_kappa_of_the_textbook() -> None:
    labels = pd.Series(["religion"] * 25 + ["health"] * 25)
    found = pd.Series(["religion"] * 20 + ["health"] * 5 + ["religion"] * 10 + ["health"] * 15)
    assert agreement(labels, found) == (0.7, pytest.approx(0.4))


def test_agreement_with_the_labels(shared_data: Path, tmp_path: Path) -> None:
    data = load_source("global_opinion_qa", data_dir=tmp_path, path=shared_data / "global_opinions.csv.gz")
    text = data.question.set_index("question_id")["text"]
    assert set(LABELS["question_id"]) <= set(text.index)
    held_out = LABELS[LABELS["part"] == "held_out"]
    accuracy, kappa = agreement(held_out["topic"], held_out["question_id"].map(text).map(topic_of))
    # docs/sources.md states what was measured: 0.84 and 0.82
    assert accuracy >= 0.82
    assert kappa >= 0.79
