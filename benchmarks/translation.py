"""How many sabotaged translations the checks catch, and how many sound ones they refuse.

    python benchmarks/translation.py --language es --questions 150

Sound rows: real output of apertium and the termbase for the embedded questions and, where OPINION_SHARED_DATA is set,
for questions of GlobalOpinionQA. Sabotaged rows: the same rows, each spoilt in one of six ways and then back-translated
and checked like any other row. Caught: the row is not usable. Rows are rated as `machine`.
Printed against the alternative of a threshold on the back-translation's chrF alone, at the same share of false alarms.
"""

import argparse
import os
import random
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source
from opinion_assets.translation.checks import _word_lists, numbers
from opinion_assets.translation.questions import (
    Draft,
    SourceQuestion,
    assess,
    drafts_of,
    source_questions,
    translate_questions,
)
from opinion_assets.translation.termbase import ROLES
from opinion_assets.translation.translators import ApertiumTranslator


def sabotages(draft: Draft, item: SourceQuestion, other: Draft | None, rng: random.Random) -> dict[str, Draft]:
    """The row spoilt in every way that applies to it. ``other``: the same question in another language."""
    spoilt = {
        "untranslated": replace(draft, text=item.text, options=item.options),
        "untranslated question": replace(draft, text=item.text),
    }
    substantive = [i for i, role in enumerate(item.roles) if role not in ROLES]
    if len(substantive) >= 2:
        a, b = rng.sample(substantive, 2)
        options = list(draft.options)
        options[a], options[b] = options[b], options[a]
        spoilt["swapped options"] = replace(draft, options=tuple(options))
    gone = rng.randrange(len(draft.options))
    spoilt["missing option"] = replace(draft, options=draft.options[:gone] + draft.options[gone + 1 :])
    if other is not None:
        spoilt["wrong language question"] = replace(draft, text=other.text)
        spoilt["wrong language"] = replace(draft, text=other.text, options=other.options)
    found = numbers(draft.text)
    if found:
        number = f"{max(found):g}"
        if number in draft.text:
            spoilt["changed number"] = replace(draft, text=draft.text.replace(number, f"{int(float(number)) + 1}", 1))
    return spoilt


def drop_negation(draft: Draft, item: SourceQuestion, language: str) -> Draft | None:
    """The row without one segment's negating words, where source and translation have some; None otherwise."""
    lists = _word_lists()
    segments = list(zip((item.text, *item.options), (draft.text, *draft.options), ("", *item.roles), strict=True))
    for index, (source, text, role) in reversed(list(enumerate(segments))):
        if role in ROLES or not lists["en"].count(source) or not lists[language].count(text):
            continue
        for pattern in lists[language].negation:
            text = pattern.sub("", text)
        texts = [draft.text, *draft.options]
        texts[index] = " ".join(text.split())
        if texts[index]:
            return replace(draft, text=texts[0], options=tuple(texts[1:]))
    return None


def questions(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Embedded questions and n of GlobalOpinionQA, as frames of question.question and question.option."""
    shared = os.environ.get("OPINION_SHARED_DATA")
    with tempfile.TemporaryDirectory() as folder:
        datasets = [load_source("wvs_embedded", data_dir=Path(folder))]
        if shared:
            path = Path(shared) / "global_opinions.csv.gz"
            datasets.append(load_source("global_opinion_qa", data_dir=Path(folder), path=path))
    parts = []
    for data in datasets:
        built = build(data.question, data.response)
        question = built.question.drop_duplicates("question_id")
        chosen = question.sample(min(n, len(question)), random_state=seed)
        with_number = question[question["text"].str.contains(r"\d")]  # rare, and one kind of sabotage needs them
        extra = with_number.sample(min(n // 4, len(with_number)), random_state=seed)
        question = pd.concat([chosen, extra]).drop_duplicates("question_id")
        parts.append((question, built.option[built.option["question_id"].isin(question["question_id"])]))
    return pd.concat([q for q, _ in parts]), pd.concat([o for _, o in parts])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--language", default="es", choices=["es", "ca", "gl", "eo"])
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=0, help="print so many misses and false alarms")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    language = arguments.language
    question, option = questions(arguments.questions, arguments.seed)
    forward = ApertiumTranslator("en", language)
    back = forward.reverse()
    sound = translate_questions(question, option, language, forward, back)
    elsewhere = "ca" if language != "ca" else "es"
    wrong = ApertiumTranslator("en", elsewhere)
    foreign = {
        d.question_id: d for d in drafts_of(translate_questions(question, option, elsewhere, wrong, embedder=None))
    }
    sources = source_questions(question, option)
    by_id = {item.question_id: item for item in sources}
    spoilt: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts_of(sound):
        for kind, row in sabotages(draft, by_id[draft.question_id], foreign.get(draft.question_id), rng).items():
            spoilt[kind].append(row)
        dropped = drop_negation(draft, by_id[draft.question_id], language)
        if dropped is not None:
            spoilt["dropped negation"].append(dropped)
    alarms = ~sound["is_usable"]
    print(f"language {language}, {forward.name} {forward.version}")
    print(f"sound rows {len(sound)}, refused {alarms.sum()} ({alarms.mean():.1%})")
    cut = np.nanquantile(sound["chrf"], alarms.mean())
    caught_all = chrf_all = n_all = 0
    for kind, drafts in sorted(spoilt.items()):
        rows = assess(drafts, sources, language, back)
        caught = int((~rows["is_usable"]).sum())
        by_chrf = int((rows["chrf"] <= cut).sum())  # a missing option has no chrF: the alternative cannot see it
        caught_all, chrf_all, n_all = caught_all + caught, chrf_all + by_chrf, n_all + len(rows)
        print(
            f"  {kind:23} {caught:4d} of {len(rows):4d} caught ({caught / len(rows):6.1%}); "
            f"chrF alone {by_chrf / len(rows):6.1%}"
        )
        for row in rows[rows["is_usable"]].head(arguments.show).itertuples():
            print(
                "     missed:", by_id[row.question_id].text, by_id[row.question_id].options, "->", row.text, row.options
            )
    print(
        f"  {'all':23} {caught_all:4d} of {n_all:4d} caught ({caught_all / n_all:6.1%}); "
        f"chrF alone {chrf_all / n_all:6.1%}"
    )
    for row in sound[alarms].head(arguments.show).itertuples():
        print(
            "  refused:",
            row.problems,
            by_id[row.question_id].text,
            by_id[row.question_id].options,
            "->",
            row.text,
            row.options,
        )


if __name__ == "__main__":
    main()
