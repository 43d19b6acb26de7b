"""Users' CSV and YAML files, read strictly: what the formats let pass silently is an error that names file and row.

A row with another number of fields, a column or key that stands twice, bytes that are not UTF-8, YAML aliases. Does not
belong here: what the fields of a file mean (the module of its source).
"""

import csv
import gzip
import io
import re
import zlib
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import yaml

from opinion_assets.errors import InputError


def read_csv(content: bytes, name: str, *, as_text: bool = False) -> pd.DataFrame:
    """A .csv or .csv.gz file in UTF-8, with or without a byte order mark, comma-separated, with a header.

    ``as_text`` keeps every value as it is written, '' for an empty one; otherwise a column whose values are all numbers
    becomes one of numbers, and empty values are missing. Raises InputError, naming file, row and field.
    """
    if name.lower().endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"cannot be read as gzip, is cut off or damaged: {error}", file=name) from error
    text = _decode(content, name)
    if not text.strip():
        raise InputError("is empty", file=name)
    if "\0" in text:
        raise InputError("holds a NUL character", file=name, row=text.count("\n", 0, text.index("\0")))
    try:
        header = next(row for row in csv.reader(io.StringIO(text)) if row)  # blank lines are skipped, as Arrow does
    except csv.Error as error:
        raise InputError(f"has a malformed header: {error}", file=name, row=0) from error
    for number, column in enumerate(header, start=1):
        if not column.strip():
            raise InputError(f"column {number} has no name", file=name, row=0)
        if column in header[: number - 1]:
            raise InputError("column stands twice", file=name, row=0, field=column)
    if text.count('"') % 2:  # Arrow would take the rest of the file for the value of a quotation mark never closed
        reader = csv.reader(io.StringIO(text), strict=True)
        try:
            for _ in reader:
                pass
        except csv.Error as error:
            raise InputError(f"is cut off or malformed: {error}", file=name, row=reader.line_num - 1) from error
    data = text.encode()
    types = dict.fromkeys(header, pa.string()) if as_text else None
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            # One block, so that a column's type follows from all its values.
            read_options=pa_csv.ReadOptions(block_size=len(data) + 1, use_threads=False),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=types, strings_can_be_null=not as_text),
        )
    except pa.ArrowInvalid as error:
        row = re.search(r"Row #(\d+)", str(error))
        problem = re.sub(r".*?(Expected \d+ columns, got \d+).*", r"\1", str(error).splitlines()[0])
        raise InputError(f"cannot be read: {problem}", file=name, row=int(row[1]) - 1 if row else None) from error
    return table.to_pandas()


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start)
        raise InputError(f"is not UTF-8: byte 0x{content[error.start]:02x}", file=name, row=row) from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses aliases and repeated keys, naming the line."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(
                None, None, "anchors and aliases (& and *) are not read", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                repeated = key in seen
            except TypeError:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain value", key_node.start_mark
                ) from None
            if repeated:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(content: bytes, name: str) -> Any:
    """The content of a YAML file in UTF-8, with or without a byte order mark.

    Raises InputError naming file and line where it is not, nests too deeply, uses aliases or tags, or repeats a key.
    """
    try:
        return yaml.load(_decode(content, name), Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        row = mark.line + 1 if mark else None
        raise InputError(
            f"is not YAML as it is read here: {error.problem or error.context}", file=name, row=row
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = "nests too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0]
        raise InputError(f"is not YAML as it is read here: {problem}", file=name) from error
