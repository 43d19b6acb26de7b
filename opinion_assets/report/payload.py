"""What the page carries: parts of the warehouse as compressed blocks, most wanted first, up to a size.

Always there are the questions, people's answers and the means by the first metric; then, while there is room, the
models' answers, question-level similarities by the first metric, prompts and answers, and the same by further metrics.

Numbers are stored values, rounded to the digits that the page shows (question level: three decimals, shares in tenths
of a percent) or to six decimals (means, intervals, p values); nothing is computed again. What does not fit is left out
as a whole block and named in ``Payload.omitted``: the page then says that it is in the warehouse.

Does not belong here: HTML, and what the page makes of the blocks (page/data.js reads them).
"""

import base64
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from opinion_assets.paths import sql_dir
from opinion_assets.report.scales import Scale, diverging, in_order, sequential

#: Question-level values are whole multiples of 1 / UNITS, shares of 1 / UNITS.
UNITS = 1000
MISSING = {"int16": -32768, "int32": -2147483648, "uint16": 65535}
#: Questions whose prompts and answers lie in one block; a page that opens one of them unpacks them all.
QUESTIONS_PER_BLOCK = 128
#: Characters of a model's text that are carried.
MAX_TEXT = 1500
#: Tables of means and differences, each a query of sql/report and a block for each metric.
TABLES = ("country", "comparison", "reference", "topic", "region")
# Characters of the element around a block.
_AROUND = 130
NATIONAL = ("national", "current_national")


@dataclass
class Payload:
    """Blocks by name and what was left out to keep the size.

    A block is its kind (``json``, or the type of its little-endian numbers) and its base64 of gzip.
    """

    max_bytes: int
    blocks: dict[str, tuple[str, str]] = field(default_factory=dict)
    omitted: list[str] = field(default_factory=list)

    @property
    def n_bytes(self) -> int:
        return sum(len(text) + _AROUND for _, text in self.blocks.values())

    def add(self, name: str, content: Any, *, needed: bool = False) -> None:
        """Add a block, an array of numbers or anything that JSON holds, where it is needed or there is room for it."""
        if isinstance(content, np.ndarray):
            kind, raw = content.dtype.name, content.astype(content.dtype.newbyteorder("<")).tobytes()
        else:
            kind, raw = "json", json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
        # No time in the header: the same warehouse gives the same page.
        text = base64.b64encode(gzip.compress(raw, 6, mtime=0)).decode("ascii")
        if needed or self.n_bytes + len(text) + _AROUND <= self.max_bytes:
            self.blocks[name] = (kind, text)
        else:
            self.omitted.append(name)


def read_sql(name: str) -> str:
    """Text of a file under sql/report."""
    return (sql_dir() / "report" / f"{name}.sql").read_text(encoding="utf-8")


def rows(connection: duckdb.DuckDBPyConnection, name: str, **values: str) -> list[dict[str, Any]]:
    """The rows of a query of sql/report, NaN and infinities as None."""
    result = connection.execute(read_sql(name), values or None)
    columns = [column[0] for column in result.description or []]
    return [dict(zip(columns, map(_plain, row), strict=True)) for row in result.fetchall()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return [_plain(item) for item in value] if isinstance(value, list) else value


def columns_of(frame: pd.DataFrame) -> dict[str, Any]:
    """A frame by columns for JSON: texts as ``levels`` and ``codes``, numbers rounded to six decimals, NULL as null."""
    packed: dict[str, Any] = {}
    for name, values in frame.items():
        if values.dtype == object or isinstance(values.dtype, pd.StringDtype):
            codes, levels = pd.factorize(values, sort=True)
            packed[str(name)] = {"levels": levels.tolist(), "codes": codes.tolist()}
        else:
            numbers = values.round(6) if values.dtype.kind == "f" else values
            packed[str(name)] = [None if pd.isna(value) else value for value in numbers.tolist()]
    return {"n": len(frame), "columns": packed}


def in_units(values: np.ndarray) -> np.ndarray:
    """Whole multiples of 1 / UNITS nearest to the values, in the smaller of int16 and int32 that holds them."""
    units = np.rint(np.asarray(values, dtype=float) * UNITS)
    return units.astype("int16" if np.abs(units).max(initial=0) < -MISSING["int16"] else "int32")


def collect(connection: duckdb.DuckDBPyConnection, max_bytes: int, about: Mapping[str, Any]) -> Payload:
    """All blocks. ``meta`` says what there is, together with what the caller wants to say ``about`` the page."""
    payload = Payload(max_bytes)
    frames = {name: connection.execute(read_sql(name)).df() for name in TABLES}
    country, comparison = frames["country"], frames["comparison"]
    partitions = rows(connection, "partition")
    named = in_order(set(zip(country["metric"], country["base"], strict=True)))
    questions = rows(connection, "question")
    # The questions of the model's blocks: each once, though two sources may have it.
    ids = list(dict.fromkeys(row["question_id"] for row in questions))
    meta = {
        **about,
        "question_ids": ids,
        "sources": rows(connection, "snapshot"),
        "partitions": partitions,
        "metrics": [item.__dict__ for item in named],
        "countries": {row["country"]: [row["name"], row["region"]] for row in rows(connection, "country_name")},
        "lineage": rows(connection, "lineage"),
        "scales": _scales(country, comparison),
        "units": UNITS,
        "questions_per_block": QUESTIONS_PER_BLOCK,
        "sql": {name: read_sql(f"number/{name}") for name in (*TABLES, "question_country")},
    }
    payload.add("meta", meta, needed=True)
    first = [(item.metric, item.base) for item in named[:1]]
    rest = [(item.metric, item.base) for item in named[1:]]

    def add_tables(metrics: list[tuple[str, str]], *, needed: bool = False) -> None:
        for metric, base in metrics:
            for name, frame in frames.items():
                here = frame[(frame["metric"] == metric) & (frame["base"] == base)].drop(columns=["metric", "base"])
                if len(here):
                    payload.add(f"{name}|{metric}|{base}", columns_of(here), needed=needed and name == "country")

    add_tables(first, needed=True)
    human = connection.execute(read_sql("human")).df()
    place = {(row["source"], row["question_id"]): number for number, row in enumerate(questions)}
    payload.add("question", questions, needed=True)
    share = human.pop("share")
    human["question"] = [place[key] for key in zip(human["source"], human["question_id"], strict=True)]
    payload.add("human", columns_of(human.drop(columns=["place", "source", "question_id"])), needed=True)
    shares = np.concatenate([_shares(item) for item in share]) if len(share) else np.empty(0, dtype="uint16")
    payload.add("share", shares, needed=True)
    sizes = {row["question_id"]: len(row["options"]) for row in questions}
    for number, partition in enumerate(partitions):
        _add_distribution(payload, connection, number, partition, ids, sizes)
    values = [_values(connection, partition, len(human)) for partition in partitions]

    def add_values(metrics: list[tuple[str, str]]) -> None:
        for number, found in enumerate(values):
            for key in metrics:
                if key in found:
                    payload.add(f"value|{number}|{'|'.join(key)}", found[key])

    add_values(first)
    for number, block in _answers(connection, ids):
        payload.add(f"answer|{number}", block)
    add_tables(rest)
    add_values(rest)
    payload.add("omitted", payload.omitted, needed=True)
    return payload


def _key(partition: Mapping[str, Any]) -> dict[str, str]:
    return {name: partition[name] for name in ("model_version", "condition")}


def _scales(country: pd.DataFrame, comparison: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour classes by ``source|metric|base``, one for all models and conditions, so that maps can be compared."""
    scales: dict[str, dict[str, Any]] = {}
    for key, scale in map_scales(country).items():
        scales.setdefault("|".join(key), {})["values"] = scale.as_dict()
    for key, scale in difference_scales(comparison).items():
        scales.setdefault("|".join(key), {})["differences"] = scale.as_dict()
    return scales


def map_scales(country: pd.DataFrame) -> dict[tuple[str, str, str], Scale]:
    """Sequential classes over the means of a source's countries by (source, metric, base)."""
    national = country[country["sample_type"].isin(NATIONAL) & (country["group_by"] == "")]
    return {
        (str(source), str(metric), str(base)): sequential(float(values.min()), float(values.max()))
        for (source, metric, base), values in national.groupby(["source", "metric", "base"])["mean"]
    }


def difference_scales(comparison: pd.DataFrame) -> dict[tuple[str, str, str], Scale]:
    """Diverging classes by (source, metric, base) that hold 98 % of the national samples' differences."""
    national = comparison[comparison["sample_type"].isin(NATIONAL)]
    return {
        (str(source), str(metric), str(base)): diverging(float(values.abs().quantile(0.98)))
        for (source, metric, base), values in national.groupby(["source", "metric", "base"])["difference"]
    }


def _shares(share: Any) -> np.ndarray:
    return np.rint(np.asarray(share, dtype=float) * UNITS).astype("uint16")


def _add_distribution(
    payload: Payload,
    connection: duckdb.DuckDBPyConnection,
    number: int,
    partition: Mapping[str, Any],
    ids: list[str],
    sizes: Mapping[str, int],
) -> None:
    given = {row["question_id"]: row for row in rows(connection, "distribution", **_key(partition))}
    nothing = {size: np.full(size, MISSING["uint16"], dtype="uint16") for size in set(sizes.values())}
    probability = [_shares(given[name]["probability"]) if name in given else nothing[sizes[name]] for name in ids]
    payload.add(f"probability|{number}", np.concatenate(probability) if ids else np.empty(0, dtype="uint16"))
    about = ["n_orders", "n_answers", "n_invalid", "letter_mass", "order_effect"]
    frame = pd.DataFrame([{name: given.get(item, {}).get(name) for name in about} for item in ids], columns=about)
    payload.add(f"quality|{number}", columns_of(frame.astype(float)))


def _values(
    connection: duckdb.DuckDBPyConnection, partition: Mapping[str, Any], n_human: int
) -> dict[tuple[str, str], np.ndarray]:
    """Similarities of one partition by metric and base, in the order of the human distributions, in units."""
    values = {}
    for row in connection.execute(read_sql("value"), _key(partition)).df().itertuples(index=False):
        units = in_units(np.asarray(row.value))
        everywhere = np.full(n_human, MISSING[units.dtype.name], dtype=units.dtype)
        everywhere[np.asarray(row.place)] = units
        values[str(row.metric), str(row.base)] = everywhere
    return values


def _answers(connection: duckdb.DuckDBPyConnection, ids: list[str]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Blocks of one answer to each question under each condition, similar prompts side by side."""
    by_question: dict[str, list[dict[str, Any]]] = {}
    for row in rows(connection, "answer"):
        text = row["raw_text"]
        if text is not None and len(text) > MAX_TEXT:
            row["raw_text"] = f"{text[:MAX_TEXT]} … ({len(text):,} characters; the query gives all)"
        if row["option_logprobs"] is not None:
            row["option_logprobs"] = [None if value is None else round(value, 5) for value in row["option_logprobs"]]
        by_question.setdefault(row["question_id"], []).append(row)
    for start in range(0, len(ids), QUESTIONS_PER_BLOCK):
        found = [row for name in ids[start : start + QUESTIONS_PER_BLOCK] for row in by_question.get(name, [])]
        yield start // QUESTIONS_PER_BLOCK, found
