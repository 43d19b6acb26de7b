"""Collecting through a provider's batch API: buy a batch once, find it again, keep every answer it brings.

Belongs here: what lies on disk for each batch, and the steps from requests to journalled answers. Does not belong here:
the providers' formats (``models.batch_client``), which requests are missing (``collect``) and the journal itself.

A batch is bought by one exchange and answered hours later, so that a process may well end in between. Each therefore
has a name of ours and two files in ``<partition's journal>/batches/``:

- ``<name>.jsonl``: its requests, one a line, with all that is needed to journal their answers without the questions at
  hand. The process at work holds a lock on it.
- ``<name>.json``: its stage. It appears when the budget is reserved (``prepared``), turns to ``buying`` right before
  the exchange that costs money and to ``bought`` with the provider's id after it, and goes when all answers are in
  the journal. Each step is on the disk before the next begins.

What a killed process leaves is taken up by the next collection of the partition, batch or not, before it asks anything:
``prepared`` was not bought and is given up; for ``buying`` the provider's list tells whether the batch exists; what is
``bought`` is followed to its end. A request in a batch is never sent otherwise meanwhile.

The money set aside for a batch is replaced by its cost after its stage file went: a kill between the two leaves too
much in the project's sum, never too little.
"""

import asyncio
import contextlib
import fcntl
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
import tenacity

from opinion_assets.elicitation import retries
from opinion_assets.elicitation.budget import Budget
from opinion_assets.elicitation.journal import Journal, writing
from opinion_assets.elicitation.records import answered
from opinion_assets.elicitation.settings import ElicitationSettings
from opinion_assets.errors import InputError, OpinionAssetsError
from opinion_assets.models.batch_client import BatchClient, BatchState, StillRunning, open_batches
from opinion_assets.models.client import HttpClient, Reply, RequestFailed, utc_now
from opinion_assets.models.registry import ModelVersion

if TYPE_CHECKING:
    from opinion_assets.elicitation.collect import CollectReport, _Collection, _Task

_FOLDER = "batches"
# Providers keep the results of a batch for about a month.
_KEPT = timedelta(days=30)
# Seconds of a provider's outage that are sat out while a batch is followed.
_PATIENCE_S = 3600.0
# Requests of a batch that all fail at which a run gives up; fewer may be the questions' fault.
_GIVE_UP_FROM = 25
_RETRYABLE = tenacity.retry_if_exception(lambda error: isinstance(error, RequestFailed) and error.retryable)
T = TypeVar("T")


@dataclass(frozen=True)
class Stage:
    """The stage file of a batch. Times are UTC, money is US dollars."""

    name: str
    model_version: str
    endpoint: str
    n_requests: int
    reserved_usd: float
    stage: str
    at: str
    batch_id: str | None = None


@dataclass
class _Batch:
    """A batch that this process works on; ``fd`` holds the lock. ``most_usd`` is per request and in file order."""

    stage: Stage
    folder: Path
    fd: int
    tasks: "list[_Task]" = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    options: list[list[str]] = field(default_factory=list)
    most_usd: list[float] = field(default_factory=list)

    @property
    def stage_file(self) -> Path:
        return self.folder / f"{self.stage.name}.json"

    @property
    def requests_file(self) -> Path:
        return self.folder / f"{self.stage.name}.jsonl"

    @property
    def upload_file(self) -> Path:
        return self.folder / f"{self.stage.name}.upload"

    def enter(self, stage: str, batch_id: str | None = None) -> None:
        """Write the stage; it is on the disk when this returns."""
        self.stage = replace(self.stage, stage=stage, at=utc_now(), batch_id=batch_id)
        _write(self.stage_file, orjson.dumps(asdict(self.stage)))

    def read_requests(self) -> None:
        """Read back what an earlier process wrote."""
        with self.requests_file.open("rb") as file:
            for line in file:
                entry = orjson.loads(line)
                self.add(entry["record"], entry["options"], entry["most_usd"])

    def add(self, record: dict[str, Any], options: list[str], most_usd: float) -> None:
        """Note a request; its number is its place."""
        self.records.append(record)
        self.options.append(options)
        self.most_usd.append(most_usd)

    def remove(self) -> None:
        """Forget the batch: the stage file first, so that a kill on the way leaves nothing that looks unfinished."""
        try:
            self.stage_file.unlink(missing_ok=True)
            _sync(self.folder)
            self.upload_file.unlink(missing_ok=True)
            self.requests_file.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Release the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ------------------------------------------------------------------ what is on disk


def unfinished(partition: Path) -> list[Stage]:
    """Batches of a partition's journal whose answers are not all in it, oldest first; of living processes too."""
    found = []
    for path in sorted((partition / _FOLDER).glob("*.json")):
        with contextlib.suppress(FileNotFoundError):
            found.append(_stage(path))
    return sorted(found, key=lambda stage: stage.at)


def _stage(path: Path) -> Stage:
    try:
        return Stage(**orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, TypeError):
        raise InputError(
            "the record of a batch is damaged; the batch may be paid for, so look for it at the provider", file=path
        ) from None


def request_hashes(partition: Path, name: str) -> set[str]:
    """Hashes of the requests in a batch; empty where it was finished meanwhile."""
    try:
        with (partition / _FOLDER / f"{name}.jsonl").open("rb") as file:
            return {orjson.loads(line)["record"]["request_hash"] for line in file}
    except FileNotFoundError:
        return set()


def requests_under_way(partition: Path) -> set[str]:
    """Hashes of the requests in batches of a partition that were bought, or may have been, and are not finished."""
    bought = [stage.name for stage in unfinished(partition) if stage.stage != "prepared"]
    return set().union(*(request_hashes(partition, name) for name in bought))


class Watch:
    """The requests that are in batches of other processes, alive or not. ``own``: names of this process's batches."""

    def __init__(self, partition: Path) -> None:
        self.own: set[str] = set()
        self._partition, self._folder = partition, partition / _FOLDER
        self._seen = 0
        self._hashes: dict[str, set[str]] = {}

    def holds(self, request_hash: str) -> bool:
        """Whether a request is in such a batch. Cheap while nothing changes.

        Asked after the request was claimed and before the journal is read again: a batch is recorded while its
        process holds the claims, and its answers are journalled before the record goes.
        """
        try:
            changed = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        # Changes within the file system's time step look alike, so a recent one is looked at again.
        if changed != self._seen or time.time_ns() - changed < 1_000_000_000:
            self._seen = changed
            names = {path.stem for path in self._folder.glob("*.json")} - self.own
            self._hashes = {name: self._hashes.get(name) or request_hashes(self._partition, name) for name in names}
        return any(request_hash in hashes for hashes in self._hashes.values())


def has_left_over(partition: Path) -> bool:
    """Whether files of batches lie in a partition's journal."""
    return next((partition / _FOLDER).glob("*.json*"), None) is not None


# ------------------------------------------------------------------ collecting


async def resume(
    client: HttpClient,
    model: ModelVersion,
    settings: ElicitationSettings,
    journal: Journal,
    budget: Budget,
    report: "CollectReport",
) -> None:
    """Bring the answers of batches that an earlier process bought into the journal.

    Raises :class:`OpinionAssetsError` where the provider cannot be asked; the batch then stays for the next time.
    """
    left = _take_over(journal.folder / _FOLDER)
    buyer = _Buyer(client, model, settings, journal, budget, report)
    try:
        for batch in left:
            budget.adopt(batch.stage.reserved_usd)
            batch.read_requests()
        outcomes = await asyncio.gather(*[buyer.take_up(batch) for batch in left], return_exceptions=True)
    finally:
        for batch in left:
            batch.close()
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


def _take_over(folder: Path) -> list["_Batch"]:
    """Lock what no living process works on; the rest is left to that process."""
    taken: list[_Batch] = []
    others: set[str] = set()
    try:
        for path in sorted(folder.glob("*.jsonl")):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                others.add(path.stem)
                continue
            stage_file = path.with_suffix(".json")
            if stage_file.exists():
                taken.append(_Batch(_stage(stage_file), folder, fd))
                continue
            # Finished, or killed before its money was reserved.
            os.close(fd)
            for rest in (path, path.with_suffix(".upload")):
                rest.unlink(missing_ok=True)
        for path in folder.glob("*.json"):
            if path.stem not in others | {batch.stage.name for batch in taken}:
                raise InputError("the file with this batch's requests (.jsonl) is missing", file=path)
    except BaseException:
        for batch in taken:
            batch.close()
        raise
    return taken


async def run(work: "_Collection", client: HttpClient) -> None:
    """Ask what is missing through the batch API until nothing is; raises what stopped it.

    The counterpart of ``_Collection.run``. Batches under way are waited for whatever happens to another.
    """
    buyer = _Buyer(client, work.model, work.settings, work.journal, work.budget, work.report, work)
    background = [asyncio.create_task(work._sync()), asyncio.create_task(work._report())]
    running: dict[asyncio.Task[None], _Batch] = {}
    try:
        while True:
            try:
                while work.stop is None and (batch := buyer.prepare()) is not None:
                    running[asyncio.create_task(buyer.see_through(batch))] = batch
            except OpinionAssetsError as error:
                work.stop = error
            if running:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    running.pop(task).close()
                    try:
                        await task
                    except OpinionAssetsError as error:
                        work.stop = work.stop or error
            elif work.stop is None and buyer.no_room:
                work.stop = work.budget_error()
            elif work.stop is None and work.awaits_others():
                await asyncio.sleep(0.1)
            else:
                break
    finally:
        for task in [*running, *background]:
            task.cancel()
        await asyncio.gather(*running, *background, return_exceptions=True)
        for batch in running.values():
            batch.close()
    work.raise_stop()


class _Buyer:
    """Takes batches of one partition from requests to journalled answers. ``work`` is None when taking up old ones."""

    def __init__(
        self,
        client: HttpClient,
        model: ModelVersion,
        settings: ElicitationSettings,
        journal: Journal,
        budget: Budget,
        report: "CollectReport",
        work: "_Collection | None" = None,
    ) -> None:
        self.api: BatchClient = open_batches(client)
        self.client, self.model, self.settings = client, model, settings
        self.journal, self.budget, self.report, self.work = journal, budget, report, work
        self.folder = journal.folder / _FOLDER
        self.no_room = False

    # from requests to a file

    def prepare(self) -> "_Batch | None":
        """The next batch, with its money reserved; None where nothing is to be asked or (``no_room``) can be paid."""
        assert self.work is not None
        with writing(self.journal.folder):
            while True:
                batch = self._new()
                try:
                    self._fill(batch)
                    total = sum(batch.most_usd)
                    if batch.records and self.budget.reserve(total):
                        batch.stage = replace(batch.stage, n_requests=len(batch.records), reserved_usd=total)
                        batch.enter("prepared")
                        return batch
                    batch.remove()
                except BaseException:
                    with contextlib.suppress(OSError):
                        batch.remove()
                        self.budget.settle(batch.stage.reserved_usd, 0.0)
                    raise
                if not batch.records:
                    return None
                # Another process took the money meanwhile.
                for task in reversed(batch.tasks):
                    self.work.put_back(task)

    def _fill(self, batch: "_Batch") -> None:
        assert self.work is not None
        self.no_room = False
        room, total, size = self.budget.room_usd, 0.0, len(self.api.opening) + len(self.api.closing)
        with batch.requests_file.open("wb") as requests, batch.upload_file.open("wb") as upload:
            upload.write(self.api.opening)
            while len(batch.records) < self.api.max_requests:
                task = self.work._take()
                if task is None:
                    break
                line = self.api.request(f"{batch.stage.name}-{len(batch.records)}", task.request)
                most = self.model.cost_usd(task.most_prompt_tokens, task.request.max_tokens, batch=True)
                total += most
                self.no_room = total > room
                size += len(line) + len(self.api.separator)
                if self.no_room or (size > self.api.max_bytes and batch.records):
                    self.work.put_back(task)
                    break
                record = self.work.unanswered(task, utc_now(), 0.0)
                requests.write(
                    orjson.dumps({"record": record, "options": task.question.options, "most_usd": most}) + b"\n"
                )
                upload.write((self.api.separator if batch.records else b"") + line)
                batch.add(record, task.question.options, most)
                batch.tasks.append(task)
            upload.write(self.api.closing)
            for file in (requests, upload):
                file.flush()
                os.fsync(file.fileno())

    def _new(self) -> "_Batch":
        assert self.work is not None
        self.folder.mkdir(exist_ok=True)
        while True:
            stage = Stage(uuid.uuid4().hex, self.model.model_version, self.client.base_url, 0, 0.0, "new", utc_now())
            fd = os.open(self.folder / f"{stage.name}.jsonl", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.fstat(fd).st_nlink:
                self.work.watch.own.add(stage.name)
                return _Batch(stage, self.folder, fd)
            os.close(fd)  # another process tidied it away before the lock was held

    # from a file to a batch

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return writing(self.journal.folder, "the journal cannot be written, so the batch is left to the next run")

    def _enter(self, batch: "_Batch", stage: str, batch_id: str | None = None) -> None:
        with self._writing():
            batch.enter(stage, batch_id)

    async def see_through(self, batch: "_Batch") -> None:
        """Buy a prepared batch and bring its answers home."""
        retrying = tenacity.AsyncRetrying(
            retry=_RETRYABLE,
            stop=tenacity.stop_after_attempt(self.settings.max_attempts),
            wait=retries.wait,
            reraise=True,
        )
        try:
            batch_id: str = await retrying(self._buy, batch)
        except RequestFailed as error:
            self._give_up(batch)
            raise OpinionAssetsError(
                f"{self.model.model_version}: the endpoint takes no batch: {error.reason}"
            ) from None
        self._enter(batch, "bought", batch_id)
        with self._writing():
            batch.upload_file.unlink(missing_ok=True)
        await self._follow(batch)

    async def _buy(self, batch: "_Batch") -> str:
        """One attempt to create a prepared batch; returns the provider's id. After a failure it is prepared again."""
        try:
            return await self.api.create(
                batch.stage.name, batch.upload_file, batch.stage.n_requests, lambda: self._enter(batch, "buying")
            )
        except RequestFailed as error:
            maybe = batch.stage.stage == "buying" and (error.retryable or error.maybe_billed)
            found = await self._found(batch) if maybe and not error.reason.startswith("HTTP 429") else None
            if found is not None:
                return found
            self._enter(batch, "prepared")
            raise

    async def take_up(self, batch: "_Batch") -> None:
        """Bring the answers of an earlier process's batch home, if it was bought."""
        if batch.stage.stage == "buying" and (batch_id := await self._found(batch)) is not None:
            self._enter(batch, "bought", batch_id)
        if batch.stage.batch_id is None:
            self._give_up(batch)
            return
        await self._follow(batch)

    async def _found(self, batch: "_Batch") -> str | None:
        """Id of a batch of which it is not known whether it was created, by the provider's list; None if it was not."""
        since = datetime.fromisoformat(batch.stage.at)
        # A list may lag behind the creation.
        await asyncio.sleep(max(0.0, self.settings.batch_poll_s - (datetime.now(UTC) - since).total_seconds()))
        while True:
            try:
                return await self._insist(
                    lambda: self.api.find(batch.stage.name, batch.stage.n_requests, since), batch, "be looked for"
                )
            except StillRunning:
                await asyncio.sleep(self.settings.batch_poll_s)

    def _give_up(self, batch: "_Batch") -> None:
        """Drop a batch that was not bought."""
        with self._writing():
            batch.remove()
            self.budget.settle(batch.stage.reserved_usd, 0.0)
        self._release(batch)

    def _release(self, batch: "_Batch") -> None:
        for task in batch.tasks:
            self.journal.release(task.request_hash)

    # from a batch to answers

    async def _follow(self, batch: "_Batch") -> None:
        report = self.report
        report.n_batches += 1
        report.n_in_batches += batch.stage.n_requests
        done = 0
        try:
            while True:
                state = await self._state(batch)
                report.n_done_in_batches += state.n_done - done
                done = state.n_done
                if state.ended:
                    break
                await asyncio.sleep(self.settings.batch_poll_s)
            await self._results(batch, state)
        finally:
            report.n_in_batches -= batch.stage.n_requests
            report.n_done_in_batches -= done

    async def _state(self, batch: "_Batch") -> BatchState:
        batch_id = batch.stage.batch_id
        assert batch_id is not None
        try:
            return await self._insist(lambda: self.api.state(batch_id), batch, "be followed")
        except OpinionAssetsError as error:
            gone = isinstance(error.__cause__, RequestFailed) and error.__cause__.reason.startswith("HTTP 404")
            if gone and datetime.now(UTC) - datetime.fromisoformat(batch.stage.at) > _KEPT:
                reason = "the provider keeps the batch no longer"
                return BatchState(batch_id, True, False, 0, reason, batch.stage.n_requests, ())
            raise

    async def _results(self, batch: "_Batch", state: BatchState) -> None:
        """Journal every answer as it comes, then what has none, then forget the batch."""
        costs: dict[int, float] = {}
        failures: dict[int, RequestFailed] = {}
        answers: dict[int, int] = {}

        async def read() -> bool:
            unreadable = await self._insist(
                lambda: self._download(batch, state, costs, failures, answers), batch, "be read"
            )
            return unreadable or (state.n_results is not None and len(costs) + len(failures) < state.n_results)

        # What is missing may only have got lost on the way.
        doubtful: bool = await tenacity.AsyncRetrying(
            retry=tenacity.retry_if_result(lambda doubtful: doubtful and bool(state.files)),
            stop=tenacity.stop_after_attempt(self.settings.max_attempts),
            wait=retries.wait,
            retry_error_callback=lambda last: last.outcome is not None and last.outcome.result(),
        )(read)
        for number, record in enumerate(batch.records):
            if number in costs:
                continue
            error = failures.get(number) or RequestFailed(f"no result came: {state.reason}", maybe_billed=doubtful)
            costs[number] = batch.most_usd[number] if error.maybe_billed else 0.0
            self._journal(record | {"error": error.reason, "cost_usd": costs[number], "batch": state.batch_id})
            self.report.n_failed += 1
            self.report.failures[error.reason] += 1
        with self._writing():
            self.journal.sync()
            batch.remove()
            self.budget.settle(batch.stage.reserved_usd, sum(costs.values()))
        self._release(batch)
        if self.work is not None:
            for number, task in enumerate(batch.tasks):
                self.work._finish(task, answers.get(number))
        n_failed = len(batch.records) - len(answers)
        if self.work is not None and (state.refused or (n_failed == len(batch.records) and n_failed >= _GIVE_UP_FROM)):
            last = next(reversed(failures.values())).reason if failures else state.reason
            raise OpinionAssetsError(f"{self.model.model_version}: all {n_failed:,} requests of a batch failed: {last}")

    async def _download(
        self,
        batch: "_Batch",
        state: BatchState,
        costs: dict[int, float],
        failures: dict[int, RequestFailed],
        answers: dict[int, int],
    ) -> bool:
        """Take in the results; True where some lines could not be read."""
        unreadable = False
        async for line in self.api.lines(state):
            try:
                custom_id, result = self.api.item(self.model.method, line)
                name, _, index = custom_id.rpartition("-")
                number = int(index) if name == batch.stage.name else -1
                record = batch.records[number] if number >= 0 else None
            except (KeyError, IndexError, TypeError, ValueError, AttributeError):
                record = None
            if record is None:
                unreadable = True
            elif isinstance(result, RequestFailed):
                failures[number] = result
            elif number not in costs:
                costs[number], answers[number] = self._take(batch, number, record, result, state.batch_id)
        return unreadable

    def _take(
        self, batch: "_Batch", number: int, unanswered: dict[str, Any], reply: Reply, batch_id: str
    ) -> tuple[float, int]:
        """Journal an answer unless an earlier process did; returns its cost and its answer index."""
        cost = batch.most_usd[number]
        if reply.prompt_tokens is not None and reply.completion_tokens is not None:
            cost = self.model.cost_usd(reply.prompt_tokens, reply.completion_tokens, batch=True)
        record = answered(unanswered, batch.options[number], reply, cost_usd=cost, latency_s=None)
        answer = -1 if record["answer_index"] is None else record["answer_index"]
        if self.journal.answered(record["request_hash"]) is None:
            self._journal(record | {"batch": batch_id})
            self.report.n_asked += 1
            self.report.n_invalid += record["status"] == "invalid"
            self.report.prompt_tokens += reply.prompt_tokens or 0
            self.report.completion_tokens += reply.completion_tokens or 0
        return cost, answer

    def _journal(self, record: dict[str, Any]) -> None:
        with self._writing():  # where that fails, the provider still has the answer
            self.journal.append(record)
            self.report.cost_usd += record["cost_usd"]
            if self.journal.trouble is not None:
                raise self.journal.trouble

    async def _insist(self, call: Callable[[], Awaitable[T]], batch: "_Batch", what: str) -> T:
        """Repeat what costs nothing until it succeeds or the provider has been out of reach for long."""

        def note(state: tenacity.RetryCallState) -> None:
            self.report.n_retries += 1

        retrying = tenacity.AsyncRetrying(
            retry=_RETRYABLE,
            stop=tenacity.stop_all(
                tenacity.stop_after_attempt(self.settings.max_attempts), tenacity.stop_after_delay(_PATIENCE_S)
            ),
            wait=retries.wait,
            before_sleep=note,
            reraise=True,
        )

        async def once() -> T:  # tenacity does not await what a lambda returns
            return await call()

        try:
            return await retrying(once)
        except RequestFailed as error:
            known = f"batch {batch.stage.batch_id}" if batch.stage.batch_id else "a batch that may have been created"
            raise OpinionAssetsError(
                f"{self.model.model_version}: {known} cannot {what}: {error.reason}; it stays recorded and the next "
                "run takes it up"
            ) from error
