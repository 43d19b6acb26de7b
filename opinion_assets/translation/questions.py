"""From questions in their source language to rows of ``translation.question``, and to localised questions for prompts.

Belongs here: which source of a translation wins, the consistency of scales, and putting rows together. Does not belong
here: the translators, checks and scores themselves.

Options are translated by the scale, once: the same set of English options has the same translations in every question.
A person's translation wins over the termbase, the termbase over a machine; don't-know and refused are fixed phrases.
"""

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from opinion_assets.errors import InputError
from opinion_assets.identity import sha256_json
from opinion_assets.translation import quality
from opinion_assets.translation.checks import Segments, check
from opinion_assets.translation.languages import base_language, direction, language_tag, script, territory_name
from opinion_assets.translation.quality import DEFAULT_THRESHOLD, Embedder
from opinion_assets.translation.termbase import ROLES, Termbase, load_termbase, normal
from opinion_assets.translation.translators import Context, Translator

#: Columns of ``translation.question``, in order.
COLUMNS = [
    "language", "question_id", "text", "options", "option_origin", "translator", "translator_version", "status",
    "translated_at", "script", "direction", "letters", "back_translator", "back_translation", "chrf",
    "embedding_similarity", "quality", "problems", "unchecked", "is_usable", "row_hash",
]  # fmt: skip
#: Columns of a person's translations (``imported``): see :func:`opinion_assets.translation.imported.read_translations`.
IMPORTED_COLUMNS = [
    "language", "question_id", "text", "options", "translator", "translator_version", "status", "translated_at",
]  # fmt: skip
_DEFAULT = object()
_NUMBER = re.compile(r"[+\-−]?\d+(?:[.,]\d+)?\s*%?")


@dataclass(frozen=True)
class SourceQuestion:
    """A question with its options in the source's order and their roles."""

    question_id: str
    language: str
    text: str
    options: tuple[str, ...]
    roles: tuple[str, ...]

    @property
    def substantive(self) -> tuple[str, ...]:
        """Options that are no don't-know or refused."""
        return tuple(option for option, role in zip(self.options, self.roles, strict=True) if role not in ROLES)

    @property
    def scale(self) -> Hashable:
        """What questions with the same substantive options share, whatever their order."""
        return (base_language(self.language), frozenset(normal(option) for option in self.substantive))


@dataclass(frozen=True)
class Draft:
    """A translation before it is scored."""

    question_id: str
    text: str
    options: tuple[str, ...]
    origins: tuple[str, ...]
    translator: str
    version: str
    status: str
    translated_at: datetime


def records(frame: pd.DataFrame) -> Iterator[Any]:
    """Rows as named tuples; typed loosely, since a frame does not know its columns."""
    return iter(frame.itertuples(index=False))


def source_questions(question: pd.DataFrame, option: pd.DataFrame) -> list[SourceQuestion]:
    """Questions of ``question.question`` and ``question.option``, one per question_id, in the frame's order.

    Raises :class:`InputError` where a question has no options or their positions have gaps.
    """
    by_id = {qid: rows.sort_values("option_index") for qid, rows in option.groupby("question_id", sort=False)}
    found: dict[str, SourceQuestion] = {}
    for row in records(question):
        if row.question_id in found:
            continue  # the same question in another source
        options = by_id.get(row.question_id)
        if options is None or list(options["option_index"]) != list(range(len(options))):
            raise InputError("options are missing or their positions have gaps", question=row.question_id)
        texts, roles = tuple(map(str, options["option"])), tuple(map(str, options["role"]))
        found[row.question_id] = SourceQuestion(row.question_id, row.language, str(row.text), texts, roles)
    return list(found.values())


def translate_questions(
    question: pd.DataFrame,
    option: pd.DataFrame,
    language: str,
    translator: Translator | None,
    back_translator: Translator | None = None,
    imported: pd.DataFrame | None = None,
    *,
    previous: pd.DataFrame | None = None,
    embedder: Embedder | object | None = _DEFAULT,
    termbase: Termbase | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    now: datetime | None = None,
) -> pd.DataFrame:
    """All questions in ``language``: a frame of ``translation.question``, one row per question_id.

    Parameters
    ----------
    question, option: frames of ``question.question`` and ``question.option``.
    translator: for what neither a person nor the termbase translated; None keeps only fully translated questions, so
        that the caller can count the rest.
    back_translator: goes from ``language`` back; None leaves the scores NULL and some checks ``unchecked``.
    imported: people's translations (``IMPORTED_COLUMNS``), other languages ignored. They always win; among them
        ``reviewed`` over ``human``. A person's options of a scale are used for every question with that scale, unless
        people disagree about it.
    previous: earlier output; a row whose content and translator did not change keeps its ``translated_at``.
    embedder: default: all-MiniLM-L6-v2 where installed; None: no embeddings.
    """
    language = language_tag(language)
    termbase = termbase if termbase is not None else load_termbase()
    now = now or datetime.now(UTC)
    sources = source_questions(question, option)
    drafts: dict[str, Draft] = {}
    for item in sources:
        if _same_language(item.language, language):
            origins = ("source",) * len(item.options)
            drafts[item.question_id] = Draft(
                item.question_id, item.text, item.options, origins, "source", "1", "source", now
            )
    by_person = _by_person(imported, language, {item.question_id: item for item in sources})
    drafts |= {qid: draft for qid, draft in by_person.items() if qid not in drafts}
    open_questions = [item for item in sources if item.question_id not in drafts]
    scales = _scales(open_questions, sources, by_person, language, translator, termbase)
    drafts |= _machine(open_questions, scales, language, translator, termbase, now)
    rows = assess(
        [drafts[item.question_id] for item in sources if item.question_id in drafts],
        sources,
        language,
        back_translator,
        embedder=embedder,
        termbase=termbase,
        threshold=threshold,
    )
    return _keep_times(rows, previous)


def _same_language(source: str, target: str) -> bool:
    return base_language(source) == base_language(target) and script(source) == script(target)


def _by_person(imported: pd.DataFrame | None, language: str, sources: Mapping[str, SourceQuestion]) -> dict[str, Draft]:
    if imported is None or imported.empty:
        return {}
    found: dict[str, Draft] = {}
    for row in records(imported):
        if language_tag(row.language) != language or row.question_id not in sources:
            continue
        if row.status not in ("human", "reviewed"):
            raise InputError(
                f"status {row.status!r}: only human or reviewed rows", question=row.question_id, field="status"
            )
        if row.question_id in found and (found[row.question_id].status == "reviewed" or row.status == "human"):
            continue  # reviewed wins over human; of equals, the first
        options = tuple(map(str, row.options))
        found[row.question_id] = Draft(
            row.question_id,
            str(row.text),
            options,
            ("human",) * len(options),
            str(row.translator),
            str(row.translator_version),
            str(row.status),
            pd.Timestamp(row.translated_at).to_pydatetime(),
        )
    return found


def _scales(
    open_questions: Sequence[SourceQuestion],
    sources: Sequence[SourceQuestion],
    by_person: Mapping[str, Draft],
    language: str,
    translator: Translator | None,
    termbase: Termbase,
) -> dict[Hashable, dict[str, tuple[str, str]]]:
    """For every scale of the open questions: normal English option -> (translation, origin)."""
    human: dict[Hashable, list[dict[str, tuple[str, str]]]] = {}
    for item in sources:
        draft = by_person.get(item.question_id)
        if draft is not None and len(draft.options) == len(item.options):
            pairs = zip(item.options, item.roles, draft.options, strict=True)
            human.setdefault(item.scale, []).append(
                {normal(source): (text, "human") for source, role, text in pairs if role not in ROLES}
            )
    scales: dict[Hashable, dict[str, tuple[str, str]]] = {}
    to_translate: list[tuple[Hashable, str, Context]] = []
    for item in open_questions:
        if item.scale in scales:
            continue
        versions = human.get(item.scale, [])
        if versions and all(version == versions[0] for version in versions):
            scales[item.scale] = versions[0]
            continue
        known = _known_options(item, language, termbase)
        scales[item.scale] = known
        siblings = tuple((text, known[normal(text)][0] if normal(text) in known else None) for text in item.substantive)
        for text in item.substantive:
            if normal(text) not in known:
                to_translate.append((item.scale, text, Context("option", siblings)))
    if to_translate and translator is not None:
        source_language = open_questions[0].language
        texts, contexts = [text for _, text, _ in to_translate], [context for _, _, context in to_translate]
        translated = translator.translate(texts, source_language, language, contexts=contexts)
        for (scale, text, _), result in zip(to_translate, translated, strict=True):
            scales[scale][normal(text)] = (result, "machine")
    return scales


def _known_options(item: SourceQuestion, language: str, termbase: Termbase) -> dict[str, tuple[str, str]]:
    """Options that need no machine: a whole scale or single phrases of the termbase, numbers, names of countries."""
    whole = termbase.scale(item.substantive, language)
    known = {}
    for index, text in enumerate(item.substantive):
        if whole is not None:
            known[normal(text)] = (whole[index], "termbase")
        elif _NUMBER.fullmatch(text.strip()):
            known[normal(text)] = (text.strip(), "number")
        elif (phrase := termbase.phrase(text, language)) is not None:
            known[normal(text)] = (phrase, "termbase")
        elif (name := territory_name(text, item.language, language)) is not None:
            known[normal(text)] = (name, "territory")
    return known


def _machine(
    open_questions: Sequence[SourceQuestion],
    scales: Mapping[Hashable, Mapping[str, tuple[str, str]]],
    language: str,
    translator: Translator | None,
    termbase: Termbase,
    now: datetime,
) -> dict[str, Draft]:
    if translator is None or not open_questions:
        return {}
    prepared: list[tuple[SourceQuestion, tuple[str, ...], tuple[str, ...]]] = []
    for item in open_questions:
        options, origins = [], []
        for text, role in zip(item.options, item.roles, strict=True):
            fixed = termbase.role(role, language) if role in ROLES else None
            if role in ROLES and fixed is None:
                # A language that the termbase does not have: the machine translates the plain English phrase.
                plain = termbase.roles[role]["en"]
                fixed = translator.translate([plain], item.language, language, contexts=[Context("option")])[0]
                options.append(fixed)
                origins.append("machine")
            elif fixed is not None:
                options.append(fixed)
                origins.append("role")
            else:
                translated, origin = scales[item.scale][normal(text)]
                options.append(translated)
                origins.append(origin)
        prepared.append((item, tuple(options), tuple(origins)))
    contexts = [Context("question", tuple(zip(item.options, options, strict=True))) for item, options, _ in prepared]
    source_language = open_questions[0].language
    if any(not _same_language(item.language, source_language) for item in open_questions):
        raise InputError("the questions are in several languages; translate one source language at a time")
    texts = translator.translate([item.text for item, _, _ in prepared], source_language, language, contexts=contexts)
    return {
        item.question_id: Draft(
            item.question_id, text, options, origins, translator.name, translator.version, "machine", now
        )
        for (item, options, origins), text in zip(prepared, texts, strict=True)
    }


# --- assessing -------------------------------------------------------------------------------------------------------


def assess(
    drafts: Sequence[Draft],
    sources: Sequence[SourceQuestion],
    language: str,
    back_translator: Translator | None,
    *,
    embedder: Embedder | object | None = _DEFAULT,
    termbase: Termbase | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> pd.DataFrame:
    """Drafts with their checks and scores: a frame of ``translation.question``. Parameters as in
    :func:`translate_questions`; ``sources`` may hold more questions than there are drafts."""
    model = quality.default_embedder() if embedder is _DEFAULT else embedder
    termbase = termbase if termbase is not None else load_termbase()
    by_id = {item.question_id: item for item in sources}
    backs = _back(drafts, by_id, language, back_translator)
    scored: list[tuple[str, str] | None] = []
    for draft in drafts:
        back = backs.get(draft.question_id)
        item = by_id[draft.question_id]
        if back is None or len(back.options) != len(item.options):
            scored.append(None)
            continue
        # Fixed options say nothing about the translator.
        own = [i for i, origin in enumerate(draft.origins) if origin in ("machine", "human")]
        scored.append(
            (
                "\n".join([back.text, *(back.options[i] for i in own)]),
                "\n".join([item.text, *(item.options[i] for i in own)]),
            )
        )
    measured = [pair for pair in scored if pair is not None]
    cosines = iter(quality.similarities(model, [b for b, _ in measured], [s for _, s in measured]))  # type: ignore[arg-type]
    inconsistent = _inconsistent(drafts, by_id)
    rows = []
    for draft, pair in zip(drafts, scored, strict=True):
        item, back = by_id[draft.question_id], backs.get(draft.question_id)
        problems: tuple[str, ...] = ()
        unchecked: tuple[str, ...] = ()
        if draft.status != "source":
            source, translation = Segments(item.text, item.options), Segments(draft.text, draft.options)
            found = check(
                source,
                translation,
                language,
                roles=item.roles,
                source_language=item.language,
                back=back if back is not None and len(back.options) == len(item.options) else None,
                termbase=termbase,
            )
            problems = tuple(
                sorted({*found.problems, *(["scale_inconsistent"] if draft.question_id in inconsistent else [])})
            )
            unchecked = found.unchecked
        chrf = quality.chrf(*pair) if pair is not None else None
        cosine = next(cosines) if pair is not None else None
        status = "human" if draft.status == "source" else draft.status
        scores = quality.score(problems, status, chrf, cosine, threshold=threshold)
        if draft.status == "machine" and scores.quality < threshold:
            problems = tuple(sorted({*problems, "low_quality"}))
        rows.append(
            {
                "language": language,
                "question_id": draft.question_id,
                "text": draft.text,
                "options": list(draft.options),
                "option_origin": list(draft.origins),
                "translator": draft.translator,
                "translator_version": draft.version,
                "status": draft.status,
                "translated_at": pd.Timestamp(draft.translated_at).tz_convert("UTC")
                if draft.translated_at.tzinfo
                else pd.Timestamp(draft.translated_at, tz="UTC"),
                "script": script(language),
                "direction": direction(language),
                "letters": "latin",
                "back_translator": f"{back_translator.name} {back_translator.version}"
                if back and back_translator
                else None,
                "back_translation": "\n".join(back.all) if back else None,
                "chrf": scores.chrf,
                "embedding_similarity": scores.embedding_similarity,
                "quality": scores.quality,
                "problems": list(problems),
                "unchecked": list(unchecked),
                "is_usable": scores.is_usable,
                "row_hash": row_hash(language, draft.question_id, draft.text, draft.options, scores.is_usable),
            }
        )
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype(
        {"chrf": "float64", "embedding_similarity": "float64", "quality": "float64", "is_usable": "bool"}
    )


def row_hash(language: str, question_id: str, text: str, options: Sequence[str], is_usable: bool) -> str:
    """16 hex digits that change exactly when what reaches a prompt changes."""
    return sha256_json([language, question_id, text, list(options), bool(is_usable)])[:16]


def _back(
    drafts: Sequence[Draft], by_id: Mapping[str, SourceQuestion], language: str, back_translator: Translator | None
) -> dict[str, Segments]:
    """Back-translations by question_id; every distinct text is translated once."""
    wanted = [draft for draft in drafts if draft.status != "source" and draft.text.strip()]
    if back_translator is None or not wanted:
        return {}
    target = by_id[wanted[0].question_id].language
    texts: dict[tuple[str, str], None] = {}
    for draft in wanted:
        texts[("question", draft.text)] = None
        for text in draft.options:
            if text.strip():
                texts[("option", text)] = None
    # A number is the same in every language.
    keys = [key for key in texts if not _NUMBER.fullmatch(key[1].strip())]
    results = back_translator.translate(
        [text for _, text in keys], language, target, contexts=[Context(kind) for kind, _ in keys]
    )
    back = {key: key[1] for key in texts} | dict(zip(keys, results, strict=True))
    return {
        draft.question_id: Segments(
            back[("question", draft.text)], tuple(back.get(("option", text), "") for text in draft.options)
        )
        for draft in wanted
    }


def _inconsistent(drafts: Sequence[Draft], by_id: Mapping[str, SourceQuestion]) -> set[str]:
    """Questions whose scale is translated otherwise than in most questions with the same scale."""
    versions: dict[Hashable, dict[Hashable, list[str]]] = {}
    for draft in drafts:
        item = by_id[draft.question_id]
        if len(draft.options) != len(item.options):
            continue
        pairs = zip(item.options, item.roles, draft.options, strict=True)
        version = frozenset((normal(source), text) for source, role, text in pairs if role not in ROLES)
        versions.setdefault(item.scale, {}).setdefault(version, []).append(draft.question_id)
    odd: set[str] = set()
    for found in versions.values():
        largest = max(len(ids) for ids in found.values())
        leaders = [ids for ids in found.values() if len(ids) == largest]
        for ids in found.values():
            if len(found) > 1 and (len(ids) < largest or len(leaders) > 1):
                odd.update(ids)
    return odd


def _keep_times(rows: pd.DataFrame, previous: pd.DataFrame | None) -> pd.DataFrame:
    if previous is None or previous.empty:
        return rows
    keys = ["language", "question_id", "translator", "translator_version", "status"]
    earlier = {
        (*(getattr(row, key) for key in keys), row.text, tuple(row.options)): row.translated_at
        for row in records(previous)
    }
    times = [
        earlier.get((*(getattr(row, key) for key in keys), row.text, tuple(row.options)), row.translated_at)
        for row in records(rows)
    ]
    return rows.assign(translated_at=times)


def drafts_of(translation: pd.DataFrame) -> list[Draft]:
    """Rows of ``translation.question`` as drafts, to assess them again."""
    return [
        Draft(
            row.question_id,
            row.text,
            tuple(row.options),
            tuple(row.option_origin),
            row.translator,
            row.translator_version,
            row.status,
            pd.Timestamp(row.translated_at).to_pydatetime(),
        )
        for row in records(translation)
    ]


# --- using translations ----------------------------------------------------------------------------------------------


def localised(
    question: pd.DataFrame, option: pd.DataFrame, translation: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``question`` and ``option`` with texts in the language of ``translation`` (one language), usable rows only.

    question_id stays the source's, so that answers join with human answers. Questions without a usable translation are
    left out; :func:`coverage` counts them. Raises :class:`InputError` for several languages or for another number of
    options.
    """
    if translation["language"].nunique() > 1:
        raise InputError(
            f"translations in {translation['language'].nunique()} languages; filter to one", field="language"
        )
    usable = translation[translation["is_usable"].astype(bool)]
    texts = {row.question_id: row for row in records(usable)}
    questions = question[question["question_id"].isin(texts.keys())].copy()
    questions["text"] = [texts[qid].text for qid in questions["question_id"]]
    questions["language"] = [texts[qid].language for qid in questions["question_id"]]
    options = option[option["question_id"].isin(questions["question_id"])].copy()
    for qid, count in options.groupby("question_id").size().items():
        if len(texts[qid].options) != count:
            raise InputError(f"{len(texts[qid].options)} translated options, {count} in the source", question=qid)
    options["option"] = [
        texts[qid].options[index] for qid, index in zip(options["question_id"], options["option_index"], strict=True)
    ]
    return questions, options


def coverage(question: pd.DataFrame, translation: pd.DataFrame) -> pd.DataFrame:
    """Per language: language, n_questions, n_translated, n_usable, n_machine, n_reviewed, n_human, problems (a dict of
    problem names to the number of rows that have them)."""
    n_questions = question["question_id"].nunique()
    rows: list[dict[str, Any]] = []
    for language, part in translation.groupby("language", sort=True):
        counts = part["problems"].explode().dropna().value_counts()
        status = part["status"].value_counts()
        rows.append(
            {
                "language": language,
                "n_questions": n_questions,
                "n_translated": len(part),
                "n_usable": int(part["is_usable"].sum()),
                "n_machine": int(status.get("machine", 0)),
                "n_reviewed": int(status.get("reviewed", 0)),
                "n_human": int(status.get("human", 0)),
                "problems": {str(name): int(count) for name, count in counts.items()},
            }
        )
    return pd.DataFrame(rows)


def with_text(draft: Draft, text: str, options: Sequence[str], translator: str, version: str, at: datetime) -> Draft:
    """A draft as a person edited it; options that the person left alone keep their origin."""
    origins = tuple(
        origin if i < len(draft.options) and option == draft.options[i] else "human"
        for i, (option, origin) in enumerate(zip(options, (*draft.origins, *["human"] * len(options)), strict=False))
    )
    return replace(
        draft,
        text=text,
        options=tuple(options),
        origins=origins,
        translator=translator,
        version=version,
        status="reviewed",
        translated_at=at,
    )
