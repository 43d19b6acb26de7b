"""A real HTTP server on loopback that speaks the providers' protocols, counts what it is asked and injects faults.

Belongs here: OpenAI completions and chat completions, Anthropic messages, seeded faults and the server's own account
of requests and money. Further endpoints come in through :meth:`StubServer.route`. Does not belong here: anything from
``opinion_assets``: the server must not share the client's mistakes.

In a test the server runs in a thread (``with StubServer(...) as server``); ``python -m tests.elicitation.server``
runs it as a process of its own, which prints its base URL, serves its account at ``GET /account`` and ends when its
standard input closes.
"""

import argparse
import asyncio
import dataclasses
import datetime
import email.utils
import hashlib
import json
import math
import random
import re
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

#: Faults, and whether the work was done, and so charged, although the client may get nothing for it.
FAULTS: dict[str, bool] = {
    "429": False,  # Retry-After in seconds
    "429_date": False,  # Retry-After as a date
    "500": False,
    "502": True,  # a gateway lost the reply
    "503": False,
    "529": False,
    "400": False,
    "401": False,  # repeats the key that was sent in its message
    "drop": True,  # the connection closes before the first byte of the reply
    "drop_in_body": True,  # … after the headers and half of the body
    "slow": True,  # the body trickles, a byte every `trickle_s`, and never ends
    "truncated": True,  # half of the JSON, as a whole HTTP message
    "html": True,
    "wrong_json": True,  # a JSON list
    "error_200": True,  # an error message with status 200
    "missing": True,  # a JSON object without the expected fields
    "empty": True,  # no choices
    "nan": True,  # log-probabilities that are none
}
_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 529: "Overloaded",
}  # fmt: skip
_OPTION = re.compile(r"^\(([A-Z])\) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Behaviour:
    """How the server behaves. ``faults``: probability of each fault; rates are per request, decided by ``seed``, the
    request's content and how often that content came before, so never by timing.

    ``position_bias``: weight of each further position over the one before it; ``invalid``: share of sampled replies
    that name no option; ``concurrent``: how many requests under way it takes, more get 429; ``usd_per_token``: what it
    charges.
    ``token_factor`` multiplies the tokens it reports and charges. ``echo``: it repeats the API key wherever it can.
    """

    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    latency_s: float = 0.0
    retry_after_s: float = 0.05
    trickle_s: float = 0.01
    position_bias: float = 1.0
    invalid: float = 0.0
    concurrent: int | None = None
    usd_per_token: float = 1e-6
    token_factor: float = 1.0
    echo: bool = False
    log_requests: bool = True

    def __post_init__(self) -> None:
        unknown = set(self.faults) - set(FAULTS)
        if unknown or sum(self.faults.values()) > 1:
            raise ValueError(f"faults {sorted(unknown)} are unknown or the rates sum to more than 1")


@dataclass
class HttpRequest:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpResponse:
    """What a route answers. Status 0 drops the connection; ``cut`` sends only so much of the body, then drops it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class Seen:
    """One request in the server's account; times are ``time.monotonic()``."""

    content: str
    path: str
    started: float
    fault: str | None
    usd: float
    #: When the whole reply had been handed to the kernel; None while, and where, that did not happen.
    ended: float | None = None
    #: Whether the client could make an answer of it.
    good: bool = False


Route = Callable[[HttpRequest], HttpResponse]


def content_of(body: bytes) -> str:
    """The name under which a request is counted: the hash of its body."""
    return hashlib.sha256(body).hexdigest()[:16]


class StubServer:
    """The server; a context manager. ``url`` is the base URL up to and including /v1."""

    def __init__(self, behaviour: Behaviour | None = None, **changes: Any) -> None:
        self.behaviour = dataclasses.replace(behaviour or Behaviour(), **changes)
        self.seen: list[Seen] = []
        self.counts: Counter[str] = Counter()  # content -> requests
        self.n_requests = 0
        self.usd = 0.0
        self.in_flight = 0
        self.most_in_flight = 0
        self.url = ""
        self._routes: list[tuple[str, re.Pattern[str], Route]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._connections: set[_Connection] = set()
        self.route("GET", r"/account", lambda request: HttpResponse(body=json.dumps(self.account()).encode()))

    def route(self, method: str, pattern: str, handler: Route) -> None:
        """Answer requests whose path matches ``pattern`` by ``handler``; they are not counted and get no faults."""
        self._routes.append((method, re.compile(pattern), handler))

    def account(self) -> dict[str, Any]:
        """The account as plain values."""
        return {"n_requests": self.n_requests, "usd": self.usd, "most_in_flight": self.most_in_flight}

    async def listen(self, port: int = 0) -> asyncio.Server:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    def __enter__(self) -> Self:
        ready = threading.Event()

        def run() -> None:
            async def serve() -> None:
                self._stop = asyncio.Event()
                server = await self.listen()
                ready.set()
                await self._stop.wait()
                server.close()
                for connection in list(self._connections):
                    connection.transport.abort()

            asyncio.run(serve())

        self._thread = threading.Thread(target=run, name="stub-server", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    # what is answered

    def route_for(self, request: HttpRequest) -> Route | None:
        for method, pattern, handler in self._routes:
            if method == request.method and pattern.fullmatch(request.path):
                return handler
        return None

    def decide(self, request: HttpRequest) -> tuple[Seen, HttpResponse]:
        """Count a request to a model and decide what comes back."""
        behaviour = self.behaviour
        content = content_of(request.body)
        nth = self.counts[content]
        self.counts[content] += 1
        self.n_requests += 1
        now = time.monotonic()
        fault = None
        if behaviour.faults:
            draw = random.Random(f"{behaviour.seed}:{content}:{nth}").random()
            for name, rate in behaviour.faults.items():
                draw -= rate
                if draw < 0:
                    fault = name
                    break
        if behaviour.concurrent is not None and self.in_flight > behaviour.concurrent:
            fault = "429"
        answered = answer(request, behaviour, nth)
        charged = FAULTS[fault] if fault is not None else answered.status == 200
        usd = _tokens(answered) * behaviour.usd_per_token if charged else 0.0
        self.usd += usd
        response = answered if fault is None else _faulty(fault, request, answered, behaviour)
        if behaviour.echo:
            response = _echoing(request, response)
        # A reply without log-probabilities cannot have wrong ones.
        good = response.status == 200 and (fault is None or (fault == "nan" and response.body == answered.body))
        seen = Seen(content, request.path, now, fault, usd, good=good)
        if behaviour.log_requests:
            self.seen.append(seen)
        return seen, response


class _Connection(asyncio.Protocol):
    """HTTP/1.1 over one connection, requests one after the other."""

    transport: asyncio.Transport

    def __init__(self, server: StubServer) -> None:
        self.server = server
        self.buffer = b""
        self.open = True
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.server._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        self.server._connections.discard(self)
        if self.busy:
            self._leave()

    def _leave(self) -> None:
        self.busy = False
        self.server.in_flight -= 1

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head_end = self.buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        first, *lines = self.buffer[:head_end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(self.buffer) < head_end + 4 + size:
            return
        body = self.buffer[head_end + 4 : head_end + 4 + size]
        self.buffer = self.buffer[head_end + 4 + size :]
        method, path, _ = first.split(" ", 2)
        self._handle(HttpRequest(method, path, headers, body))

    def _handle(self, request: HttpRequest) -> None:
        server = self.server
        handler = server.route_for(request)
        if handler is not None:
            response = handler(request)
            if response.status == 0:
                self.transport.abort()
                return
            whole = _encode(response)
            self.transport.write(
                whole if response.cut is None else whole[: len(whole) - len(response.body) + response.cut]
            )
            if response.cut is not None:
                self.transport.close()
            return
        self.busy = True
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        seen, response = server.decide(request)
        if server.behaviour.latency_s:
            assert server._loop is not None
            server._loop.call_later(server.behaviour.latency_s, self._respond, seen, response)
        else:
            self._respond(seen, response)

    def _respond(self, seen: Seen, response: HttpResponse) -> None:
        if not self.open:
            return
        if seen.fault == "drop":
            self.transport.abort()
            return
        whole = _encode(response)
        if seen.fault == "drop_in_body":
            self.transport.write(whole[: len(whole) - len(response.body) // 2])
            self.transport.close()
            return
        if seen.fault == "slow":
            endless = _encode(HttpResponse(200, response.body, {"content-length": "1000000"}))
            self.transport.write(endless[: -len(response.body)])
            self._trickle(response.body)
            return
        self.transport.write(whole)
        seen.ended = time.monotonic()
        self._leave()

    def _trickle(self, rest: bytes) -> None:
        if self.open:
            assert self.server._loop is not None
            self.transport.write(rest[:1] or b" ")
            self.server._loop.call_later(self.server.behaviour.trickle_s, self._trickle, rest[1:])


def _encode(response: HttpResponse) -> bytes:
    headers = {"content-type": "application/json", "content-length": str(len(response.body))} | response.headers
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reason = _REASONS.get(response.status, "Status")
    return f"HTTP/1.1 {response.status} {reason}\r\n{head}\r\n".encode("latin-1") + response.body


def _faulty(fault: str, request: HttpRequest, good: HttpResponse, behaviour: Behaviour) -> HttpResponse:
    if fault == "429":
        wait = {"retry-after": f"{behaviour.retry_after_s:g}"}
        return HttpResponse(429, b'{"error": {"message": "slow down"}}', wait)
    if fault == "429_date":
        # Dates have whole seconds: rounded up, so that a client that obeys is never early.
        now = datetime.datetime.now(datetime.UTC)
        until = now + datetime.timedelta(seconds=math.ceil(behaviour.retry_after_s))
        if until.microsecond:
            until = until.replace(microsecond=0) + datetime.timedelta(seconds=1)
        return HttpResponse(
            429,
            b'{"error": {"message": "slow down"}}',
            {"retry-after": email.utils.format_datetime(until, usegmt=True)},
        )
    if fault == "401":
        key = request.headers.get("authorization", "") or request.headers.get("x-api-key", "")
        return HttpResponse(401, json.dumps({"error": {"message": f"wrong key {key}"}, "headers": [key]}).encode())
    if fault == "400":
        return HttpResponse(400, b'{"error": {"message": "the prompt is not wanted"}}')
    if fault.isdigit():
        return HttpResponse(int(fault), b'{"error": {"message": "try again"}}')
    if fault == "truncated":
        return HttpResponse(200, good.body[: len(good.body) // 2])
    if fault == "html":
        return HttpResponse(200, b"<html><body>Please wait</body></html>", {"content-type": "text/html"})
    if fault == "wrong_json":
        return HttpResponse(200, b"[1, 2, 3]")
    if fault == "error_200":
        return HttpResponse(200, b'{"error": {"message": "upstream failed", "code": 502}}')
    reply = json.loads(good.body)
    if fault == "missing":
        kept = {name: value for name, value in reply.items() if name not in ("choices", "content")}
        return HttpResponse(200, json.dumps(kept).encode())
    if fault == "empty":
        reply["content" if "content" in reply else "choices"] = []
        return HttpResponse(200, json.dumps(reply).encode())
    if fault == "nan":
        return HttpResponse(200, re.sub(rb"-\d+\.\d+", b"NaN", good.body))
    return good  # "drop", "drop_in_body", "slow": the connection does it


def _echoing(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    key = (request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers["x-api-key"]).encode()
    body = response.body
    for where in (b'"message": "', b'"model": "', b'"content": "', b'"text": "', b"<body>", b'"id": "'):
        body = body.replace(where, where + key + b" ")
    return HttpResponse(response.status, body, response.headers | {"x-echo": key.decode()})


def _tokens(response: HttpResponse) -> int:
    if response.status != 200:
        return 0
    usage = json.loads(response.body)["usage"]
    return int(sum(value for name, value in usage.items() if name != "total_tokens"))


# what the model of this server thinks


def weights(prompt: str, position_bias: float = 1.0) -> dict[str, float]:
    """Letter -> probability among the letters: by the option's text, times ``position_bias`` to its position."""
    raw = {
        letter: (1 + zlib.crc32(option.encode()) % 97) * position_bias**position
        for position, (letter, option) in enumerate(_OPTION.findall(prompt))
    }
    total = sum(raw.values())
    return {letter: value / total for letter, value in raw.items()}


#: Of a letter's probability, what stands on each of its token variants; and what all letters have together.
VARIANTS = {"A": 0.5, " A": 0.25, "A)": 0.15, "(A": 0.1}
LETTER_MASS = 0.9


def token_logprobs(prompt: str, top: int, position_bias: float = 1.0) -> list[tuple[str, float]]:
    """The ``top`` most likely tokens with natural log probabilities, most likely first."""
    found = [
        (token.replace("A", letter), share * LETTER_MASS * probability)
        for letter, probability in weights(prompt, position_bias).items()
        for token, share in VARIANTS.items()
    ]
    found += [("the", 0.05), ("AB", 0.03), ("a", 0.02)]
    found.sort(key=lambda pair: -pair[1])
    return [(token, math.log(probability)) for token, probability in found[:top]]


def sampled(prompt: str, seed: int, behaviour: Behaviour) -> str:
    """One reply drawn from :func:`weights`."""
    draws = random.Random(f"{behaviour.seed}:{prompt}:{seed}")
    if draws.random() < behaviour.invalid:
        return draws.choice(["I would rather not say.", "(A) or (B)", "", "As a model I have no opinion"])
    chances = weights(prompt, behaviour.position_bias)
    letter = draws.choices(list(chances), list(chances.values()))[0]
    return draws.choice(["{}", "{})", "({})", "{}.", "My answer would be ({})"]).format(letter)


def answer(request: HttpRequest, behaviour: Behaviour, nth: int) -> HttpResponse:
    """The reply of a provider without faults."""
    path = request.path
    if request.method != "POST" or path not in ("/v1/completions", "/v1/chat/completions", "/v1/messages"):
        return HttpResponse(404, b'{"error": {"message": "no such path"}}')
    return HttpResponse(200, json.dumps(reply_to(path, request.json(), behaviour, nth)).encode())


def reply_to(path: str, payload: dict[str, Any], behaviour: Behaviour, nth: int = 0) -> dict[str, Any]:
    """A provider's JSON reply to one request, also for use inside a batch."""
    completion = path == "/v1/completions"
    prompt = payload["prompt"] if completion else "\n".join(message["content"] for message in payload["messages"])
    bias = behaviour.position_bias
    n_prompt = round(behaviour.token_factor * (len(prompt.encode()) // 4 + 1))
    n_reply = min(payload["max_tokens"], 3)
    if path == "/v1/messages":
        text = sampled(prompt, nth, behaviour)
        return {
            "id": f"msg_{nth}",
            "type": "message",
            "role": "assistant",
            "model": payload["model"],
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "usage": {"input_tokens": n_prompt, "output_tokens": n_reply},
        }
    usage = {"prompt_tokens": n_prompt, "completion_tokens": n_reply, "total_tokens": n_prompt + n_reply}
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length", "logprobs": None}
    if completion:
        tops = token_logprobs(prompt, payload["logprobs"], bias)
        choice["text"] = tops[0][0]
        choice["logprobs"] = {
            "tokens": [tops[0][0]],
            "token_logprobs": [tops[0][1]],
            "top_logprobs": [dict(tops)],
            "text_offset": [0],
        }
    elif payload.get("logprobs"):
        tops = token_logprobs(prompt, payload["top_logprobs"], bias)
        listed = [{"token": token, "logprob": value, "bytes": list(token.encode())} for token, value in tops]
        bracket = {"token": "(", "logprob": -0.01, "bytes": [40]}
        # A chat model opens a bracket first: the letter stands at the second position.
        choice["logprobs"] = {
            "content": [bracket | {"top_logprobs": [bracket]}, listed[0] | {"top_logprobs": listed}],
            "refusal": None,
        }
        choice["message"] = {"role": "assistant", "content": f"({tops[0][0]}"}
    else:
        choice["message"] = {"role": "assistant", "content": sampled(prompt, payload.get("seed", nth), behaviour)}
    return {
        "id": f"cmpl-{nth}",
        "object": "text_completion" if completion else "chat.completion",
        "created": 1_700_000_000,
        "model": payload["model"],
        "choices": [choice],
        "usage": usage,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="the stub server as a process; prints its base URL")
    parser.add_argument("behaviour", nargs="?", default="{}", help="fields of Behaviour as JSON")
    behaviour = Behaviour(**json.loads(parser.parse_args().behaviour))

    async def serve() -> None:
        server = StubServer(behaviour)
        await server.listen()
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


if __name__ == "__main__":
    main()
