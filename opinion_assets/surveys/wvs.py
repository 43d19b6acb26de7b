"""World Values Survey: wave 7 and the time series, .csv or .sav, with their weights.

Codes −1 (don't know) and −2 (no answer) become options; −3, −4 and −5 are respondents who were not asked or whose
answer is not available: left out and counted. A .csv needs a questions file (see `microdata`).
"""

from collections.abc import Sequence
from pathlib import Path

from opinion_assets.surveys.base import Source, SurveyData
from opinion_assets.surveys.microdata import Layout, load_microdata

LAYOUT = Layout(
    survey="WVS",
    country=("B_COUNTRY_ALPHA", "COUNTRY_ALPHA", "B_COUNTRY", "S003"),
    wave=("A_WAVE", "S002VS", "S002"),
    weight=("W_WEIGHT", "S017"),
    groups={"sex": ("Q260", "X001"), "age": ("X003R", "X003R2"), "education": ("Q275R", "X025R")},
    kept_codes={-1: "Don't know", -2: "No answer"},
    dropped_codes={-3: "not applicable", -4: "not asked", -5: "missing or not available"},
)


def load(entry: Source, *, data_dir: Path, path: Path, group_by: Sequence[str] = (), catalogue: str = "") -> SurveyData:
    """Weighted shares by country and wave. Raises InputError, naming file, row and field."""
    return load_microdata(entry, LAYOUT, data_dir=data_dir, path=path, group_by=group_by, catalogue=catalogue)
