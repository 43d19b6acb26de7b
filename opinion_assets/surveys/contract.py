"""What the frames of every survey source must fulfil, whichever module made them: pandera schemas.

Belongs here: rules for values that hold in all sources. Does not belong here: a source's own format (its module, which
names the row of the file), and names, types and NULLs of columns as stored (sql/tables).
"""

import pandas as pd
import pandera.pandas as pa

from opinion_assets.errors import InputError
from opinion_assets.identity import question_id
from opinion_assets.surveys.base import RESPONSE_KEY, SurveyData

TOLERANCE = 1e-9
ACTIONS = ["dropped", "merged", "kept_apart", "normalised"]


def _good_options(options: pd.Series) -> pd.Series:
    return options.map(lambda texts: len(texts) >= 2 and all(texts) and len(set(texts)) == len(texts))


def _own_id(frame: pd.DataFrame) -> pd.Series:
    found = [question_id(text, options) for text, options in zip(frame["text"], frame["options"], strict=True)]
    return frame["question_id"] == found


def _sums_to_one(frame: pd.DataFrame) -> pd.Series:
    return (frame.groupby(RESPONSE_KEY, sort=False)["share"].transform("sum") - 1).abs() <= TOLERANCE


QUESTION = pa.DataFrameSchema(
    {
        "source": pa.Column(str),
        "source_question": pa.Column(str, pa.Check.str_length(min_value=1)),
        "question_id": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{16}$"), unique=True),
        "survey": pa.Column(str),
        "language": pa.Column(str, pa.Check.str_length(min_value=2)),
        "text": pa.Column(str),
        "options": pa.Column(object, pa.Check(_good_options, name="two or more different options, none empty")),
        "is_ordinal": pa.Column(object, pa.Check.isin([True, False]), nullable=True, coerce=True),
        "topic": pa.Column(object, nullable=True, coerce=True),
        "weighting": pa.Column(str, pa.Check.str_length(min_value=1)),
    },
    checks=pa.Check(_own_id, name="question_id is the hash of text and options"),
    strict=True,
)
# Columns of texts are not looked at value by value: sql/tables knows their type.
RESPONSE = pa.DataFrameSchema(
    {
        "source": pa.Column(object),
        "question_id": pa.Column(object),
        "wave": pa.Column(object),
        "country_label": pa.Column(object, pa.Check(lambda labels: labels != "", name="not empty")),
        "group_by": pa.Column(object),
        "group_value": pa.Column(object),
        "option_index": pa.Column(int, pa.Check.ge(0), coerce=True),
        "option": pa.Column(object),
        "share": pa.Column(float, pa.Check.in_range(0, 1 + TOLERANCE)),
        "n": pa.Column(float, pa.Check.ge(1), nullable=True, coerce=True),
        "weighted_n": pa.Column(float, pa.Check.gt(0), nullable=True, coerce=True),
        "n_effective": pa.Column(float, pa.Check.gt(0), nullable=True, coerce=True),
    },
    checks=[
        pa.Check(_sums_to_one, name="shares of a distribution sum to 1"),
        pa.Check(lambda frame: ~(frame["n_effective"] > frame["n"] * (1 + TOLERANCE)), name="n_effective is at most n"),
        pa.Check(
            lambda frame: ~frame.duplicated([*RESPONSE_KEY, "option_index"], keep=False), name="one row an option"
        ),
        pa.Check(lambda frame: (frame["group_by"] == "") == (frame["group_value"] == ""), name="group has a value"),
    ],
    strict=True,
)
DROPPED = pa.DataFrameSchema(
    {
        "source": pa.Column(str),
        "source_question": pa.Column(object, nullable=True, coerce=True),
        "country_label": pa.Column(object, nullable=True, coerce=True),
        "action": pa.Column(str, pa.Check.isin(ACTIONS)),
        "reason": pa.Column(str, pa.Check.str_length(min_value=1)),
        "n": pa.Column(int, pa.Check.ge(1), coerce=True),
    },
    strict=True,
)


def check(data: SurveyData) -> None:
    """Raise InputError where a source's frames break a rule: how many values do, and the first of them by its question.

    All rules of a frame are evaluated before it speaks. The frames are not changed.
    """
    file = data.snapshot.file_name
    for name, schema in (("question", QUESTION), ("response", RESPONSE), ("dropped", DROPPED)):
        frame = getattr(data, name)
        try:
            schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as error:
            raise _first_of(error.failure_cases, frame, f"{file}, table survey.{name}") from error
    _check_options(data, file)


def _first_of(cases: pd.DataFrame, frame: pd.DataFrame, file: str) -> InputError:
    """One error for all broken rules: the first row that breaks one, and how many rows break each."""
    # A rule of the whole frame has a case for each column of a row, and says nothing of the column.
    whole = (cases["schema_context"] == "DataFrameSchema") & cases["index"].notna()
    cases = cases.astype({"column": object, "failure_case": object})
    cases.loc[whole, ["column", "failure_case"]] = None
    cases = pd.concat([cases[~whole], cases[whole]]).drop_duplicates(["check", "column", "index"])
    first = cases.iloc[0]
    row = None if pd.isna(first["index"]) else frame.loc[[first["index"]]].iloc[0]
    value = "" if first["failure_case"] is None else f" with {first['failure_case']!r}"
    rules = cases["check"].value_counts(sort=False)
    also = "; in all: " + ", ".join(f"{rule} ({n:,})" for rule, n in rules.items()) if len(cases) > 1 else ""
    return InputError(
        f"breaks the rule {first['check']!r}{value}{also}",
        file=file,
        row=None if row is None else int(first["index"]) + 1,
        question=None if row is None else row.get("source_question", row.get("question_id")),
        field=first["column"],
    )


def _check_options(data: SurveyData, file: str) -> None:
    """Every distribution has each option of its question once, with its text."""
    options = data.question[["question_id", "options"]].explode("options")
    options["option_index"] = options.groupby("question_id", sort=False).cumcount()
    number = data.question.set_index("question_id")["options"].map(len)
    joined = data.response.merge(options, how="left", on=["question_id", "option_index"])
    wrong = (joined["option"] != joined["options"]).to_numpy()
    size = data.response.groupby(RESPONSE_KEY, sort=False)["option_index"].transform("size").to_numpy()
    wrong |= size != data.response["question_id"].map(number).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        place = data.response.iloc[row]
        raise InputError(
            f"the answers of {place['country_label']} do not have each option of the question once",
            file=f"{file}, table survey.response", row=row + 1, question=place["question_id"], field="option",
        )  # fmt: skip
