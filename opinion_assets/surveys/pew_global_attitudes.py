"""Pew Research Center Global Attitudes: one .sav file a year, with its weight column.

Don't know and refused are ordinary labelled codes of the file and so options; a system-missing answer was not asked.
The file seldom names its year as a variable: a questions file may give ``fixed_wave``.
"""

from collections.abc import Sequence
from pathlib import Path

from opinion_assets.surveys.base import Source, SurveyData
from opinion_assets.surveys.microdata import Layout, load_microdata

LAYOUT = Layout(
    survey="GAS",
    country=("COUNTRY", "country", "Country"),
    wave=("YEAR", "year", "Year"),
    weight=("weight", "WEIGHT", "Weight"),
    groups={
        "sex": ("SEX", "sex", "gender"),
        "age": ("AGE_GROUP", "age_group"),
        "education": ("EDUCATION", "education"),
    },
)


def load(entry: Source, *, data_dir: Path, path: Path, group_by: Sequence[str] = (), catalogue: str = "") -> SurveyData:
    """Weighted shares by country. Raises InputError, naming file, row and field."""
    return load_microdata(entry, LAYOUT, data_dir=data_dir, path=path, group_by=group_by, catalogue=catalogue)
