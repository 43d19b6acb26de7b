"""Clients against a real HTTP server: what is sent for each method, what is read, and what a failure says."""

import asyncio
import json
import math
from typing import Any

import pytest

from opinion_assets.errors import InputError
from opinion_assets.models.client import Reply, Request, RequestFailed, open_client, retry_after
from opinion_assets.models.registry import ModelVersion
from tests.elicitation.collector import model
from tests.elicitation.server import HttpRequest, HttpResponse, StubServer, token_logprobs

PROMPT = "Question: Is it?\n\nHere are the options:\n(A) Yes\n(B) No\n\nmy answer would be ("
MESSAGES = ({"role": "user", "content": PROMPT},)


def request(method: str, **fields: Any) -> Request:
    prompt = PROMPT if method == "completion_logprobs" else None
    return Request(method, prompt, () if prompt else MESSAGES, **fields)


def ask(version: ModelVersion, wanted: Request) -> Reply:
    async def main() -> Reply:
        async with open_client(version) as client:
            return await client.ask(wanted)

    return asyncio.run(main())


def answering(server: StubServer, response: HttpResponse) -> list[HttpRequest]:
    """Let the server give one fixed response; returns the requests that come."""
    came: list[HttpRequest] = []

    def route(wanted: HttpRequest) -> HttpResponse:
        came.append(wanted)
        return response

    server.route("POST", "/.*", route)
    return came


@pytest.mark.parametrize(
    ("provider", "method", "path", "fields"),
    [
        ("openai", "completion_logprobs", "/v1/completions", {"prompt": PROMPT, "logprobs": 7}),
        (
            "openai", "chat_logprobs", "/v1/chat/completions",
            {"messages": [*MESSAGES], "logprobs": True, "top_logprobs": 7},
        ),
        ("openai", "sampling", "/v1/chat/completions", {"messages": [*MESSAGES], "seed": 5}),
        ("anthropic", "sampling", "/v1/messages", {"messages": [*MESSAGES]}),
    ],
)  # fmt: skip
def test_what_is_sent(
    provider: str, method: str, path: str, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_API_KEY", "the-key")
    with StubServer() as server:
        came = answering(server, HttpResponse(400))
        seed = fields.get("seed")
        with pytest.raises(RequestFailed):
            ask(
                model(server.url, method, provider=provider, api_key_env="STUB_API_KEY"),
                request(method, max_tokens=3, temperature=0.5, top_logprobs=7, seed=seed),
            )
    (sent,) = came
    assert sent.path == path
    assert sent.json() == {"model": "stub", "max_tokens": 3, "temperature": 0.5} | fields
    assert sent.headers["content-type"] == "application/json"
    if provider == "anthropic":
        assert (sent.headers["x-api-key"], sent.headers["anthropic-version"]) == ("the-key", "2023-06-01")
        assert "authorization" not in sent.headers
    else:
        assert sent.headers["authorization"] == "Bearer the-key"


@pytest.mark.parametrize("method", ["completion_logprobs", "chat_logprobs"])
def test_log_probabilities_are_read(method: str) -> None:
    with StubServer() as server:
        reply = ask(model(server.url, method), request(method, max_tokens=3))
    tokens, pairs = zip(*reply.top_logprobs, strict=True)
    assert tokens[-1] == token_logprobs(PROMPT, 1)[0][0]
    assert list(pairs[-1]) == [pytest.approx(pair) for pair in token_logprobs(PROMPT, 20)]
    assert len(tokens) == (1 if method == "completion_logprobs" else 2)
    assert reply.prompt_tokens == len(PROMPT) // 4 + 1
    assert reply.model_reported == "stub"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_sampled_text_is_read(provider: str) -> None:
    with StubServer() as server:
        reply = ask(model(server.url, "sampling", provider=provider), request("sampling", max_tokens=24))
    assert reply.top_logprobs in ([], ())
    assert "A" in reply.text or "B" in reply.text
    assert reply.completion_tokens == 3


CHOICE = {"text": "A", "logprobs": {"tokens": ["A"], "top_logprobs": [{"A": -0.1, "B": -3}]}}
LLAMA = {"content": [{"token": "A", "top_logprobs": [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -3}]}]}


@pytest.mark.parametrize(
    ("reply", "prompt_tokens"),
    [
        ({"choices": [CHOICE]}, None),
        ({"choices": [CHOICE], "usage": None}, None),
        ({"choices": [CHOICE], "usage": {"prompt_tokens": 9, "completion_tokens": "?"}}, 9),
        ({"choices": [CHOICE], "usage": {"prompt_tokens": -9}}, None),
        ({"choices": [CHOICE], "usage": {"prompt_tokens": True}}, None),
        ({"choices": [CHOICE], "usage": [1]}, None),
        ({"choices": [{"logprobs": CHOICE["logprobs"]}], "model": 3}, None),  # no text
        ({"choices": [{"text": None, "logprobs": LLAMA}], "error": None}, None),  # llama.cpp's form
    ],
)
def test_an_answer_is_not_thrown_away_for_what_is_not_needed(reply: dict[str, Any], prompt_tokens: int | None) -> None:
    with StubServer() as server:
        answering(server, HttpResponse(body=json.dumps(reply).encode()))
        read = ask(model(server.url), request("completion_logprobs"))
    assert read.top_logprobs == [("A", [("A", -0.1), ("B", -3.0)])]
    assert read.prompt_tokens == prompt_tokens


def tops(value: object) -> dict[str, Any]:
    return {"choices": [{"text": "A", "logprobs": {"tokens": ["A"], "top_logprobs": [{"A": value}]}}]}


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(reply).encode()
        for reply in (
            {}, [], None, 3, "x", {"choices": []}, {"choices": [{"text": "A"}]}, {"choices": [{"logprobs": None}]},
            {"choices": [{"logprobs": {"tokens": ["A", "B"], "top_logprobs": [{}]}}]},
            {"choices": [{"logprobs": {"content": []}}]}, tops(None), tops("high"), tops(0.5), tops([1]), tops("nan"),
            {"choices": "A"}, {"choices": {"0": 1}},
        )
    ]
    + [b"", b"{", b"\xff\xfe", b"NaN", json.dumps(tops(-1)).encode()[:-1], b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_answer_is_a_failure_that_keeps_the_body(body: bytes) -> None:
    with StubServer() as server:
        answering(server, HttpResponse(body=body))
        with pytest.raises(RequestFailed) as info:
            ask(model(server.url), request("completion_logprobs"))
    failed = info.value
    assert (failed.retryable, failed.maybe_billed, failed.fatal) == (True, True, False)
    assert failed.body == body[:16_384].decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("status", "retryable", "throttled", "maybe_billed", "fatal"),
    [
        (400, False, False, False, False),
        (401, False, False, False, True),
        (403, False, False, False, True),
        (404, False, False, False, True),
        (408, True, False, True, False),
        (422, False, False, False, False),
        (429, True, True, False, False),
        (500, True, False, False, False),
        (502, True, False, True, False),
        (503, True, True, False, False),
        (504, True, False, True, False),
        (529, True, True, False, False),
    ],
)
def test_statuses(status: int, retryable: bool, throttled: bool, maybe_billed: bool, fatal: bool) -> None:
    with StubServer() as server:
        answering(server, HttpResponse(status, b'{"error": {"message": "because\\n of  that"}}', {"retry-after": "7"}))
        with pytest.raises(RequestFailed, match=f"HTTP {status}: because of that") as info:
            ask(model(server.url), request("completion_logprobs"))
    failed = info.value
    assert (failed.retryable, failed.throttled, failed.maybe_billed, failed.fatal) == (
        retryable, throttled, maybe_billed, fatal,
    )  # fmt: skip
    assert failed.retry_after == (7 if retryable else None)


def test_no_money_left_is_no_reason_to_wait() -> None:
    with StubServer() as server:
        answering(server, HttpResponse(429, b'{"error": {"message": "pay", "code": "insufficient_quota"}}'))
        with pytest.raises(RequestFailed) as info:
            ask(model(server.url), request("completion_logprobs"))
    assert (info.value.fatal, info.value.retryable) == (True, False)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        # By the server's clock, whatever ours says.
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "today"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    version = model("http://127.0.0.1:9/v1", api_key_env="STUB_API_KEY")
    monkeypatch.delenv("STUB_API_KEY", raising=False)
    with pytest.raises(InputError, match=r"STUB_API_KEY .* is not set"):
        open_client(version)
    monkeypatch.setenv("STUB_API_KEY", "with\nbreak")
    with pytest.raises(InputError, match="characters that no API key has") as info:
        open_client(version)
    assert "break" not in str(info.value)
    monkeypatch.setenv("STUB_API_KEY", "secret-of-mine")
    assert "secret-of-mine" not in repr(open_client(version))


@pytest.mark.parametrize(
    "message", ["Incorrect API key provided: sk-abc***wxyz", "Bearer abcdefgh1234", "secret-of-mine", "key_0123456789"]
)
def test_messages_are_shown_without_keys(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_API_KEY", "secret-of-mine")
    with StubServer() as server:
        answering(server, HttpResponse(401, json.dumps({"error": {"message": message}}).encode()))
        with pytest.raises(RequestFailed) as info:
            ask(model(server.url, api_key_env="STUB_API_KEY"), request("completion_logprobs"))
    assert "[key]" in info.value.reason
    for secret in ("sk-abc", "wxyz", "abcdefgh1234", "secret-of-mine", "0123456789"):
        assert secret not in info.value.reason


def test_log_probability_above_zero_by_rounding_is_zero() -> None:
    with StubServer() as server:
        answering(server, HttpResponse(body=json.dumps(tops(1e-6)).encode()))
        assert ask(model(server.url), request("completion_logprobs")).top_logprobs[0][1][0][1] == 0.0
        assert math.exp(0.0) == 1
