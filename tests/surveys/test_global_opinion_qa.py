"""GlobalOpinionQA's schema: the real file, and what malformed files say."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.surveys.registry import load_source, source_of_path

GOOD = {
    "question": "Is it good?",
    "selections": "defaultdict(<class 'list'>, {'Turkey': [0.6, 0.4], 'Kenya': [0.25, 0.75]})",
    "options": "['Yes', 'No']",
    "source": "GAS",
}


def write(folder: Path, *rows: dict[str, str], name: str = "file.csv") -> Path:
    path = folder / name
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_the_published_file_loses_nothing(shared_data: Path, tmp_path: Path) -> None:
    data = load_source("global_opinion_qa", data_dir=tmp_path, path=shared_data / "global_opinions.csv.gz")
    assert (data.snapshot.n_questions, data.snapshot.n_distributions) == (2555, 45884)
    assert data.response["country_label"].nunique() == 138
    changed = data.dropped[data.dropped["action"] == "normalised"]
    assert set(data.dropped["action"]) == {"normalised", "kept_apart"}
    assert changed["n"].sum() > 10_000


def test_a_small_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert source_of_path(path) == "global_opinion_qa"
    data = load_source("global_opinion_qa", data_dir=tmp_path, path=path)
    shares = data.response.set_index(["country_label", "option"])["share"]
    assert shares["Kenya", "No"] == 0.75
    assert data.dropped.empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"selections": GOOD["selections"].replace("0.6, 0.4", "0.1, 0.2")},
            r"row 1, .*selections\[Turkey\].* sums to 0.3",
        ),
        (
            {"selections": GOOD["selections"].replace("0.6, 0.4", "0.6")},
            r"selections\[Turkey\].* 1 shares for 2 options",
        ),
        ({"selections": GOOD["selections"].replace("0.6, 0.4", "-0.1, 1.1")}, "negative or not finite"),
        ({"selections": GOOD["selections"].replace("0.6, 0.4", "1e999, 0.4")}, "negative or not finite|instead of 1"),
        ({"selections": GOOD["selections"].replace("0.6, 0.4", "'a', 0.4")}, "no number"),
        (
            {"selections": "__import__('os').system('touch owned')"},
            "field 'selections': is not the text of defaultdict",
        ),
        (
            {"selections": "defaultdict(<class 'list'>, {'Turkey': __import__('os').getcwd()})"},
            "field 'selections': is not the text of a dict",
        ),
        ({"options": "['Yes', 'Yes']"}, "field 'options': needs two or more different options"),
        ({"options": "['Yes', '']"}, "none of them empty"),
        ({"options": "open('/etc/passwd')"}, "field 'options': is not the text of a list"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_source("global_opinion_qa", data_dir=tmp_path, path=write(tmp_path, GOOD | change))
    assert "file.csv" in str(caught.value)
    assert not (tmp_path / "snapshot").exists()


def test_a_repeated_question_names_both_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2, .*repeats row 1"):
        load_source("global_opinion_qa", data_dir=tmp_path, path=write(tmp_path, GOOD, GOOD))


def test_a_question_without_options_is_listed_as_dropped(tmp_path: Path) -> None:
    data = load_source(
        "global_opinion_qa", data_dir=tmp_path, path=write(tmp_path, GOOD, GOOD | {"question": "?", "options": ""})
    )
    assert len(data.question) == 1
    assert data.dropped[["source_question", "action"]].values.tolist() == [["2", "dropped"]]


def test_markup_in_a_question_stays_text(tmp_path: Path) -> None:
    text = "<script>alert(1)</script>'; DROP TABLE question.question; --"
    data = load_source("global_opinion_qa", data_dir=tmp_path, path=write(tmp_path, GOOD | {"question": text}))
    assert data.question["text"].tolist() == [text]


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.csv.gz"
    path.write_bytes(gzip.compress(write(tmp_path, GOOD).read_bytes() * 50)[:60])
    with pytest.raises(InputError, match=r"file\.csv\.gz: cannot be read"):
        load_source("global_opinion_qa", data_dir=tmp_path, path=path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"other\.csv: is no survey source"):
        source_of_path(write(tmp_path, {"a": "1"}, name="other.csv"))


def test_the_hub_is_read_at_a_pinned_commit_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a file, or the commit"):
        load_source("global_opinion_qa", data_dir=tmp_path)


def test_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown survey source 'gallup'"):
        load_source("gallup", data_dir=tmp_path)
