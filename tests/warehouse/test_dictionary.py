"""The data dictionary in docs/ is what sql/ says now, and nothing in it lacks a description."""

from pathlib import Path

from opinion_assets.warehouse.dictionary import _views, data_dictionary
from opinion_assets.warehouse.schema import tables


def test_the_committed_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "warehouse.md"
    assert page.read_text(encoding="utf-8") == data_dictionary(), "run: opinion-assets dictionary docs/warehouse.md"


def test_every_view_and_view_column_has_a_comment() -> None:
    views = _views()
    assert {"run.stale", "similarity.provenance", "similarity.steerability"} <= set(views["view_name"])
    assert views[views["view_comment"].isna() | views["column_comment"].isna()].empty


def test_every_table_and_column_is_on_the_page() -> None:
    page = data_dictionary()
    for name, table in tables().items():
        section = page.split(f"### {name}\n", 1)[1].split("###", 1)[0]
        assert table.comment in section
        for column in table.columns:
            assert f"| `{column.name}` | {column.type}" in section
