"""The schema registry is what the SQL files say, and frames that do not fit it are refused with the place named."""

import pandas as pd
import pytest

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.warehouse import schema, table, tables


def country_frame(**changes: object) -> pd.DataFrame:
    row = {
        "country_label": "Turkey",
        "country": "TUR",
        "sample_type": "national",
        "name": "Turkey",
        "alpha_2": "TR",
        "region": "Western Asia",
        "mapped_by": "reviewed",
        "reason": "exact name",
    }
    return pd.DataFrame([row, row | {"country_label": "Türkiye"} | changes])


def test_every_table_and_column_has_a_comment() -> None:
    silent = [name for name, item in tables().items() if not item.comment]
    silent += [
        f"{name}.{column.name}" for name, item in tables().items() for column in item.columns if not column.comment
    ]
    assert silent == []


def test_tables_are_named_as_their_files() -> None:
    files = {path.stem for path in schema._scripts("tables")}
    assert {name.split(".")[0] for name in tables()} == files


def test_frame_takes_the_order_and_types_of_the_table() -> None:
    frame = country_frame()[list(reversed(country_frame().columns))]
    assert schema.to_arrow("question.country", frame).schema == table("question.country").arrow_schema


def test_null_in_a_not_null_column_names_row_and_field() -> None:
    with pytest.raises(InputError, match=r"table question\.country, row 1, field 'country': NULL"):
        schema.to_arrow("question.country", country_frame(country=None))


def test_null_is_kept_where_it_is_allowed() -> None:
    assert schema.to_arrow("question.country", country_frame(alpha_2=None)).column("alpha_2").to_pylist() == [
        "TR",
        None,
    ]


def test_missing_and_unexpected_columns_are_named() -> None:
    frame = country_frame().drop(columns="region").assign(colour="red")
    with pytest.raises(InputError, match="column region is missing; column colour is not in sql/tables"):
        schema.to_arrow("question.country", frame)


def test_a_value_of_another_type_is_refused() -> None:
    frame = pd.DataFrame(
        [{"question_id": "q", "option_index": "first", "option": "Yes", "role": "substantive", "ordinal_value": 0.0}]
    )
    with pytest.raises(InputError, match=r"field 'option_index': does not fit INTEGER"):
        schema.to_arrow("question.option", frame)


def test_check_constraints_speak_before_anything_is_stored() -> None:
    frame = pd.DataFrame(
        [{"question_id": "q", "option_index": 0, "option": "Yes", "role": "best", "ordinal_value": 0.0}]
    )
    with pytest.raises(InputError, match="CHECK constraint"):
        schema.to_arrow("question.option", frame)


def test_unknown_table() -> None:
    with pytest.raises(UnknownNameError, match=r"no table 'question\.planet'"):
        table("question.planet")
