"""Labels of sources and the countries they stand for."""

from pathlib import Path

import pandas as pd
import pytest

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.questions import countries


def code(label: str) -> tuple[str, str]:
    row = countries.harmonise([label]).iloc[0]
    return row["country"], row["sample_type"]


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Britain", ("GBR", "national")),
        ("Great Britain", ("GBR", "national")),
        ("Northern Ireland", ("GB-NIR", "national")),
        ("Czech Rep.", ("CZE", "national")),
        ("S. Korea", ("KOR", "national")),
        ("Taiwan ROC", ("TWN", "national")),
        ("Palest. ter.", ("PSE", "national")),
        ("India (Old national sample)", ("IND", "old_national")),
        ("India (Current national sample)", ("IND", "current_national")),
        ("China (Non-national sample)", ("CHN", "non_national")),
        ("Turkey", ("TUR", "national")),
        ("TUR", ("TUR", "national")),
        ("792", ("TUR", "national")),
        ("8", ("ALB", "national")),
        ("NIR", ("GB-NIR", "national")),
    ],
)
def test_labels(label: str, expected: tuple[str, str]) -> None:
    assert code(label) == expected


def test_every_label_of_the_published_file_is_mapped_with_a_reason(shared_data: Path) -> None:
    text = pd.read_csv(shared_data / "global_opinions.csv.gz")["selections"]
    labels = set(text.str.findall(r"['\"]([^'\"]+)['\"]: \[").explode())
    table = countries.harmonise(labels)
    assert len(table) == len(labels) == 138
    assert (table["reason"] != "").all()
    assert table[table["sample_type"] != "national"]["country_label"].str.contains(r"\(").all()


def test_an_unknown_label_is_named_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"'Turky' is not known; near: .*Turkey"):
        countries.harmonise(["Turky"])


def test_all_unknown_labels_are_listed() -> None:
    assert list(countries.unknown_labels(["Turky", "Turkey", "", "00"])) == ["", "00", "Turky"]


def test_reviewed_entries_are_needed_and_valid() -> None:
    for label, entry in countries._reviewed()["labels"].items():
        assert entry["reason"], label
        assert entry["country"] in countries.known_countries(), label


def test_names_in_a_sentence() -> None:
    assert countries.country_name("NLD") == "the Netherlands"
    assert countries.country_name("KOR") == "South Korea"
    with pytest.raises(UnknownNameError, match="'XQX' is no country code"):
        countries.country_name("XQX")
