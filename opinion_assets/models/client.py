"""Asking a model over HTTP: one protocol for all providers, and the OpenAI-compatible and Anthropic clients.

Belongs here: turning a :class:`Request` into a provider's JSON, one attempt on the wire, and turning what comes back
into a :class:`Reply` or a :class:`RequestFailed` that says whether another attempt makes sense. Does not belong here:
retries, concurrency, budgets and journals (``elicitation.collect``), and the meaning of the letters.
"""

import asyncio
import contextlib
import email.utils
import logging
import math
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

import httpx
import orjson

from opinion_assets.errors import InputError
from opinion_assets.models.registry import ModelVersion

_MOST_BODY = 16_384


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a completion prompt or chat messages, and the sampling settings."""

    method: str
    prompt: str | None
    messages: tuple[Mapping[str, str], ...] = ()
    max_tokens: int = 1
    temperature: float = 0.0
    top_logprobs: int = 20
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``top_logprobs``: per position the chosen token and (token, natural log probability) pairs."""

    text: str
    top_logprobs: Sequence[tuple[str, Sequence[tuple[str, float]]]]
    prompt_tokens: int | None
    completion_tokens: int | None
    model_reported: str | None


class RequestFailed(Exception):  # noqa: N818 - the standard name of the event; not every one is the program's error
    """One attempt failed.

    ``retryable``: another attempt may succeed. ``retry_after``: seconds the server asked to wait. ``throttled``: the
    server asked for fewer requests. ``maybe_billed``: the server may have done, and charged, the work. ``fatal``: no
    request to this endpoint can succeed (wrong key, unknown model), so the run should stop. ``body``: the beginning of
    a reply that arrived and could not be read, as text, so that what was paid for can be looked at.
    """

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        throttled: bool = False,
        maybe_billed: bool = False,
        fatal: bool = False,
        body: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.retryable, self.retry_after = reason, retryable, retry_after
        self.throttled, self.maybe_billed, self.fatal, self.body = throttled, maybe_billed, fatal, body


class Client(Protocol):
    """A model that can be asked. Clients are asynchronous context managers."""

    async def ask(self, request: Request) -> Reply:
        """One attempt; :class:`RequestFailed` where no usable reply came."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def open_client(model: ModelVersion, endpoint: str | None = None) -> "HttpClient":
    """Client for a model version. ``endpoint`` overrides the registry's, for an embedded model that is being served.

    The API key is read from the environment variable that the registry names; :class:`InputError` names the variable
    where it is not set.
    """
    key = None
    if model.api_key_env is not None:
        key = os.environ.get(model.api_key_env)
        if not key:
            raise InputError(
                f"{model.model_version}: environment variable {model.api_key_env} (the API key) is not set"
            )
        if not key.isascii() or not key.isprintable():
            raise InputError(f"{model.model_version}: {model.api_key_env} holds characters that no API key has")
    base_url = endpoint or model.endpoint
    if base_url is None:
        raise InputError(f"{model.model_version}: provider {model.provider} cannot be asked")
    return (AnthropicClient if model.provider == "anthropic" else OpenAIClient)(model, base_url, key)


class HttpClient:
    """What the providers share: the connection pool, and the reading of failures."""

    def __init__(self, model: ModelVersion, base_url: str, key: str | None) -> None:
        # httpcore's debug log shows reply headers, in which a server may repeat anything; httpx a line a request.
        for name in ("httpcore", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.model, self.base_url = model, base_url
        self._urls: dict[str, httpx.URL] = {}
        self._key = key
        self._trust_env = not base_url.startswith("http://127.0.0.1:")
        self._tls = httpx.create_ssl_context(trust_env=self._trust_env)
        self.http = self._open()
        # httpcore's pool looks at each of its connections with each request. So requests under way at once go through
        # pools of their own, which hold one connection each.
        self._pools = [self.http]
        self._free = [self.http]

    def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={**self._headers(), "Content-Type": "application/json"},
            timeout=httpx.Timeout(self.model.timeout_s, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=self._trust_env,
            verify=self._tls,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model.model_version!r}, {self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pool in self._pools:
            await pool.aclose()

    async def ask(self, request: Request) -> Reply:
        """One attempt; see :class:`Client`."""
        path, payload = self.payload(request)
        status, headers, body = await self.send("POST", path, orjson.dumps(payload))
        if status != 200:
            raise self.failure(status, headers, body)
        return self.read(request, body)

    def read(self, request: Request, body: bytes) -> Reply:
        """The reply in the body of an HTTP 200; :class:`RequestFailed`, with the body, where there is none."""
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise self._unreadable("reply is not JSON", body) from None
        if isinstance(content, dict) and content.get("error"):
            raise self._unreadable(f"HTTP 200 with an error{self._message(body)}", body)
        try:
            return self.parse(request, content)
        except Exception as error:  # whatever a server sends, it must not end the run
            raise self._unreadable(f"reply lacks an expected field ({type(error).__name__})", body) from None

    def _unreadable(self, reason: str, body: bytes) -> RequestFailed:
        text = body[:_MOST_BODY].decode("utf-8", "replace")
        return RequestFailed(reason, retryable=True, maybe_billed=True, body=self._without_key(text))

    async def send(self, method: str, path: str, content: bytes | None = None) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of one HTTP exchange; :class:`RequestFailed` where it broke down.

        Nothing in the body is this client's key: a server that repeats it finds it replaced.
        """
        if self._free:
            http = self._free.pop()
        else:
            http = self._open()
            self._pools.append(http)
        try:
            with transport_failures():
                # httpx's timeouts begin anew with every byte that trickles in; this one bounds the whole exchange.
                async with asyncio.timeout(self.model.timeout_s):
                    response = await http.request(method, self._url(path), content=content, timeout=None)
        finally:
            self._free.append(http)
        body = response.content
        if self._key and (key := self._key.encode()) in body:
            body = body.replace(key, b"[key]")
        return response.status_code, response.headers, body

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self.base_url + path)
            if len(self._urls) < 16:  # a few endpoints are asked again and again; names of batches are not
                self._urls[path] = url
        return url

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> RequestFailed:
        """The failure that an HTTP status other than 200 stands for.

        Refusals are taken as free. A gateway's 502 and 504 and other time-outs say nothing about what happened behind
        them: they may be charged.
        """
        reason = f"HTTP {status}{self._message(body)}"
        if status == 429:
            # "insufficient_quota" also arrives as 429 at OpenAI, but waiting does not help.
            if b"insufficient_quota" in body:
                return RequestFailed(reason, fatal=True)
            return RequestFailed(reason, retryable=True, throttled=True, retry_after=retry_after(headers))
        if status in (408, 409, 425) or status >= 500:
            return RequestFailed(
                reason,
                retryable=True,
                throttled=status in (503, 529),  # 529: Anthropic's "overloaded"
                retry_after=retry_after(headers),
                maybe_billed=status in (408, 502, 504, 522, 524),
            )
        return RequestFailed(reason, fatal=status in (401, 402, 403, 404, 405))

    def _message(self, body: bytes) -> str:
        """The provider's own error message, shortened, without anything that looks like a key."""
        try:
            error = orjson.loads(body)
            error = error.get("error", error)
            message = str(error.get("message") or error.get("type")) if isinstance(error, dict) else str(error)
        except (orjson.JSONDecodeError, AttributeError):
            return ""
        return f": {self._without_key(' '.join(message.split()))[:200]}"

    def _without_key(self, text: str) -> str:
        if self._key:
            text = text.replace(self._key, "[key]")
        return re.sub(r"(?i)\b(sk|key|bearer)[-_ ][\w*.\-]{6,}", "[key]", text)

    def _headers(self) -> dict[str, str]:
        raise NotImplementedError

    def payload(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Path below the endpoint and JSON body of a request."""
        raise NotImplementedError

    def parse(self, request: Request, reply: Any) -> Reply:
        """A provider's JSON reply; KeyError, IndexError, TypeError or ValueError where it is not one."""
        raise NotImplementedError


@contextlib.contextmanager
def transport_failures() -> Iterator[None]:
    """Turns what httpx raises when an exchange breaks down into :class:`RequestFailed`."""
    try:
        yield
    except httpx.ConnectError as error:
        raise RequestFailed(f"cannot connect ({_words(error)})", retryable=True) from None
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise RequestFailed("connecting timed out", retryable=True) from None
    except (httpx.TimeoutException, TimeoutError):
        raise RequestFailed("timed out", retryable=True, maybe_billed=True) from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        reason = f"connection broke ({_words(error)})"
        raise RequestFailed(reason, retryable=True, maybe_billed=True) from None
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise RequestFailed(f"unreadable reply ({_words(error)})", maybe_billed=True) from None


def _words(error: Exception) -> str:
    return type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by a Retry-After header (a number of seconds or a date, RFC 9110 10.2.3); None without one."""
    value = headers.get("retry-after-ms")  # OpenAI's finer one
    if value is not None and re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return float(value) / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if re.fullmatch(r"\d+(\.\d+)?", value.strip()):
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
        # By the server's own clock where it tells it: ours may be wrong.
        now = email.utils.parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(
            0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now.replace(tzinfo=now.tzinfo or UTC)).total_seconds()
        )
    except (ValueError, OverflowError):
        return None


class OpenAIClient(HttpClient):
    """OpenAI's completions and chat completions as vLLM, llama.cpp, OpenAI and others speak them."""

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"} if self._key else {}

    def payload(self, request: Request) -> tuple[str, dict[str, Any]]:
        payload: dict[str, Any] = {
            "model": self.model.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.seed is not None:
            payload["seed"] = request.seed
        if request.method == "completion_logprobs":
            payload |= {"prompt": request.prompt, "logprobs": request.top_logprobs}
            return "/completions", payload
        payload["messages"] = list(request.messages)
        if request.method == "chat_logprobs":
            payload |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return "/chat/completions", payload

    def parse(self, request: Request, reply: Any) -> Reply:
        choice = reply["choices"][0]
        logprobs = choice.get("logprobs")
        positions: list[tuple[str, list[tuple[str, float]]]] = []
        if request.method != "sampling":
            if "content" in logprobs:  # chat completions, and llama.cpp also for completions
                for position in logprobs["content"]:
                    pairs = [(str(top["token"]), _log(top["logprob"])) for top in position["top_logprobs"]]
                    positions.append((str(position["token"]), pairs))
            else:  # completions of OpenAI and vLLM: parallel lists
                for token, tops in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True):
                    positions.append((str(token), [(str(top), _log(value)) for top, value in tops.items()]))
            if not positions:
                raise ValueError("no log-probabilities")
        if request.method == "sampling":
            text = choice["message"]["content"]
        else:  # the answer stands in the log-probabilities; a missing text is no reason to throw it away
            text = choice.get("text") or (choice.get("message") or {}).get("content")
        usage = _usage(reply)
        return Reply(
            "" if text is None else str(text),
            positions,
            _count(usage.get("prompt_tokens")),
            _count(usage.get("completion_tokens")),
            _name(reply.get("model")),
        )


class AnthropicClient(HttpClient):
    """Anthropic's Messages API: sampling only, since it returns no log-probabilities."""

    def _headers(self) -> dict[str, str]:
        headers = {"anthropic-version": "2023-06-01"}
        return headers | {"x-api-key": self._key} if self._key else headers

    def payload(self, request: Request) -> tuple[str, dict[str, Any]]:
        return "/messages", {
            "model": self.model.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "messages": list(request.messages),
        }

    def parse(self, request: Request, reply: Any) -> Reply:
        text = "".join(block["text"] for block in reply["content"] if block["type"] == "text")
        usage = _usage(reply)
        prompt_tokens = _count(usage.get("input_tokens"))
        if prompt_tokens is not None:
            prompt_tokens += sum(_count(usage.get(f"cache_{kind}_input_tokens")) or 0 for kind in ("read", "creation"))
        return Reply(text, (), prompt_tokens, _count(usage.get("output_tokens")), _name(reply.get("model")))


def _log(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # what is no number raises and fails the attempt
    if math.isnan(number) or number > 1e-3:
        raise ValueError(f"{number} is no log-probability")
    return min(number, 0.0)


def _count(value: object) -> int | None:
    """A token count; None where the server gives none or nonsense: the answer counts, and is charged at its most."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _usage(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    usage = reply.get("usage")
    return usage if isinstance(usage, dict) else {}


def _name(value: object) -> str | None:
    return None if value is None else str(value)


def utc_now() -> str:
    """Time of a request: ISO 8601, UTC, milliseconds."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
