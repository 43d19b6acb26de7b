"""The drafted translations of the embedded questions pass every check; the language query runs on real tables."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from opinion_assets.errors import UnknownNameError
from opinion_assets.paths import sql_dir
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source
from opinion_assets.translation.languages import speaker_table
from opinion_assets.translation.questions import translate_questions
from opinion_assets.translation.translators import CatalogueTranslator


@pytest.mark.parametrize("language", ["ru", "zh", "zh-Hant", "tr", "es", "ar", "he"])
def test_every_embedded_question_is_usable(language: str, tmp_path: Path) -> None:
    data = load_source("wvs_embedded", data_dir=tmp_path)
    dataset = build(data.question, data.response)
    translator = CatalogueTranslator()
    assert all(translator.covers(text, language) for text in dataset.question["text"])
    rows = translate_questions(dataset.question, dataset.option, language, translator)
    assert [list(found) for found in rows["problems"]] == [[]] * len(rows)
    assert rows["is_usable"].all()
    assert set(rows["status"]) == {"machine"}


def test_other_texts_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="no translation into tr of 'What'"):
        CatalogueTranslator().translate(["What"], "en", "tr")


def test_the_language_view_compares_speakers_with_others_over_the_same_questions() -> None:
    def row(condition: str, question: str, country: str, value: float) -> tuple[object, ...]:
        key = ("m@1", condition, "wvs", question, "7", True, country, country, "national", "", "", "js_similarity", "e")
        return (*key, value)

    rows = [
        row("linguistic:tr", "a", "TUR", 0.8),
        row("default", "a", "TUR", 0.5),
        row("default", "b", "TUR", 0.1),  # not translated: must not enter
        row("linguistic:tr", "a", "FRA", 0.4),
        row("default", "a", "FRA", 0.5),
    ]
    with duckdb.connect(":memory:") as connection:
        for name in ("similarity", "translation"):
            connection.execute((sql_dir() / "tables" / f"{name}.sql").read_text(encoding="utf-8"))
        columns = [column[0] for column in connection.execute("SELECT * FROM similarity.question_country").description]
        connection.register("rows", pd.DataFrame(rows, columns=columns))
        connection.execute("INSERT INTO similarity.question_country SELECT * FROM rows")
        connection.register("speakers", speaker_table(["tr"]))
        connection.execute("INSERT INTO translation.speakers SELECT * FROM speakers")
        connection.execute((sql_dir() / "views" / "translation.sql").read_text(encoding="utf-8"))
        found = connection.sql("FROM similarity.language ORDER BY countries DESC").df()
    assert list(found["countries"]) == ["speakers", "others"]
    assert list(found["difference"]) == pytest.approx([0.3, -0.1])
    assert list(found["n_questions"]) == [1, 1]
