"""Figures: real files, the same each time, with the stored numbers' colours and texts as text."""

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_hex

from opinion_assets.errors import UnknownNameError
from opinion_assets.report import scales
from opinion_assets.report.figures import write_figures
from opinion_assets.warehouse import tables
from tests.report.conftest import Built
from tests.report.synthetic import MODELS


def draw(built: Built, out: Path, **more: str) -> dict[str, Path]:
    with built.store.working_copy(list(tables())) as connection:
        files = write_figures(connection, out, model_version=MODELS[0], **more)
    return {file.name.split("-")[0] + file.suffix: file for file in files}


def test_figures_are_drawn_with_texts_as_text(built: Built, tmp_path: Path) -> None:
    files = draw(built, tmp_path, compare_model=MODELS[1])
    assert set(files) == {
        f"{name}{form}" for name in ("map", "ranking", "comparison", "comparison_map") for form in (".svg", ".png")
    }
    ranking = files["ranking.svg"].read_text(encoding="utf-8")
    texts = set(re.findall(r"<text[^>]*>([^<]+)</text>", ranking))
    stored = built.query(
        "SELECT country, n_questions FROM similarity.country WHERE model_version = ? AND condition = 'default'"
        " AND metric = 'js_similarity' AND base = 'e'",
        MODELS[0],
    )
    assert {f"Country {code}{'†' if n < 30 else ''}" for code, n in stored} <= texts
    assert files["map.png"].read_bytes().startswith(b"\x89PNG")
    # 7.2 inches at 300 dots an inch.
    assert int.from_bytes(files["map.png"].read_bytes()[16:20]) == 2160


def test_countries_have_the_colour_of_their_class(built: Built, tmp_path: Path) -> None:
    svg = draw(built, tmp_path)["map.svg"].read_text(encoding="utf-8")
    means = built.query(
        "SELECT mean FROM similarity.country WHERE metric = 'js_similarity' AND base = 'e' AND model_version = ?"
        " AND condition = 'default'",
        MODELS[0],
    )
    every = built.query(
        "SELECT min(mean), max(mean) FROM similarity.country WHERE metric = 'js_similarity' AND base = 'e'"
    )
    scale = scales.sequential(*every[0])
    for (mean,) in means:
        assert f"fill: {scale.colour(mean)}" in svg


def test_the_same_tables_give_the_same_files(built: Built, tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(built, tmp_path / name, compare_condition="linguistic:es")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 8
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_unknown_names_list_what_is_stored(built: Built, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"condition 'upside_down'; there are .*linguistic:es"):
        draw(built, tmp_path, condition="upside_down")
    with pytest.raises(UnknownNameError, match=r"is not stored in similarity\.model_comparison"):
        draw(built, tmp_path, compare_model=MODELS[1], compare_condition="linguistic:es")


def test_palettes_are_matplotlibs() -> None:
    import matplotlib as mpl

    sequential = mpl.colormaps[scales.SEQUENTIAL]
    assert scales.sequential(0, 0.9).colours[0] == to_hex(sequential(0.0))
    assert [to_hex(sequential(i / 9)) for i in range(10)] == scales._SEQUENTIAL
    diverging = mpl.colormaps[scales.DIVERGING]
    assert [to_hex(diverging(i / 10)) for i in range(11)] == scales._DIVERGING


def test_lightness_orders_the_classes() -> None:
    """In grey print and with any colour-blindness the classes stay in order."""

    def light(colour: str) -> float:
        linear = [((int(colour[i : i + 2], 16) / 255 + 0.055) / 1.055) ** 2.4 for i in (1, 3, 5)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    values = [light(colour) for colour in scales.sequential(0.4, 0.75).colours]
    assert values == sorted(values)
    differences = [light(colour) for colour in scales.diverging(0.2).colours]
    assert differences[:4] == sorted(differences[:4])
    assert differences[4:] == sorted(differences[4:], reverse=True)
