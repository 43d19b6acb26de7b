"""People's translations from files: CSV, XLIFF 1.2 and XLIFF 2.x; and the XLIFF file to send to a translator.

Belongs here: the file formats and their errors. Does not belong here: which translation wins (``questions``).

Both formats hold one segment a row or unit: ``part`` is ``question`` or ``option N`` (N from 0, the source's order).
"""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import defusedxml.ElementTree
import pandas as pd
from defusedxml.common import DefusedXmlException

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.translation.languages import language_tag
from opinion_assets.translation.questions import IMPORTED_COLUMNS, SourceQuestion, source_questions
from opinion_assets.translation.termbase import ROLES, load_termbase

_XLIFF_12 = "urn:oasis:names:tc:xliff:document:1.2"
_PART = re.compile(r"question|option (0|[1-9]\d*)")
_CSV_NEEDED = ("language", "question_id", "part", "translation")


@dataclass(frozen=True)
class Segment:
    """One translated segment of a file; ``row`` says where it stands."""

    row: str
    language: str
    question_id: str
    part: str
    source: str | None
    translation: str
    translator: str | None = None


def read_translations(
    path: Path,
    question: pd.DataFrame,
    option: pd.DataFrame,
    *,
    translator: str | None = None,
    version: str = "1",
    now: datetime | None = None,
) -> pd.DataFrame:
    """Human translations of a ``.csv``, ``.xlf`` or ``.xliff`` file: a frame with ``IMPORTED_COLUMNS``, status human.

    CSV (UTF-8): columns language, question_id, part, translation; optional source and translator. XLIFF: units with
    the id ``<question_id>/<part>``; the target language is the file's. ``translator``: the person's name, needed where
    the file does not say. A question whose segments are all empty is not translated yet and is left out; don't-know and
    refused options may be left out. Raises :class:`InputError` that names file, row and field: unknown question or
    part, a part missing or given twice, a source text that is not ours (the file is of an older wording).
    """
    sources = {item.question_id: item for item in source_questions(question, option)}
    if path.suffix.lower() == ".csv":
        segments = _csv_segments(path)
    elif path.suffix.lower() in (".xlf", ".xliff"):
        segments = _xliff_segments(path)
    else:
        raise InputError("translations come as .csv, .xlf or .xliff", file=path)
    grouped: dict[tuple[str, str], dict[str, Segment]] = {}
    for segment in segments:
        item = sources.get(segment.question_id)
        if item is None:
            raise InputError(
                f"unknown question {segment.question_id!r}", file=path, row=segment.row, field="question_id"
            )
        check_part(path, segment.row, segment.part, item)
        if segment.source is not None and not _same_text(segment.source, part_text(item, segment.part)):
            raise InputError(
                "the source text is not the question's; the file is of another wording",
                file=path,
                row=segment.row,
                field="source",
            )
        parts = grouped.setdefault((_tag(path, segment), segment.question_id), {})
        if segment.part in parts:
            raise InputError(f"part {segment.part!r} stands twice", file=path, row=segment.row, field="part")
        parts[segment.part] = segment
    rows = []
    for (language, question_id), parts in grouped.items():
        if any(segment.translation.strip() for segment in parts.values()):
            rows.append(
                _row(path, language, sources[question_id], parts, translator, version, now or datetime.now(UTC))
            )
    return pd.DataFrame(rows, columns=IMPORTED_COLUMNS)


def _row(
    path: Path,
    language: str,
    item: SourceQuestion,
    parts: Mapping[str, Segment],
    translator: str | None,
    version: str,
    now: datetime,
) -> dict[str, object]:
    texts = {}
    for part in all_parts(item):
        segment = parts.get(part)
        if segment is not None and segment.translation.strip():
            texts[part] = segment.translation.strip()
            continue
        role = item.roles[int(part.split()[1])] if part != "question" else ""
        fixed = load_termbase().role(role, language) if role in ROLES else None
        if fixed is None:
            row = segment.row if segment is not None else next(iter(parts.values())).row
            raise InputError(
                f"{part} has no translation", file=path, row=row, question=item.question_id, field="translation"
            )
        texts[part] = fixed
    name = translator or next((segment.translator for segment in parts.values() if segment.translator), None)
    if name is None:
        raise InputError("who translated is not said", file=path, row=parts["question"].row, field="translator")
    options = [text for part, text in texts.items() if part != "question"]
    values = [language, item.question_id, texts["question"], options, name, version, "human", pd.Timestamp(now)]
    return dict(zip(IMPORTED_COLUMNS, values, strict=True))


def all_parts(item: SourceQuestion) -> list[str]:
    """``question``, ``option 0``, ``option 1``, …"""
    return ["question", *(f"option {index}" for index in range(len(item.options)))]


def part_text(item: SourceQuestion, part: str) -> str:
    """Source text of a part."""
    return item.text if part == "question" else item.options[int(part.split()[1])]


def check_part(path: Path, row: object, part: str, item: SourceQuestion) -> None:
    """:class:`InputError` unless the question has that part."""
    if not _PART.fullmatch(part) or (part != "question" and int(part.split()[1]) >= len(item.options)):
        raise InputError(
            f"unknown part {part!r}; the question has question and option 0 to option {len(item.options) - 1}",
            file=path,
            row=row,
            field="part",
        )


def read_csv_rows(path: Path, needed: Iterable[str]) -> list[tuple[int, dict[str, str]]]:
    """Rows of a UTF-8 CSV file (with or without byte order mark) with their number, 1 for the first below the header.

    Raises :class:`InputError` for a missing column, a row of another length and bytes that are not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError(f"is not UTF-8 text (byte {error.start}); save it as CSV UTF-8", file=path) from None
    first = text.split("\n", 1)[0]
    reader = csv.DictReader(
        text.splitlines(keepends=True), delimiter=";" if first.count(";") > first.count(",") else ","
    )
    for column in needed:
        if column not in (reader.fieldnames or []):
            raise InputError("the column is missing", file=path, field=column)
    rows = []
    for number, row in enumerate(reader, start=1):
        if None in row or None in row.values():
            raise InputError("the row has another number of fields than the header", file=path, row=number)
        rows.append((number, row))
    return rows


def _csv_segments(path: Path) -> list[Segment]:
    return [
        Segment(
            str(number),
            row["language"].strip(),
            row["question_id"].strip(),
            row["part"].strip(),
            row.get("source") or None,
            row["translation"],
            (row.get("translator") or "").strip() or None,
        )
        for number, row in read_csv_rows(path, _CSV_NEEDED)
    ]


def _xliff_segments(path: Path) -> list[Segment]:
    try:
        # defusedxml refuses entity definitions and external references: the file comes from outside.
        root = defusedxml.ElementTree.parse(path, forbid_dtd=True).getroot()
    except OSError as error:
        raise InputError(f"cannot read: {error.strerror}", file=path) from None
    except ElementTree.ParseError as error:
        raise InputError(f"is not well-formed XML: {error}", file=path, row=error.position[0]) from None
    except DefusedXmlException:
        raise InputError("XML with a document type or entities is refused", file=path) from None
    namespace, _, name = root.tag.rpartition("}")
    if name != "xliff" or not namespace.startswith("{urn:oasis:names:tc:xliff:document:"):
        raise InputError("is not an XLIFF 1.2 or 2.x file", file=path)
    ns = {"x": namespace[1:]}
    found = []
    if namespace[1:] == _XLIFF_12:
        for file in root.iterfind("x:file", ns):
            language = file.get("target-language") or ""
            for unit in file.iterfind(".//x:trans-unit", ns):
                found.append(_unit(path, unit, language, [unit], ns))
    else:
        language = root.get("trgLang") or ""
        for unit in root.iterfind(".//x:unit", ns):
            found.append(_unit(path, unit, language, unit.findall("x:segment", ns), ns))
    return found


def _unit(
    path: Path, unit: ElementTree.Element, language: str, segments: list[ElementTree.Element], ns: dict[str, str]
) -> Segment:
    question_id, _, part = (unit.get("id") or "").partition("/")
    if not language:
        raise InputError("the file does not say its target language", file=path, field="target-language")

    def text(name: str) -> str:
        elements = [segment.find(f"x:{name}", ns) for segment in segments]
        return " ".join("".join(element.itertext()) for element in elements if element is not None).strip()

    return Segment(f"unit {unit.get('id')!r}", language, question_id, part, text("source") or None, text("target"))


def write_xliff(path: Path, language: str, question: pd.DataFrame, option: pd.DataFrame) -> None:
    """XLIFF 1.2 with every question and option to translate into ``language``, for a translator's own tool."""
    sources = source_questions(question, option)
    ElementTree.register_namespace("", _XLIFF_12)
    root = ElementTree.Element(f"{{{_XLIFF_12}}}xliff", {"version": "1.2"})
    attributes = {
        "original": "question",
        "datatype": "plaintext",
        "source-language": sources[0].language if sources else "en",
        "target-language": language_tag(language),
    }
    body = ElementTree.SubElement(
        ElementTree.SubElement(root, f"{{{_XLIFF_12}}}file", attributes), f"{{{_XLIFF_12}}}body"
    )
    for item in sources:
        for part in all_parts(item):
            unit = ElementTree.SubElement(body, f"{{{_XLIFF_12}}}trans-unit", {"id": f"{item.question_id}/{part}"})
            ElementTree.SubElement(unit, f"{{{_XLIFF_12}}}source").text = part_text(item, part)
            ElementTree.SubElement(unit, f"{{{_XLIFF_12}}}target")
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _tag(path: Path, segment: Segment) -> str:
    try:
        return language_tag(segment.language)
    except UnknownNameError as error:
        raise InputError(str(error), file=path, row=segment.row, field="language") from None


def _same_text(first: str, second: str) -> bool:
    return " ".join(first.split()) == " ".join(second.split())
