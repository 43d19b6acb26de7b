"""Option probabilities of somebody else's: matched exactly, refused by row and field, never mended."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opinion_assets.elicitation.distributions import distributions
from opinion_assets.elicitation.importing import current_import, import_answers, imported_model, keep_import
from opinion_assets.errors import InputError
from opinion_assets.models.registry import ModelVersion
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source

MODEL = imported_model("theirs@1")
QUESTIONS = pd.DataFrame({"question_id": ["q1", "q2", "q3"], "text": ["Is it good?", "Which one?", "Which one?"]})
OPTIONS = pd.DataFrame(
    [
        {"question_id": question, "option_index": index, "option": option}
        for question, options in {"q1": ["Yes", "No"], "q2": ["A", "B", "C"], "q3": ["A", "B", "D"]}.items()
        for index, option in enumerate(options)
    ]
)
GOOD = {"question": "Is it good?", "options": ["Yes", "No"], "probs": [0.25, 0.75]}


def write(folder: Path, rows: list[dict[str, Any]], suffix: str = "csv") -> Path:
    file = folder / f"answers.{suffix}"
    frame = pd.DataFrame(rows)
    if suffix == "parquet":
        frame.to_parquet(file)
    else:
        lists = {name: frame[name].map(json.dumps) for name in frame if isinstance(frame[name].iloc[0], list)}
        frame.assign(**lists).to_csv(file, index=False)
    return file


def read(file: Path) -> pd.DataFrame:
    return import_answers(file, MODEL, QUESTIONS, OPTIONS)


def probabilities(frame: pd.DataFrame) -> dict[str, list[float]]:
    return {row.question_id: np.exp(row.option_logprobs).round(12).tolist() for row in frame.itertuples(index=False)}


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_rows_are_matched_by_text_and_options(suffix: str, tmp_path: Path) -> None:
    rows = [
        GOOD,
        {"question": " Which one? ", "options": ["C", "A", "B"], "probs": [0.5, 0.2, 0.3]},
        {"question": "Which one?", "options": ["A", "B", "D"], "probs": [1, 0, 0]},
        {"question": "Never asked", "options": ["x", "y"], "probs": [0.5, 0.5]},
    ]
    frame = read(write(tmp_path, rows, suffix))
    # A reordering is undone; the same text with other options is another question.
    assert probabilities(frame) == {"q1": [0.25, 0.75], "q2": [0.2, 0.3, 0.5], "q3": [1, 0, 0]}
    assert frame.attrs["unmatched"] == [4]
    assert set(frame["model_version"]) == {"theirs@1"}
    shares = distributions(frame, OPTIONS)
    assert shares.groupby("question_id")["probability"].sum().tolist() == pytest.approx([1, 1, 1])


def test_rows_are_matched_by_id_without_options(tmp_path: Path) -> None:
    rows = [{"question_id": "q2", "probs": [0.2, 0.3, 0.5]}, {"question_id": "q9", "probs": [0.5, 0.5]}]
    frame = read(write(tmp_path, rows))
    assert probabilities(frame) == {"q2": [0.2, 0.3, 0.5]}
    assert frame.attrs["unmatched"] == [2]


@pytest.mark.parametrize(
    ("change", "field", "problem"),
    [
        ({"probs": [0.25, 0.70]}, "probs", "sum to 0.95"),
        ({"probs": [-0.25, 1.25]}, "probs", "-0.25 is no probability"),
        ({"probs": [0.25, 0.5, 0.25]}, "probs", "3 probabilities for 2 options"),
        ({"probs": [True, False]}, "probs", "True is no probability"),
        ({"probs": ["0.25", "0.75"]}, "probs", "is no probability"),
        ({"probs": "[0.25, NaN]"}, "probs", "nan is no probability"),
        ({"probs": '{"Yes": 0.25, "No": 0.75}'}, "probs", "is no list"),
        ({"probs": "__import__('os').system('true')"}, "probs", "is no list"),
        ({"probs": "[" * 2000}, "probs", "is no list"),
        ({"probs": ""}, "probs", "is no list"),
        ({"options": "Yes or No"}, "options", "is no list"),
        ({"probs": [0.5, 0.5], "question": "Is it good?"}, None, "repeats the question of row 1"),
    ],
)  # fmt: skip
def test_a_malformed_row_is_named(change: dict[str, Any], field: str | None, problem: str, tmp_path: Path) -> None:
    rows = [{name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
            for row in (GOOD, GOOD | {"question": "Other"} | change)]  # fmt: skip
    with pytest.raises(InputError, match=problem) as caught:
        read(write(tmp_path, rows))
    assert "answers.csv, row 2" in str(caught.value)
    assert field is None or f"field '{field}'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("question_id", "options", "problem"),
    [
        ("q2", ["A", "B"], "2 probabilities, the question has 3 options"),
        ("q1", ["Yes", "Maybe"], "the options differ from the question's"),
    ],
)
def test_options_that_do_not_fit_their_id_are_named(
    question_id: str, options: list[str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=problem):
        read(write(tmp_path, [{"question_id": question_id, "options": options, "probs": [0.5, 0.5]}]))


@pytest.mark.parametrize("column", ["probs", "options", "question"])
def test_a_missing_column_is_named(column: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"field '{column}': the column is missing"):
        read(write(tmp_path, [{name: value for name, value in GOOD.items() if name != column}]))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("answers.csv", b""), ("answers.csv", b"\xff\xfe\x00"), ("answers.csv.gz", b"no gzip"),
        ("answers.parquet", b"no parquet"), ("answers.txt", b"question\n"),
        ("answers.csv", b'question,options,probs\n"a'),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="answers") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_only_an_imported_model_takes_answers_and_its_name_is_checked(tmp_path: Path) -> None:
    asked = ModelVersion(model_version="m@1", provider="embedded", method="sampling", file="f")
    with pytest.raises(InputError, match="only provider 'imported' takes answers"):
        import_answers(write(tmp_path, [GOOD]), asked, QUESTIONS, OPTIONS)
    with pytest.raises(InputError, match="name@version"):
        imported_model("no version")


def test_the_newest_copy_is_current_and_earlier_ones_stay(tmp_path: Path) -> None:
    assert current_import(tmp_path, "theirs@1") is None
    first = keep_import(tmp_path, "theirs@1", write(tmp_path, [GOOD]))
    second = keep_import(tmp_path, "theirs@1", write(tmp_path, [GOOD | {"probs": [0.5, 0.5]}]))
    assert current_import(tmp_path, "theirs@1") == second != first
    assert first.exists()


@pytest.fixture(scope="module")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    data = load_source(
        "global_opinion_qa", data_dir=tmp_path_factory.mktemp("source"), path=shared_data / "global_opinions.csv.gz"
    )
    return build(data.question, data.response)


@pytest.mark.parametrize("name", ["llama-2-7b-chat", "zephyr-7b-beta"])
def test_the_published_files_give_a_distribution_for_every_question(
    name: str, published: Any, shared_data: Path
) -> None:
    """2,556 rows, one of a question that the released file lacks."""
    file = shared_data / "published" / f"{name}.csv.gz"
    frame = import_answers(file, imported_model(f"{name}@published"), published.question, published.option)
    assert len(frame.attrs["unmatched"]) == 1
    shares = distributions(frame, published.option)
    assert shares["question_id"].nunique() == 2555 == len(published.question)
    assert shares.groupby("question_id")["probability"].sum().to_numpy() == pytest.approx(np.ones(2555))
