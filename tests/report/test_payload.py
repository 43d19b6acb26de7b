"""The blocks in the page are the stored tables, to the digits that the page shows."""

import base64
import gzip
import json
import re

import numpy as np
import pytest

from opinion_assets.report.build import build_report
from opinion_assets.report.payload import MISSING, UNITS, Payload, columns_of, in_units
from opinion_assets.report.scales import diverging, metric, sequential
from opinion_assets.warehouse import tables
from tests.report.conftest import Built
from tests.report.synthetic import STAMP


@pytest.fixture(scope="module")
def blocks(built: Built) -> dict:
    pattern = r'<script type="text/plain" data-block="([^"]+)" data-kind="(\w+)">([^<]*)</script>'
    found = {}
    for name, kind, text in re.findall(pattern, built.page.read_text(encoding="utf-8")):
        raw = gzip.decompress(base64.b64decode(text))
        found[name] = json.loads(raw) if kind == "json" else np.frombuffer(raw, dtype=f"<{np.dtype(kind).str[1:]}")
    return found


def column(block: dict, name: str) -> list:
    values = block["columns"][name]
    return [values["levels"][code] for code in values["codes"]] if isinstance(values, dict) else values


def test_every_stored_similarity_is_in_the_page(built: Built, blocks: dict) -> None:
    human, questions = blocks["human"], blocks["question"]
    keys = zip(column(human, "question"), column(human, "country_label"), column(human, "wave"), strict=True)
    place = {(questions[number]["question_id"], label, wave): row for row, (number, label, wave) in enumerate(keys)}
    stored = built.query(
        "SELECT model_version, condition, metric, base, question_id, country_label, wave, value"
        " FROM similarity.question_country"
    )
    partitions = [(item["model_version"], item["condition"]) for item in blocks["meta"]["partitions"]]
    n_shown = 0
    for model, condition, name, base, question, label, wave, value in stored:
        block = blocks[f"value|{partitions.index((model, condition))}|{name}|{base}"]
        assert abs(block[place[question, label, wave]] / UNITS - value) <= 0.5 / UNITS + 1e-9
        n_shown += 1
    shown = [
        values[values != MISSING[values.dtype.name]] for name, values in blocks.items() if name.startswith("value|")
    ]
    assert sum(map(len, shown)) == n_shown > 10_000


def test_every_stored_distribution_is_in_the_page(built: Built, blocks: dict) -> None:
    for number, part in enumerate(blocks["meta"]["partitions"]):
        stored = dict(
            built.query(
                "SELECT question_id, list(probability ORDER BY option_index) FROM response.distribution"
                " WHERE model_version = ? AND condition = ? GROUP BY question_id",
                part["model_version"],
                part["condition"],
            )
        )
        expected = np.concatenate([stored[name] for name in blocks["meta"]["question_ids"]])
        assert np.abs(blocks[f"probability|{number}"] / UNITS - expected).max() <= 0.5 / UNITS + 1e-9


def test_every_prompt_and_answer_is_in_the_page(built: Built, blocks: dict) -> None:
    stored = set(built.query("SELECT model_version, condition, question_id, prompt, request_hash FROM response.answer"))
    rows = [row for name, block in blocks.items() if name.startswith("answer|") for row in block]
    keys = ("model_version", "condition", "question_id", "prompt", "request_hash")
    assert {tuple(row[key] for key in keys) for row in rows} == stored
    # What a server did not return is no number.
    assert all(row["option_logprobs"][0] is None for row in rows)


def test_the_same_warehouse_gives_the_same_page(built: Built) -> None:
    pages = []
    for name in ("a.html", "b.html"):
        with built.store.working_copy(list(tables())) as connection:
            build_report(connection, built.page.with_name(name), built=STAMP)
        pages.append(built.page.with_name(name).read_bytes())
    assert pages[0] == pages[1]


def test_a_block_that_does_not_fit_is_named() -> None:
    payload = Payload(max_bytes=1000)
    payload.add("small", [1, 2, 3])
    payload.add("large", np.random.default_rng(0).integers(0, 30_000, 5000).astype("int16"))
    payload.add("needed", list(np.random.default_rng(0).integers(0, 1000, 500).tolist()), needed=True)
    assert list(payload.blocks) == ["small", "needed"]
    assert payload.omitted == ["large"]


def test_large_values_get_more_room() -> None:
    assert in_units(np.array([-1.0, 32.0])).dtype == "int16"
    assert in_units(np.array([40.0])).tolist() == [40_000]


def test_null_and_text_columns() -> None:
    import pandas as pd

    packed = columns_of(pd.DataFrame({"a": ["y", "x", None], "b": [0.12345678, None, 1.0]}))
    assert packed["columns"]["a"] == {"levels": ["x", "y"], "codes": [1, 0, -1]}
    assert packed["columns"]["b"] == [0.123457, None, 1.0]


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.9), (0.5, 0.5), (-0.2, 0.7), (0.6101, 0.6102)])
def test_classes_hold_all_values(low: float, high: float) -> None:
    scale = sequential(low, high)
    assert scale.breaks[0] <= low <= high <= scale.breaks[-1]
    assert len(scale.breaks) == len(scale.colours) + 1 <= 10
    assert scale.colour(low) == scale.colours[0]


def test_differences_have_the_same_classes_on_both_sides() -> None:
    scale = diverging(0.08)
    assert scale.breaks == tuple(-value for value in reversed(scale.breaks))
    assert scale.colour(-1) == scale.colours[0] != scale.colour(1) == scale.colours[-1]


def test_a_metric_without_a_name_is_called_by_its_columns() -> None:
    assert metric("cosine_likeness", "2").label == "cosine likeness, base 2"
    assert metric("cosine_likeness", "2").closer == "none"
    assert metric("js_similarity", "e").closer == "higher"
