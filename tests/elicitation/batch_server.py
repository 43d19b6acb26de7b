"""The providers' batch APIs on the stub server: OpenAI's files and batches, Anthropic's message batches.

Like the stub server it knows nothing of ``opinion_assets`` and keeps its own account: ``bought`` has the body of every
request of every batch that was created.
"""

import itertools
import json
import random
import re
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.elicitation.server import Behaviour, HttpRequest, HttpResponse, StubServer, content_of, reply_to

#: What a provider makes of an item besides answering it: OpenAI's error code, Anthropic's result type.
OUTCOMES = {"expired": ("batch_expired", "expired"), "cancelled": ("batch_cancelled", "canceled")}


@dataclass
class Batch:
    """A batch as the server has it. ``items``: custom_id, path and body of each request."""

    id: str
    items: list[tuple[str, str, dict[str, Any]]]
    metadata: dict[str, str]
    created: datetime
    polls: int = 0
    status: str = "in_progress"
    lines: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


class BatchServer(StubServer):
    """``faults``: for each operation (upload, create, list, state, results) what happens to its next requests, in
    order: None for nothing, a status ("500", "429"), "drop" (before anything is done), "lost" (done, but the reply
    gets lost), "cut" (half of the body), "garbage" (no JSON).

    ``polls``: how often a batch is looked at before it ends. ``ends_as``: its final status (OpenAI). ``outcome``
    (custom_id's number → name) tells what becomes of single items: None for an answer, "expired", "cancelled", an HTTP
    status, "garbage" (an answer without the expected fields), "missing" (no line). ``at(operation)`` is called when a
    request arrives, before anything is done: tests wait and kill there.
    """

    def __init__(self, behaviour: Behaviour | None = None, **changes: Any) -> None:
        super().__init__(behaviour, **changes)
        self.faults: dict[str, deque[str | None]] = defaultdict(deque)
        self.polls = 1
        self.ends_as = "completed"
        self.problem = {"code": "invalid_request", "message": "the file is not wanted", "line": 1}
        self.outcome: Callable[[int], str | None] = lambda number: None
        self.at: Callable[[str], None] = lambda operation: None
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, Batch] = {}
        self.operations: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self.sizes: list[int] = []
        self._numbers = itertools.count(1)
        for operation, method, pattern, handler in (
            ("upload", "POST", r"/v1/files", self._upload),
            ("create", "POST", r"/v1/batches", self._create_openai),
            ("list", "GET", r"/v1/batches\?.*", self._list_openai),
            ("state", "GET", r"/v1/batches/[^/?]+", self._state_openai),
            ("results", "GET", r"/v1/files/[^/]+/content", self._content),
            ("create", "POST", r"/v1/messages/batches", self._create_anthropic),
            ("list", "GET", r"/v1/messages/batches\?.*", self._list_anthropic),
            ("state", "GET", r"/v1/messages/batches/[^/?]+", self._state_anthropic),
            ("results", "GET", r"/v1/messages/batches/[^/]+/results", self._results_anthropic),
        ):
            self.route(method, pattern, self._with_faults(operation, handler))

    def random_faults(self, seed: int, rate: float, operations: tuple[str, ...]) -> None:
        """Faults at random for each of the operations; at most six in a row."""
        draws = random.Random(seed)
        for operation in operations:
            names = ["500", "503", "429", "drop", "lost", "cut", "garbage"]
            faults = [draws.choice(names) if draws.random() < rate else None for _ in range(2000)]
            faults = [fault if number % 7 else None for number, fault in enumerate(faults, start=1)]
            self.faults[operation] = deque(faults)

    def _with_faults(self, operation: str, handler: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
        def respond(request: HttpRequest) -> HttpResponse:
            self.operations[operation] += 1
            self.at(operation)
            fault = self.faults[operation].popleft() if self.faults[operation] else None
            if fault == "drop":
                return HttpResponse(0)
            if fault is not None and fault.isdigit():
                headers = {"retry-after": "0.02"} if fault == "429" else {}
                return HttpResponse(int(fault), b'{"error": {"message": "not now"}}', headers)
            reply = handler(request)
            response = reply if isinstance(reply, HttpResponse) else HttpResponse(body=json.dumps(reply).encode())
            if fault == "lost":
                return HttpResponse(0)
            if fault == "cut":
                response.cut = len(response.body) // 2
            if fault == "garbage":
                response.body = b"<html>" + response.body[: len(response.body) // 2]
            return response

        return respond

    def _buy(self, prefix: str, items: list[tuple[str, str, dict[str, Any]]], metadata: dict[str, str]) -> Batch:
        batch = Batch(f"{prefix}_{next(self._numbers)}", items, metadata, datetime.now(UTC))
        assert len({item[0] for item in items}) == len(items)
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", item[0]) for item in items)
        self.batches[batch.id] = batch
        self.bought.update(content_of(json.dumps(body, sort_keys=True).encode()) for _, _, body in items)
        return batch

    def buy_for_others(self, provider: str, n: int) -> None:
        """A batch of ``n`` requests that somebody else bought."""
        prompt = {"role": "user", "content": "(A) Yes\n(B) No"}
        body = {"model": "m", "max_tokens": 1, "messages": [prompt]}
        path, prefix = ("/v1/messages", "msgbatch") if provider == "anthropic" else ("/v1/chat/completions", "batch")
        self._buy(prefix, [(f"other-{number}", path, body) for number in range(n)], {})

    def _work(self, batch: Batch) -> None:
        """One look at a batch; after enough of them its items are done, in an order of the server's own."""
        batch.polls += 1
        if batch.status != "in_progress" or batch.polls < self.polls:
            return
        openai = not batch.id.startswith("msgbatch")
        batch.status = self.ends_as if openai else "ended"
        if batch.status == "failed":
            return
        seen: Counter[str] = Counter()
        for number, (custom_id, path, body) in enumerate(batch.items):
            content = json.dumps(body)
            outcome = self.outcome(number)
            if outcome == "missing":
                continue
            reply: dict[str, Any] = {"nothing": "here"}
            if outcome is None:
                reply = reply_to(path, body, self.behaviour, seen[content])
                seen[content] += 1
                usage = [value for name, value in reply["usage"].items() if name != "total_tokens"]
                self.usd += sum(usage) * self.behaviour.usd_per_token
            answered = outcome in (None, "garbage")
            line: dict[str, Any] = {"custom_id": custom_id}
            if openai:
                line["id"] = f"batch_req_{number}"
                if outcome in OUTCOMES:
                    line |= {"response": None, "error": {"code": OUTCOMES[outcome][0], "message": "not done"}}
                else:
                    status = 200 if answered else int(str(outcome))
                    body = reply if answered else {"error": {"message": "refused"}}
                    line |= {"response": {"status_code": status, "body": body}, "error": None}
            elif answered:
                line["result"] = {"type": "succeeded", "message": reply}
            elif outcome in OUTCOMES:
                line["result"] = {"type": OUTCOMES[outcome][1]}
            else:
                error = {"type": "error", "error": {"type": "invalid_request_error", "message": "refused"}}
                line["result"] = {"type": "errored", "error": error}
            (batch.lines if answered or not openai else batch.errors).append(line)
        random.Random(batch.id).shuffle(batch.lines)

    # OpenAI

    def _upload(self, request: HttpRequest) -> dict[str, Any]:
        boundary = request.headers["content-type"].partition("boundary=")[2].encode()
        parts = request.body.split(b"--" + boundary)
        [content] = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts if b'name="file"' in part]
        assert any(b'name="purpose"' in part and part.rstrip().endswith(b"batch") for part in parts)
        name = f"file-{next(self._numbers)}"
        self.files[name] = content
        self.sizes.append(len(content))
        return {"id": name, "object": "file", "bytes": len(content), "purpose": "batch"}

    def _create_openai(self, request: HttpRequest) -> dict[str, Any]:
        order = request.json()
        lines = [json.loads(line) for line in self.files[order["input_file_id"]].split(b"\n")]
        assert order["completion_window"] == "24h"
        assert {line["url"] for line in lines} == {order["endpoint"]}
        items = [(line["custom_id"], line["url"], line["body"]) for line in lines]
        return self._openai(self._buy("batch", items, order["metadata"]))

    def _list_openai(self, request: HttpRequest) -> dict[str, Any]:
        newest = [self._openai(batch) for batch in reversed(self.batches.values()) if batch.id.startswith("batch")]
        return _page(newest, request.path, "after")

    def _state_openai(self, request: HttpRequest) -> HttpResponse | dict[str, Any]:
        batch = self.batches.get(request.path.rpartition("/")[2])
        if batch is None:
            return HttpResponse(404, b'{"error": {"message": "no such batch"}}')
        self._work(batch)
        return self._openai(batch)

    def _openai(self, batch: Batch) -> dict[str, Any]:
        values: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "status": batch.status,
            "created_at": int(batch.created.timestamp()),
            "metadata": batch.metadata,
            "request_counts": {
                "total": len(batch.items),
                "completed": len(batch.lines),
                "failed": len(batch.errors),
            },
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        if batch.status == "failed":
            values["errors"] = {"object": "list", "data": [self.problem]}
        for name, lines in (("output", batch.lines), ("error", batch.errors)):
            if lines:
                values[f"{name}_file_id"] = f"file-{name}-{batch.id}"
                self.files[f"file-{name}-{batch.id}"] = _jsonl(lines)
        return values

    def _content(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=self.files[request.path.split("/")[3]])

    # Anthropic

    def _create_anthropic(self, request: HttpRequest) -> dict[str, Any]:
        self.sizes.append(len(request.body))
        requests = request.json()["requests"]
        items = [(item["custom_id"], "/v1/messages", item["params"]) for item in requests]
        return self._anthropic(self._buy("msgbatch", items, {}))

    def _list_anthropic(self, request: HttpRequest) -> dict[str, Any]:
        found = [batch for batch in reversed(self.batches.values()) if batch.id.startswith("msgbatch")]
        for batch in found:
            self._work(batch)
        return _page([self._anthropic(batch) for batch in found], request.path, "after_id")

    def _state_anthropic(self, request: HttpRequest) -> HttpResponse | dict[str, Any]:
        batch = self.batches.get(request.path.rpartition("/")[2])
        if batch is None:
            return HttpResponse(404, b'{"error": {"message": "no such batch"}}')
        self._work(batch)
        return self._anthropic(batch)

    def _anthropic(self, batch: Batch) -> dict[str, Any]:
        kinds = Counter(line["result"]["type"] for line in batch.lines)
        ended = batch.status == "ended"
        counts = {kind: kinds[kind] for kind in ("succeeded", "errored", "canceled", "expired")}
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": batch.status,
            "created_at": batch.created.isoformat().replace("+00:00", "Z"),
            "request_counts": counts | {"processing": 0 if ended else len(batch.items)},
            # Where an attacker could put an address of his own.
            "results_url": "http://127.0.0.1:9/stolen" if ended else None,
        }

    def _results_anthropic(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=_jsonl(self.batches[request.path.split("/")[4]].lines))


class Gate:
    """Holds the server at an operation until the test says so: ``server.at = Gate("create")``."""

    def __init__(self, operation: str, nth: int = 1) -> None:
        self.operation, self.nth = operation, nth
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, operation: str) -> None:
        if operation == self.operation and not self.opened.is_set():
            self.nth -= 1
            if self.nth == 0:
                self.reached.set()
                self.opened.wait(300)


def _jsonl(lines: list[dict[str, Any]]) -> bytes:
    # Raw U+2028 is legal in JSON and no line break.
    return "".join(json.dumps(line | {"note": "\u2028"}, ensure_ascii=False) + "\n" for line in lines).encode()


def _page(batches: list[dict[str, Any]], path: str, cursor: str) -> dict[str, Any]:
    """Two batches a page, so that few of them need several pages."""
    after = re.search(rf"[?&]{cursor}=([^&]+)", path)
    start = 0 if after is None else [batch["id"] for batch in batches].index(after.group(1)) + 1
    page = batches[start : start + 2]
    return {"object": "list", "data": page, "has_more": start + 2 < len(batches)}
