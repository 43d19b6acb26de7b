"""A researcher's own files: the documented examples, and what malformed ones say."""

from pathlib import Path

import pytest

from opinion_assets.errors import InputError
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


HEAD = "name,question,option,country,share\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: cannot be read"),
        ("a.csv", HEAD, "there are no questions"),
        ("a.csv", "name,question\nq,Q\n", "field 'option': column is missing"),
        ("a.csv", "name,question,option,colour\nq,Q,a,b\n", "field 'colour': is not a known column"),
        ("a.csv", "name,question,option,share\nq,Q,a,1\n", "need both columns country and share"),
        ("a.csv", HEAD + "q,Q,a,Turkey,0.1\nq,Q,b,Turkey,0.2\n", "question 'q', field 'share[Turkey]': sums to 0.3"),
        ("a.csv", HEAD + "q,Q,a,Turkey,1\nq,R,b,Turkey,0\n", "row 2, question 'q', field 'question': is another text"),
        ("a.csv", HEAD + "q,Q,a,Turkey,1\nq,Q,a,Turkey,1\n", "row 2, question 'q', field 'share': Turkey has two"),
        ("a.csv", HEAD + "q,Q,a,Turkey,nan\nq,Q,b,Turkey,1\n", "negative, missing or not finite"),
        ("a.csv", HEAD + "q,Q,a,Turkey,\nq,Q,b,Turkey,1\n", "no number"),
        ("a.csv", HEAD + "q,Q,a,Turkey,0.5\nq,Q,b,Turkey,0.5\nq,Q,c,Kenya,1\n", "has 2 shares for 3 options"),
        ("a.csv", HEAD + "q,,a,,\nq,,b,,\n", "field 'text': is empty"),
        ("a.csv", HEAD + "q,Q,a,,\n", "two or more different options"),
        ("a.csv", HEAD + "q,Q,a,,\nq,Q,b,,\nr,Q,a,,\nr,Q,b,,\n", "question 'r': stands twice"),
        ("a.csv", "name,question,option,ordinal\nq,Q,a,maybe\n", "field 'ordinal': must be true or false"),
        ("a.yaml", "questions: [", "is not YAML"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "is not YAML"),
        ("a.yaml", "x: 1", "needs a list of questions"),
        ("a.yaml", "questions: []", "there are no questions"),
        ("a.yaml", "questions: [1]", "row 1: is not a question"),
        ("a.yaml", "questions: [{name: q, text: T}]", "field 'options': is missing"),
        ("a.yaml", "questions: [{name: q, text: T, options: [a, b], colour: 1}]", "field 'colour'"),
        ("a.yaml", "questions: [{name: q, text: T, options: [a, b], ordinal: 3}]", "field 'ordinal'"),
        ("a.yaml", "questions: [{name: q, text: T, options: [a, b], answers: {Turkey: 1}}]", "field 'answers'"),
        ("a.yaml", "questions: [{name: q, text: T, options: [a, b], answers: {Turkey: [1]}}]", "1 shares for 2"),
        ("a.yaml", "questions: [{name: q, text: T, options: [a, b], answers: {Turkey: [a, 1]}}]", "no number"),
    ],
)  # fmt: skip
def test_malformed_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_source("custom", data_dir=tmp_path / "data", path=tmp_path / name)
    assert message in str(caught.value)
    assert not (tmp_path / "data").exists()
