"""GlobalOpinionQA's schema: the real file, and what malformed files say."""

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


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"other\.csv: is no survey source"):
        source_of_path(write(tmp_path, {"a": "1"}, name="other.csv"))


def test_the_hub_is_read_at_a_pinned_commit_only(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a file, or the commit"):
        load_source("global_opinion_qa", data_dir=tmp_path)


def test_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown survey source 'gallup'"):
        load_source("gallup", data_dir=tmp_path)
