"""OpinionQA-style microdata (Santurkar et al. 2023): answers as texts, an info.csv that describes them, one country.

``responses.csv`` has one row a respondent: answers under the question's key, demographic columns and a weight column
``WEIGHT_…``. ``info.csv`` beside it has the columns key, question and references (the text of a list of options).
"""

import ast
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

from opinion_assets.errors import InputError
from opinion_assets.surveys.base import Source, SurveyData
from opinion_assets.surveys.microdata import Item, Layout, load_microdata
from opinion_assets.surveys.user_files import read_csv

LAYOUT = Layout(
    survey="American Trends Panel",
    groups={
        "sex": ("SEX",), "age": ("AGE",), "education": ("EDUCATION",), "region": ("CREGION",), "race": ("RACE",),
        "income": ("INCOME",), "party": ("POLPARTY",), "ideology": ("POLIDEOLOGY",), "religion": ("RELIG",),
    },
    fixed_country="United States",
)  # fmt: skip


def load(entry: Source, *, data_dir: Path, path: Path, group_by: Sequence[str] = ()) -> SurveyData:
    """Weighted shares in the United States and in demographic groups. Raises InputError, naming file, row and field."""
    info = path.with_name("info.csv")
    if not info.is_file():
        raise InputError("there is no info.csv beside it that describes the questions", file=path)
    content = info.read_bytes()
    columns = list(read_csv(path.read_bytes(), path.name).columns)
    weights = sorted(column for column in columns if column.upper().startswith("WEIGHT"))
    if len(weights) != 1:
        raise InputError(f"needs one column WEIGHT…, has {len(weights)}", file=path, field="weight")
    layout = replace(LAYOUT, weight=(weights[0],), fixed_wave=weights[0].partition("_")[2])
    return load_microdata(
        entry, layout, data_dir=data_dir, path=path, group_by=group_by, companion=(info.name, content),
        items=_items(content, info.name, set(columns)),
    )  # fmt: skip


def _items(content: bytes, name: str, columns: set[str]) -> list[Item]:
    frame = read_csv(content, name, as_text=True)
    for column in ("key", "question", "references"):
        if column not in frame:
            raise InputError("column is missing", file=name, field=column)
    items = []
    for row, record in enumerate(frame.to_dict("records"), start=1):
        try:
            options = ast.literal_eval(record["references"])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            options = None
        if not isinstance(options, list) or len(options) < 2 or not all(isinstance(o, str) and o for o in options):
            raise InputError("is not the text of a list of options", file=name, row=row, field="references")
        if len(set(options)) < len(options):
            raise InputError("repeats an option", file=name, row=row, field="references")
        if record["key"] in columns:
            texts: dict[Hashable, str] = {option: option for option in options}
            items.append(Item(record["key"], record["question"].strip(), texts))
    if not items:
        raise InputError("describes no column of the responses", file=name, field="key")
    return items
