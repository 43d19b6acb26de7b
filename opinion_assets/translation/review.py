"""The review queue: translations as a CSV file that a person edits, and the changes read back.

Belongs here: writing that file, checking what came back and turning it into rows. Does not belong here: storing, and
deciding which partitions a change makes stale (``row_hash`` says which rows changed).
"""

import csv
import unicodedata
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.translation.imported import all_parts, check_part, part_text, read_csv_rows
from opinion_assets.translation.quality import DEFAULT_THRESHOLD, Embedder
from opinion_assets.translation.questions import (
    _DEFAULT,
    IMPORTED_COLUMNS,
    Draft,
    assess,
    drafts_of,
    records,
    source_questions,
    with_text,
)
from opinion_assets.translation.translators import Translator

#: Columns of the file. A person edits ``translation``, or writes yes into ``accept`` beside a question, and signs.
REVIEW_COLUMNS = [
    "language", "question_id", "part", "source", "translation", "accept", "reviewer",
    "status", "quality", "problems", "back_translation", "row_hash",
]  # fmt: skip
_NEEDED = ("language", "question_id", "part", "source", "translation", "accept", "reviewer", "row_hash")


def write_review(
    path: Path, translation: pd.DataFrame, question: pd.DataFrame, option: pd.DataFrame, *, all_rows: bool = False
) -> int:
    """Writes the rows that need a person, worst first, one line a segment; returns the number of questions written.

    Default: machine rows that are not usable; ``all_rows``: every row. UTF-8 with a byte order mark, so that
    spreadsheet programs read it.
    """
    sources = {item.question_id: item for item in source_questions(question, option)}
    rows = translation if all_rows else translation[(translation["status"] == "machine") & ~translation["is_usable"]]
    rows = rows.sort_values(["quality", "language", "question_id"])
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(REVIEW_COLUMNS)
        for row in records(rows):
            item = sources[row.question_id]
            backs = row.back_translation.split("\n") if isinstance(row.back_translation, str) else []
            segments = [row.text, *row.options, *[""] * (len(item.options) - len(row.options))]
            for index, part in enumerate(all_parts(item)):
                head = index == 0
                writer.writerow(
                    [
                        row.language, row.question_id, part, part_text(item, part), segments[index], "",  "",
                        row.status if head else "", f"{row.quality:.3f}" if head else "",
                        " ".join(row.problems) if head else "",
                        backs[index] if index < len(backs) else "", row.row_hash,
                    ]
                )  # fmt: skip
    return len(rows)


def read_review(
    path: Path,
    translation: pd.DataFrame,
    question: pd.DataFrame,
    option: pd.DataFrame,
    back_translator: Translator | None = None,
    *,
    embedder: Embedder | object | None = _DEFAULT,
    threshold: float = DEFAULT_THRESHOLD,
    now: datetime | None = None,
) -> pd.DataFrame:
    """The rows of ``translation`` that the file changes, and only those: edited or accepted, checked again, reviewed.

    A row whose texts are as stored and that is not accepted does not appear. Raises :class:`InputError` that names
    file, row and field: unknown question or part, part missing or twice, empty translation, an edited source cell, no
    reviewer, another answer than yes or nothing under accept, or a row that changed since the file was written.
    """
    now = now or datetime.now(UTC)
    sources = {item.question_id: item for item in source_questions(question, option)}
    drafts: dict[tuple[str, str], tuple[Draft, str]] = {}
    for language, part in translation.groupby("language", sort=False):
        for draft, stored in zip(drafts_of(part), part["row_hash"], strict=True):
            drafts[(str(language), draft.question_id)] = (draft, stored)
    grouped: dict[tuple[str, str], dict[str, tuple[int, dict[str, str]]]] = {}
    for number, row in read_csv_rows(path, _NEEDED):
        key = (row["language"].strip(), row["question_id"].strip())
        if key not in drafts:
            raise InputError(
                f"no stored translation of question {key[1]!r} into {key[0]!r}",
                file=path,
                row=number,
                field="question_id",
            )
        item = sources[key[1]]
        name = row["part"].strip()
        check_part(path, number, name, item)
        if " ".join(row["source"].split()) != " ".join(part_text(item, name).split()):
            raise InputError("the source text was changed", file=path, row=number, question=key[1], field="source")
        if row["accept"].strip().lower() not in ("", "yes", "no"):
            raise InputError(f"{row['accept']!r} is neither yes, no nor empty", file=path, row=number, field="accept")
        parts = grouped.setdefault(key, {})
        if name in parts:
            raise InputError(f"part {name!r} stands twice", file=path, row=number, question=key[1], field="part")
        parts[name] = (number, row)
    changed: dict[str, list[Draft]] = {}
    for (language, question_id), parts in grouped.items():
        item = sources[question_id]
        draft, stored = drafts[(language, question_id)]
        first = next(iter(parts.values()))[0]
        missing = [name for name in all_parts(item) if name not in parts]
        if missing:
            raise InputError("the part is missing", file=path, row=first, question=question_id, field=missing[0])
        texts = [
            unicodedata.normalize("NFC", " ".join(parts[name][1]["translation"].split())) for name in all_parts(item)
        ]
        accepted = any(row["accept"].strip().lower() == "yes" for _, row in parts.values())
        before = [_clean(text) for text in (draft.text, *draft.options)]
        edited = texts != before
        if not edited and (not accepted or draft.status in ("reviewed", "human")):
            continue
        for name, text in zip(all_parts(item), texts, strict=True):
            if not text:
                raise InputError(
                    "the translation is empty", file=path, row=parts[name][0], question=question_id, field="translation"
                )
        if any(row["row_hash"] != stored for _, row in parts.values()):
            raise InputError(
                "the stored translation changed after this file was written; write the queue again",
                file=path,
                row=first,
                question=question_id,
                field="row_hash",
            )
        reviewers = list(dict.fromkeys(row["reviewer"].strip() for _, row in parts.values() if row["reviewer"].strip()))
        if not reviewers:
            raise InputError("who reviewed is not said", file=path, row=first, question=question_id, field="reviewer")
        version = f"{draft.translator} {draft.version}, reviewed"
        changed.setdefault(language, []).append(
            with_text(draft, texts[0], texts[1:], ", ".join(reviewers), version, now)
        )
    frames = [
        assess(found, list(sources.values()), language, back_translator, embedder=embedder, threshold=threshold)
        for language, found in changed.items()
    ]
    return pd.concat(frames, ignore_index=True) if frames else translation.iloc[:0].copy()


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split()))


def apply_review(translation: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """``translation`` with the changed rows in the place of the old ones; every other row as it was."""
    if changes.empty:
        return translation
    replacement = {(row["language"], row["question_id"]): row for row in changes.to_dict("records")}
    rows = [replacement.get((row["language"], row["question_id"]), row) for row in translation.to_dict("records")]
    return pd.DataFrame(rows, columns=translation.columns)


def as_imported(changes: pd.DataFrame) -> pd.DataFrame:
    """Reviewed rows as ``imported`` of :func:`~opinion_assets.translation.questions.translate_questions`, so that the
    next translation of the same questions keeps them."""
    return changes.loc[changes["status"].isin(["reviewed", "human"]), IMPORTED_COLUMNS].reset_index(drop=True)
