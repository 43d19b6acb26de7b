"""A researcher's own files: the documented examples, and what malformed ones say."""

from pathlib import Path

from opinion_assets.questions.build import build
from opinion_assets.questions.topics import topic_method, topics
from opinion_assets.surveys.registry import load_source, source_of_path

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def test_the_examples_are_read(tmp_path: Path) -> None:
    for name in ("questions.csv", "questions.yaml"):
        assert source_of_path(EXAMPLES / name) == "custom"
    of_csv = load_source("custom", data_dir=tmp_path, path=EXAMPLES / "questions.csv")
    of_yaml = load_source("custom", data_dir=tmp_path, path=EXAMPLES / "questions.yaml")
    assert of_csv.question["question_id"].iloc[0] == of_yaml.question["question_id"].iloc[0]
    assert of_csv.response["share"].tolist() == [0.2, 0.5, 0.3]
    assert (of_yaml.snapshot.n_questions, of_yaml.snapshot.n_distributions) == (2, 2)


def test_the_example_of_five_questions(tmp_path: Path) -> None:
    data = load_source("custom", data_dir=tmp_path, path=EXAMPLES / "my_questions.yaml")
    assert (data.snapshot.n_questions, data.snapshot.n_distributions) == (5, 15)
    assert set(data.question["survey"]) == {"Invented example"}
    dataset = build(data.question, data.response)
    question = dataset.question.set_index("source_question")
    assert question.index[question["is_ordinal"]].tolist() == ["remote_work", "trust_in_science"]
    assert set(question["topic"]) <= set(topics())
    assert question["topic_method"]["climate_priority"] == topic_method()
