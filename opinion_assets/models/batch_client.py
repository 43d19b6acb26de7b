"""Batch APIs of the providers: OpenAI's Batch (files in, files out) and Anthropic's Message Batches.

Belongs here: a provider's paths, limits and formats: writing requests, creating a batch, finding it again, following
it, reading its results. Does not belong here: what is asked, what is kept and what it may cost
(``elicitation.batches``).

Creating a batch buys it, and neither provider documents an idempotency key. So every batch carries a name of ours, by
which :meth:`BatchClient.find` can tell afterwards whether a creation whose reply got lost took place: OpenAI keeps it
in the batch's metadata; Anthropic keeps none, so it is part of each request's custom_id, which the results repeat.
"""

import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import orjson

from opinion_assets.models.client import AnthropicClient, HttpClient, Reply, Request, RequestFailed
from opinion_assets.models.client import transport_failures as _transport_failures

# Clocks differ; a batch that seems older than this before its creation was asked for is not ours.
_CLOCK_SKEW = timedelta(minutes=10)
_METADATA_KEY = "opinion_assets_submission"
_READ_SIZE = 1 << 16


@dataclass(frozen=True)
class BatchState:
    """How far a batch is. ``n_done``: requests the provider has finished, one way or another, while it says so.

    ``ended``: nothing will change any more. ``refused``: the provider took none of it. ``reason``: why requests without
    a result have none. ``n_results``: lines the results must have; None where the provider does not say.
    """

    batch_id: str
    ended: bool
    refused: bool
    n_done: int
    reason: str
    n_results: int | None
    files: tuple[str, ...]


class StillRunning(Exception):  # noqa: N818 - not an error: ask again later
    """Whether a batch is ours can be told only when it has ended."""


class BatchClient:
    """A provider's batch API on the connection of a :class:`HttpClient`.

    ``opening``, ``separator`` and ``closing`` stand around the requests in the file that is sent; ``max_requests`` and
    ``max_bytes`` are the provider's limits for one batch.
    """

    max_requests: ClassVar[int]
    max_bytes: ClassVar[int]
    opening: ClassVar[bytes] = b""
    separator: ClassVar[bytes] = b"\n"
    closing: ClassVar[bytes] = b""

    def __init__(self, client: HttpClient) -> None:
        self.client = client

    def request(self, custom_id: str, request: Request) -> bytes:
        """One request as it stands in the file."""
        raise NotImplementedError

    async def create(self, name: str, file: Path, n_requests: int, buying: Callable[[], None]) -> str:
        """Create the batch called ``name`` from a file of requests; returns its id.

        ``buying`` is called right before the one exchange that costs money.
        """
        raise NotImplementedError

    async def find(self, name: str, n_requests: int, since: datetime) -> str | None:
        """Id of the batch of that name, created after ``since``; None where there is none.

        Raises :class:`StillRunning` while that cannot be told.
        """
        raise NotImplementedError

    async def state(self, batch_id: str) -> BatchState:
        """How far a batch is."""
        raise NotImplementedError

    def item(self, method: str, line: bytes) -> tuple[str, Reply | RequestFailed]:
        """custom_id and outcome of one line of the results; ValueError where it is none."""
        raise NotImplementedError

    async def lines(self, state: BatchState) -> AsyncIterator[bytes]:
        """The lines of a batch's results, in no particular order."""
        for path in state.files:
            async for line in self._lines(path):
                yield line

    async def _lines(self, path: str) -> AsyncIterator[bytes]:
        http = self.client.http
        with _transport_failures():
            async with http.stream("GET", self.client.base_url + path, headers={"Accept": "*/*"}) as response:
                if response.status_code != 200:
                    raise self.client.failure(response.status_code, response.headers, await response.aread())
                # httpx's own line reader also breaks lines at U+2028 and the like, which JSON texts may contain.
                rest = b""
                async for block in response.aiter_bytes():
                    *whole, rest = (rest + block).split(b"\n")
                    for line in whole:
                        if line.strip():
                            yield line
        if rest.strip():
            yield rest

    def _refused(self, kind: object, error: dict[str, Any]) -> RequestFailed:
        """A request that the provider did not do, with its reason; not charged."""
        return RequestFailed(f"{kind}{self.client._message(orjson.dumps({'error': error}))}")

    async def _json(self, method: str, path: str, content: bytes | None = None) -> dict[str, Any]:
        status, headers, body = await self.client.send(method, path, content)
        return self._read(status, headers, body)

    def _read(self, status: int, headers: Any, body: bytes) -> dict[str, Any]:
        if status != 200:
            raise self.client.failure(status, headers, body)
        try:
            reply = orjson.loads(body)
        except orjson.JSONDecodeError:
            reply = None
        if not isinstance(reply, dict):
            raise RequestFailed("reply is not a JSON object", retryable=True)
        return reply

    async def _listed(self, path: str, since: datetime) -> AsyncIterator[dict[str, Any]]:
        """Batches created after ``since``; providers list the newest first."""
        after = ""
        while True:
            page = await self._json("GET", path + after)
            batches = page.get("data")
            if not isinstance(batches, list):
                raise RequestFailed("reply lacks the list of batches", retryable=True)
            for batch in batches:
                try:
                    old = self._created(batch) < since - _CLOCK_SKEW
                except (KeyError, TypeError, ValueError):
                    raise RequestFailed("reply lacks the time of a batch", retryable=True) from None
                if old:
                    return
                yield batch
            if not page.get("has_more") or not batches:
                return
            after = f"&{self._cursor}={_identifier(batches[-1])}"

    _cursor: ClassVar[str]

    def _created(self, batch: dict[str, Any]) -> datetime:
        raise NotImplementedError


def open_batches(client: HttpClient) -> BatchClient:
    """The batch API behind a client."""
    return (AnthropicBatches if isinstance(client, AnthropicClient) else OpenAIBatches)(client)


def _identifier(reply: dict[str, Any], field: str = "id") -> str:
    value = reply.get(field)
    # It becomes part of an address and a file.
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", value):
        raise RequestFailed(f"reply lacks a usable {field}", retryable=True)
    return value


def _count(counts: object, *names: str) -> int:
    values = [counts.get(name) if isinstance(counts, dict) else None for name in names]
    return sum(value for value in values if isinstance(value, int))


class OpenAIBatches(BatchClient):
    """OpenAI's Batch API: a JSONL file of requests is uploaded, outputs and errors are downloaded as JSONL files."""

    max_requests = 50_000
    max_bytes = 200_000_000
    _cursor = "after"

    def request(self, custom_id: str, request: Request) -> bytes:
        path, body = self.client.payload(request)
        return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": f"/v1{path}", "body": body})

    async def create(self, name: str, file: Path, n_requests: int, buying: Callable[[], None]) -> str:
        with file.open("rb") as content:
            first = orjson.loads(content.readline())
        boundary = uuid.uuid4().hex
        with file.open("rb") as content, _transport_failures():
            response = await self.client.http.post(
                f"{self.client.base_url}/files",
                data={"purpose": "batch"},
                files={"file": (f"{name}.jsonl", content, "application/jsonl")},
                headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
            )
        uploaded = self._read(response.status_code, response.headers, response.content)
        order = {
            "input_file_id": _identifier(uploaded),
            "endpoint": first["url"],
            "completion_window": "24h",
            "metadata": {_METADATA_KEY: name},
        }
        buying()
        return _identifier(await self._json("POST", "/batches", orjson.dumps(order)))

    async def find(self, name: str, n_requests: int, since: datetime) -> str | None:
        async for batch in self._listed("/batches?limit=100", since):
            metadata = batch.get("metadata")
            if isinstance(metadata, dict) and metadata.get(_METADATA_KEY) == name:
                return _identifier(batch)
        return None

    async def state(self, batch_id: str) -> BatchState:
        batch = await self._json("GET", f"/batches/{batch_id}")
        status = batch.get("status")
        if not isinstance(status, str):
            raise RequestFailed("reply lacks the status of the batch", retryable=True)
        counts = batch.get("request_counts")
        done = _count(counts, "completed", "failed")
        files = [
            f"/files/{_identifier(batch, name)}/content"
            for name in ("output_file_id", "error_file_id")
            if batch.get(name)
        ]
        reason = {"expired": "the batch expired before this request was done"}.get(status, f"the batch is {status}")
        errors = batch.get("errors")
        problems = errors.get("data") if isinstance(errors, dict) else None
        if isinstance(problems, list) and problems and isinstance(problems[0], dict):
            reason += f": {self._refused(problems[0].get('code'), problems[0]).reason}"
        return BatchState(
            batch_id,
            status in ("completed", "failed", "expired", "cancelled"),
            status == "failed",
            done,
            reason,
            done if status == "completed" else None,
            tuple(files),
        )

    def item(self, method: str, line: bytes) -> tuple[str, Reply | RequestFailed]:
        item = orjson.loads(line)
        custom_id = item["custom_id"]
        response, error = item.get("response"), item.get("error")
        if isinstance(error, dict):
            return custom_id, self._refused(error.get("code"), error)
        if not isinstance(response, dict):
            return custom_id, RequestFailed("the result has neither a response nor an error", maybe_billed=True)
        if response.get("status_code") != 200:
            body = orjson.dumps(response.get("body"))
            return custom_id, self.client.failure(int(response.get("status_code") or 0), {}, body)
        return custom_id, _parsed(self.client, method, response.get("body"))

    def _created(self, batch: dict[str, Any]) -> datetime:
        return datetime.fromtimestamp(batch["created_at"]).astimezone()


class AnthropicBatches(BatchClient):
    """Anthropic's Message Batches: requests go in with the creation, results come as one JSONL stream."""

    max_requests = 100_000
    max_bytes = 256_000_000
    opening, separator, closing = b'{"requests":[', b",", b"]}"
    _cursor = "after_id"
    _counts = ("processing", "succeeded", "errored", "canceled", "expired")

    def request(self, custom_id: str, request: Request) -> bytes:
        _, params = self.client.payload(request)
        return orjson.dumps({"custom_id": custom_id, "params": params})

    async def create(self, name: str, file: Path, n_requests: int, buying: Callable[[], None]) -> str:
        buying()
        with file.open("rb") as content, _transport_failures():
            response = await self.client.http.post(
                f"{self.client.base_url}/messages/batches",
                content=_blocks(content),
                headers={"Content-Length": str(file.stat().st_size)},
            )
        return _identifier(self._read(response.status_code, response.headers, response.content))

    async def find(self, name: str, n_requests: int, since: datetime) -> str | None:
        undecided = False
        async for batch in self._listed("/messages/batches?limit=100", since):
            if _count(batch.get("request_counts"), *self._counts) != n_requests or batch.get("archived_at"):
                continue
            batch_id = _identifier(batch)
            state = self._state(batch)
            if not state.ended:
                undecided = True
                continue
            async for line in self.lines(state):
                try:
                    custom_id, _ = self.item("sampling", line)
                except (KeyError, TypeError, ValueError):
                    raise RequestFailed("the results are not readable", retryable=True) from None
                if custom_id.startswith(f"{name}-"):
                    return batch_id
                break
        if undecided:
            raise StillRunning
        return None

    async def state(self, batch_id: str) -> BatchState:
        return self._state(await self._json("GET", f"/messages/batches/{batch_id}"))

    def _state(self, batch: dict[str, Any]) -> BatchState:
        batch_id, status, counts = _identifier(batch), batch.get("processing_status"), batch.get("request_counts")
        if not isinstance(status, str):
            raise RequestFailed("reply lacks the status of the batch", retryable=True)
        # results_url is not followed: the key must not go to an address that a reply names.
        return BatchState(
            batch_id,
            status == "ended",
            False,
            _count(counts, *self._counts[1:]),
            f"the batch is {status}",
            _count(counts, *self._counts) if status == "ended" else None,
            (f"/messages/batches/{batch_id}/results",),
        )

    def item(self, method: str, line: bytes) -> tuple[str, Reply | RequestFailed]:
        item = orjson.loads(line)
        custom_id, result = item["custom_id"], item["result"]
        kind = result["type"]
        if kind == "succeeded":
            return custom_id, _parsed(self.client, method, result.get("message"))
        if kind == "errored":
            error = result.get("error") or {}
            error = error.get("error", error) if isinstance(error, dict) else {}
            return custom_id, self._refused(error.get("type"), error)
        return custom_id, RequestFailed(f"the provider says: {kind}")

    def _created(self, batch: dict[str, Any]) -> datetime:
        return datetime.fromisoformat(batch["created_at"])


async def _blocks(content: Any) -> AsyncIterator[bytes]:
    while block := content.read(_READ_SIZE):
        yield block


def _parsed(client: HttpClient, method: str, body: Any) -> Reply | RequestFailed:
    try:
        return client.parse(Request(method, None), body)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        return RequestFailed(f"reply lacks an expected field ({type(error).__name__})", maybe_billed=True)
