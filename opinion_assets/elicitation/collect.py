"""Collecting answers: ask what is missing, keep every answer, stop at the budget.

Belongs here: planning the requests of a partition, sending them concurrently with retries, journalling, and reading
the journal back as ``response.answer``. Does not belong here: wording (``prompts``), protocols (``models.client``),
storage formats (``journal``) and any warehouse or Dagster matter.
"""

import asyncio
import contextlib
import contextvars
import functools
import logging
import math
import os
import queue
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import tenacity

from opinion_assets.elicitation import batches, retries
from opinion_assets.elicitation.budget import Budget
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.elicitation.journal import Journal, is_paid, partition_folder, read, unwritable, writing
from opinion_assets.elicitation.prompts import ENGLISH, Instructions, render
from opinion_assets.elicitation.records import answered
from opinion_assets.elicitation.settings import ElicitationSettings, samples_wanted
from opinion_assets.elicitation.throttle import Throttle
from opinion_assets.errors import BudgetError, InputError, OpinionAssetsError
from opinion_assets.identity import sha256_json
from opinion_assets.models import embedded
from opinion_assets.models.client import Client, HttpClient, Reply, Request, RequestFailed, open_client, utc_now
from opinion_assets.models.registry import ModelVersion
from opinion_assets.paths import path_key

__all__ = ["ANSWER_COLUMNS", "CollectReport", "ElicitationSettings", "PlanReport", "answers", "collect", "plan"]

#: Columns of ``response.answer``.
ANSWER_COLUMNS = [
    "model_version",
    "condition",
    "question_id",
    "request_hash",
    "prompt_hash",
    "prompt",
    "method",
    "option_order",
    "sample_index",
    "status",
    "error",
    "raw_text",
    "option_logprobs",
    "letter_mass",
    "answer_index",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "model_reported",
    "requested_at",
    "latency_s",
]
# Tokens that a server adds around a message (roles, turn markers), at most.
_MESSAGE_OVERHEAD = 64
_SYNC_EVERY_S = 2.0
# Disk space set aside for the answer to each request that may be under way.
_ROOM_PER_REQUEST = 32_768
# How long requests under way may still take after an interruption, beyond their own time-out.
_GRACE_S = 5.0
# Failures in a row, after all their attempts, at which a run gives up: the server is gone.
_GIVE_UP_AFTER = 25
_log = logging.getLogger(__name__)


@dataclass
class CollectReport:
    """What a collection did. Counts are requests; times are seconds; money is US dollars."""

    model_version: str
    condition: str
    n_questions: int = 0
    n_requested: int = 0
    n_from_journal: int = 0
    n_asked: int = 0
    n_invalid: int = 0
    n_failed: int = 0
    n_retries: int = 0
    n_damaged_lines: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    n_batches: int = 0
    n_in_batches: int = 0
    n_done_in_batches: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def rate_per_s(self) -> float:
        """Answers that arrived per second."""
        return self.n_asked / self.seconds if self.seconds > 0 else 0.0

    def metadata(self) -> dict[str, Any]:
        """Plain values for a run's metadata."""
        values = asdict(self)
        del values["model_version"], values["condition"]
        del values["n_in_batches"], values["n_done_in_batches"]
        failures = values.pop("failures")
        values["cost_usd"] = round(self.cost_usd, 9)
        values["seconds"] = round(self.seconds, 3)
        values["rate_per_s"] = round(self.rate_per_s, 2)
        if failures:
            values["failures"] = "; ".join(f"{count} × {reason}" for reason, count in Counter(failures).most_common(5))
        return values

    def line(self, n_expected: int) -> str:
        """One line of progress: how far, how fast, how dear, how long still."""
        done = self.n_from_journal + self.n_asked + self.n_failed
        share = f" ({100 * done / n_expected:.1f} %)" if n_expected else ""
        text = f"{self.model_version} {self.condition}: {done:,} of {n_expected:,} answers{share}"
        if self.n_from_journal:
            text += f", {self.n_from_journal:,} from the journal"
        if self.n_in_batches:
            text += f", {self.n_in_batches:,} in batches ({self.n_done_in_batches:,} done by the provider)"
        text += f", {self.rate_per_s:.1f}/s, ${self.cost_usd:.4f}"
        if self.n_failed or self.n_invalid:
            text += f", {self.n_failed:,} failed, {self.n_invalid:,} invalid"
        if self.rate_per_s > 0 and done < n_expected:
            text += f", {_duration((n_expected - done) / self.rate_per_s)} left"
        return text


@dataclass(frozen=True)
class PlanReport:
    """What a collection would do. ``n_in_batches``: in batches under way, whose answers a collection waits for.

    For adaptive sampling requests lie between ``n_to_ask`` and ``n_to_ask_most``.

    ``prompt_tokens`` and ``cost_usd`` are estimates for ``n_to_ask``; ``cost_usd_most`` is a bound that no run can
    pass without retries of charged attempts: every byte of a prompt one token, every sample and reply at its longest.
    """

    n_questions: int
    n_requests: int
    n_in_journal: int
    n_in_batches: int
    n_to_ask: int
    n_to_ask_most: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    cost_usd_most: float


@dataclass(slots=True)
class _Question:
    """A question as it is asked, and for sampling the answers known so far."""

    question_id: str
    text: str
    options: list[str]
    variant: str
    answers: list[int | None]
    issued: int = 0
    pending: int = 0


@dataclass(slots=True)
class _Task:
    """One request to be sent."""

    question: _Question
    number: int
    order: tuple[int, ...]
    sample_index: int
    request: Request
    prompt: str
    prompt_hash: str
    request_hash: str
    most_prompt_tokens: int


def collect(
    questions: pd.DataFrame,
    options: pd.DataFrame,
    model: ModelVersion,
    condition: Condition,
    settings: ElicitationSettings | None = None,
    *,
    journal_dir: Path,
    country_name: str | None = None,
    instructions: Instructions = ENGLISH,
    budget_usd: float | None = None,
    project_budget_usd: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> CollectReport:
    """Ask a model every question that the journal does not answer yet.

    ``questions`` has the columns question_id and text, ``options`` those of ``question.option``; for a linguistic
    condition both are translated and ``instructions`` are the phrases in that language. ``country_name`` is the name
    used in a cross-national prompt. Answers are in the journal when this returns, whatever happens in between:
    :func:`answers` reads them. Answers that a model gave before are never asked for again; failed requests are.

    Raises :class:`BudgetError` when the next request could pass ``budget_usd`` (this run) or ``project_budget_usd``
    (all runs that share ``journal_dir``), and :class:`OpinionAssetsError` when the endpoint refuses every request, asks
    for a longer wait than the settings allow, or the journal cannot be written; what was bought until then is kept.
    The exception's ``report`` attribute is the :class:`CollectReport`. An exception that a signal raises here (Ctrl-C,
    Dagster's termination) passes on after the requests under way have been answered and journalled; a second one
    leaves them. ``progress`` is called in the caller's thread.
    """
    settings = settings or ElicitationSettings()
    _check_askable(model, settings)
    planner = _Planner(questions, options, model, condition, settings, country_name, instructions)
    report = CollectReport(model.model_version, condition.key, n_questions=len(planner.texts))
    started = time.monotonic()
    folder = partition_folder(journal_dir, model.model_version, condition.key)
    with contextlib.ExitStack() as stack:
        with writing(journal_dir, "the budget's ledger cannot be opened, so nothing was asked"):
            budget = Budget(journal_dir / "spent", budget_usd, project_budget_usd)
        stack.callback(budget.close)
        if batches.has_left_over(folder):
            with Journal(folder) as journal:
                _run_async(model, None, lambda client: batches.resume(client, model, settings, journal, budget, report))
        journal = stack.enter_context(Journal(folder))
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        work = _Collection(planner, journal, budget, report, None if progress is None else lines.put)
        stack.callback(work.close)
        try:
            # The embedded model is loaded only if there is something to ask.
            if work.has_work():
                endpoint = None
                if model.provider == "embedded":
                    endpoint = stack.enter_context(embedded.serve(model, logprobs=model.method != "sampling"))
                if settings.use_batch_api:
                    _run_async(model, endpoint, functools.partial(batches.run, work), lines, progress)
                else:
                    _run_async(model, endpoint, work.run, lines, progress, work.interrupt)
            else:
                work.raise_stop()
        finally:
            report.n_damaged_lines = journal.n_damaged
            report.seconds = time.monotonic() - started
    if progress is not None:
        progress(report.line(report.n_requested))
    return report


def _check_askable(model: ModelVersion, settings: ElicitationSettings) -> None:
    if model.provider == "imported":
        raise InputError(
            f"{model.model_version} is imported and cannot be asked; bring its answers in with import-answers"
        )
    if settings.use_batch_api and not model.batch_api:
        raise InputError(
            f"{model.model_version} has no batch API; set batch_api: true in the registry if its endpoint offers one"
        )


def _run_async(
    model: ModelVersion,
    endpoint: str | None,
    do: Callable[[HttpClient], Coroutine[Any, Any, None]],
    lines: "queue.SimpleQueue[str | None] | None" = None,
    progress: Callable[[str], None] | None = None,
    interrupt: Callable[[], None] | None = None,
) -> None:
    """Run to the end in a thread of its own, and pass its ``lines`` on to ``progress`` in this one.

    Python raises a signal's exception in the main thread, between any two instructions. Here that is never between a
    reply and the journal. After one, ``interrupt`` is called in the event loop, and what is under way may end.
    """
    lines = lines or queue.SimpleQueue()
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()
    outcome: list[BaseException] = []
    tasks: list[asyncio.Task[None] | None] = []

    async def run() -> None:
        tasks.append(asyncio.current_task())
        async with open_client(model, endpoint) as client:
            await do(client)

    def target() -> None:
        try:
            with runner:
                runner.run(run())
        except BaseException as error:
            outcome.append(error)
        finally:
            lines.put(None)

    def call(function: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(function)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(target,), name="collect")
    thread.start()
    try:
        while (line := lines.get()) is not None:
            if progress is not None:
                progress(line)
        thread.join()
    except BaseException:
        try:
            if interrupt is not None:
                call(interrupt)
                thread.join(model.timeout_s + _GRACE_S)
        finally:
            for task in tasks:
                if task is not None:
                    call(task.cancel)
            thread.join()
        raise
    if outcome:
        raise outcome[0]


class _Planner:
    """The requests of a partition, made one after the other so that a large plan takes no memory."""

    def __init__(
        self,
        questions: pd.DataFrame,
        options: pd.DataFrame,
        model: ModelVersion,
        condition: Condition,
        settings: ElicitationSettings,
        country_name: str | None,
        instructions: Instructions,
    ) -> None:
        self.model, self.condition, self.settings = model, condition, settings
        self.country_name, self.instructions = country_name, instructions
        self.settings_key = settings.key(model)
        self.texts: dict[str, str] = dict(zip(questions["question_id"], questions["text"], strict=True))
        if len(self.texts) != len(questions):
            twice = questions.loc[questions["question_id"].duplicated(), "question_id"].iloc[0]
            raise InputError("stands twice among the questions to ask", question=twice)
        self.options = _options_by_question(options, self.texts)
        self._frame = [asdict(instructions), country_name]

    def question(self, question_id: str) -> _Question:
        text, options = self.texts[question_id], self.options[question_id]
        variant = sha256_json([text, options, self._frame])[:16]
        return _Question(question_id, text, options, variant, [])

    def questions(self) -> Iterator[_Question]:
        """All questions; for an embedded model those that begin alike one after the other (see ``models.embedded``)."""
        ids: Sequence[str] = list(self.texts)
        if self.model.provider == "embedded":
            ids = sorted(ids, key=lambda question_id: (self.texts[question_id], self.options[question_id]))
        return (self.question(question_id) for question_id in ids)

    def count(self) -> tuple[int, int]:
        """Fewest and most requests of the whole plan."""
        sizes = Counter(len(options) for options in self.options.values())
        counts = {size: self.settings.count(self.model, size) for size in sizes}
        return (
            sum(n * counts[size][0] for size, n in sizes.items()),
            sum(n * counts[size][1] for size, n in sizes.items()),
        )

    def tasks(self, question: _Question) -> Iterator[_Task]:
        """All requests of a question, for sampling up to the most samples."""
        model, method = self.model, self.model.method
        temperature, max_tokens = self.settings.sampling_temperature(model), self.settings.reply_tokens(model)
        rendered: dict[tuple[int, ...], tuple[str, str | None, tuple[dict[str, str], ...], str, int]] = {}
        planned = self.settings.requests(model, len(question.options), question.question_id)
        for number, (order, sample_index) in enumerate(planned):
            if order not in rendered:
                rendered[order] = self._render(question, order)
            text, prompt, messages, prompt_hash, most = rendered[order]
            request = Request(
                method,
                prompt,
                messages,
                max_tokens,
                temperature,
                model.top_logprobs,
                self.settings.seed + number if method == "sampling" and model.provider != "anthropic" else None,
            )
            request_hash = sha256_json([self.settings_key, question.question_id, prompt_hash, order, sample_index])
            yield _Task(question, number, order, sample_index, request, text, prompt_hash, request_hash, most)

    def _render(
        self, question: _Question, order: tuple[int, ...]
    ) -> tuple[str, str | None, tuple[dict[str, str], ...], str, int]:
        try:
            rendered = render(
                question.text,
                question.options,
                order,
                self.condition,
                country_name=self.country_name,
                instructions=self.instructions,
            )
        except InputError as error:
            raise InputError(error.problem, question=question.question_id) from None
        messages: tuple[dict[str, str], ...]
        if self.model.method == "completion_logprobs":
            text, prompt, messages = rendered.completion, rendered.completion, ()
        else:
            messages = tuple(rendered.messages(prefill=self.model.prefill))
            text, prompt = orjson.dumps(messages).decode(), None
        most = len(text.encode()) + _MESSAGE_OVERHEAD * (1 + len(messages))
        return text, prompt, messages, sha256_json(text), most


def _options_by_question(options: pd.DataFrame, texts: dict[str, str]) -> dict[str, list[str]]:
    ordered = options[options["question_id"].isin(texts.keys())].sort_values(["question_id", "option_index"])
    found: dict[str, list[str]] = {}
    for question_id, group in ordered.groupby("question_id", sort=False):
        if group["option_index"].tolist() != list(range(len(group))):
            raise InputError("option indices are not 0, 1, 2, …", question=question_id, field="option_index")
        found[str(question_id)] = group["option"].tolist()
    missing = [question_id for question_id in texts if question_id not in found]
    if missing:
        raise InputError("has no options", question=missing[0])
    return {question_id: found[question_id] for question_id in texts}


class _Stop(Exception):  # noqa: N818 - control flow: ends all workers
    """Ends the run; the error is raised to the caller after what is under way has ended."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Collection:
    """One run over one partition: workers take tasks from the plan and journal what comes back."""

    def __init__(
        self,
        planner: _Planner,
        journal: Journal,
        budget: Budget,
        report: CollectReport,
        progress: Callable[[str], None] | None,
    ) -> None:
        self.planner, self.journal, self.budget, self.report = planner, journal, budget, report
        self.progress = progress
        self.model, self.settings = planner.model, planner.settings
        self._stop: Exception | None = None
        self._stopping = asyncio.Event()
        self._plan = self._planned()
        self._head: _Task | None = None
        self._again: deque[_Task] = deque()  # next rounds of adaptive sampling
        self._claimed: deque[_Task] = deque()  # being asked by another process
        self.watch = batches.Watch(journal.folder)
        self._n_in_others_batches = 0
        self._open = 0  # tasks handed out and not finished
        self.n_reserved = 0  # attempts under way that hold a reservation
        self._changed = asyncio.Event()
        self._failures_in_a_row = 0
        self._started = time.monotonic()
        # A provider may count tokens that we do not know of. How many is seen at the first reply; with a budget to
        # keep, only one request is under way until then.
        self.usage_known = budget.run_usd is None and budget.project_usd is None
        self.most_factor = 1.0
        self._unwritten: list[dict[str, Any]] = []
        model = self.model
        self.throttle = Throttle(
            model.max_concurrency,
            model.requests_per_minute,
            model.tokens_per_minute,
            journal.folder.parent / "pace",
        )

    def close(self) -> None:
        """Give back what is not the journal's or the budget's."""
        self.throttle.close()

    @property
    def stop(self) -> Exception | None:
        """What ends the run; set once, and then nothing more is sent."""
        return self._stop

    @stop.setter
    def stop(self, error: Exception | None) -> None:
        if error is not None and self._stop is None:
            self._stop = error
            self._stopping.set()
            self._changed.set()
            self.throttle.close()

    def interrupt(self) -> None:
        """End the run after what is under way."""
        self.stop = OpinionAssetsError(f"{self.model.model_version}: interrupted")

    # which task next

    def has_work(self) -> bool:
        """Whether anything is missing in the journal; reads the plan up to the first missing answer."""
        self._head = next(self._plan, None)
        return self._head is not None

    def _planned(self) -> Iterator[_Task]:
        for question in self.planner.questions():
            last = self.journal.variant(question.question_id)
            if last is not None and last != question.variant:
                # Answers to an earlier wording stay in the journal; this says which wording counts now.
                self.keep({"question_id": question.question_id, "variant": question.variant})
            yield from self._round(question)

    def _round(self, question: _Question) -> list[_Task]:
        """The question's next requests that the journal does not answer."""
        tasks: list[_Task] = []
        sampling = self.model.method == "sampling"
        while not tasks:
            wanted = math.inf
            if sampling:
                wanted = samples_wanted(self.settings, self.model, question.answers, len(question.options))
            if question.issued >= wanted:
                break
            first = question.issued
            for task in self.planner.tasks(question):
                if task.number < first:
                    continue
                if task.number >= wanted:
                    break
                question.issued += 1
                self.report.n_requested += 1
                known = self.journal.answered(task.request_hash)
                if sampling:
                    question.answers.append(known)
                if known is None:
                    tasks.append(task)
                else:
                    self.report.n_from_journal += 1
            if not sampling:
                break
        question.pending = len(tasks)
        return tasks

    async def _next(self) -> _Task | None:
        while self.stop is None:
            task = self._take()
            if task is not None:
                self._open += 1
                return task
            if self._open == 0 and not self._claimed:
                self._changed.set()
                return None
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), 0.1 if self._claimed else None)
        return None

    def _take(self) -> _Task | None:
        """A task that this process has claimed and that nobody has answered."""
        n_claimed = len(self._claimed)
        while True:
            if self._again:
                task = self._again.popleft()
            elif self._head is not None:
                task, self._head = self._head, None
            else:
                following = next(self._plan, None)
                if following is not None:
                    task = following
                elif n_claimed:
                    n_claimed -= 1
                    task = self._claimed.popleft()
                else:
                    return None
            claimed = self.journal.claim(task.request_hash)
            if self.watch.holds(task.request_hash):
                if claimed:
                    self.journal.release(task.request_hash)
                self._n_in_others_batches += 1
                continue
            if not claimed:
                self._claimed.append(task)
                continue
            # Another process may have answered between our last look and our claim.
            self.journal.catch_up()
            known = self.journal.answered(task.request_hash)
            if known is None:
                return task
            self.journal.release(task.request_hash)
            self.report.n_from_journal += 1
            self._finish(task, known)

    def put_back(self, task: _Task) -> None:
        """Return a task that :meth:`_take` gave; it comes first next time."""
        self.journal.release(task.request_hash)
        self._again.appendleft(task)

    def awaits_others(self) -> bool:
        """Whether requests are left that another process is sending."""
        return bool(self._claimed)

    def _finish(self, task: _Task, answer: int | None) -> None:
        """Note an answer; None for a failed request, after which no further round of samples is decided on."""
        question = task.question
        question.pending -= 1
        if self.model.method == "sampling":
            question.answers[task.number] = answer
            if question.pending == 0:
                self._again.extend(self._round(question))

    # asking

    async def run(self, client: Client) -> None:
        """Ask until nothing is missing; raises what stopped it."""
        try:
            self.journal.prepare(max(1 << 20, _ROOM_PER_REQUEST * self.model.max_concurrency))
        except InputError as error:
            self.stop = error
            self.raise_stop()
        background = [asyncio.create_task(self._sync()), asyncio.create_task(self._report())]
        workers = [asyncio.create_task(self._work(client)) for _ in range(self.model.max_concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in [*workers, *background]:
                task.cancel()
            await asyncio.gather(*workers, *background, return_exceptions=True)
            self._write_elsewhere()
        self.raise_stop()

    def keep(self, record: dict[str, Any]) -> None:
        """Journal a record. Where that fails, hold it until the run, which then ends, can put it elsewhere."""
        try:
            self.journal.append(record)
        except OSError:
            self._unwritten.append(record)
        if self.journal.trouble is not None and self.stop is None:
            self.stop = unwritable(self.journal.trouble, self.journal.folder)

    def _write_elsewhere(self) -> None:
        """Last resort for answers that were paid for and that the journal does not take."""
        if not self._unwritten:
            return
        name = f"{path_key(self.model.model_version)}-{path_key(self.planner.condition.key)}-{os.getpid()}.jsonl"
        path = Path(tempfile.gettempdir()) / f"{time.time_ns():020d}-{name.replace('/', '-')}"
        content = b"".join(orjson.dumps(record) + b"\n" for record in self._unwritten)
        try:
            path.write_bytes(content)
            where = (
                f"{len(self._unwritten):,} records that it did not take are in {path}; move this file into the folder"
            )
        except OSError:
            where = f"{len(self._unwritten):,} records could be written nowhere and are lost"
        _log.error("%s: %s", self.journal.folder, where)
        self._stop = InputError(f"{self.stop}; {where}")

    def raise_stop(self) -> None:
        """Raise what stopped the run, if anything did."""
        if self.stop is None and self._n_in_others_batches:
            self.stop = OpinionAssetsError(
                f"{self.model.model_version} {self.planner.condition.key}: {self._n_in_others_batches:,} requests are "
                "in a batch that another process sent; everything else is done. Run again when that batch has ended"
            )
        if isinstance(self._stop, BudgetError):
            self._stop = self.budget_error()  # again: what was under way has been answered since
        if self.stop is not None:
            self.stop.report = self.report  # type: ignore[attr-defined]  # documented at collect()
            raise self.stop

    async def _sync(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SYNC_EVERY_S)
            try:
                await loop.run_in_executor(None, self._sync_now)
            except OSError as error:
                self.stop = unwritable(error, self.journal.folder)
                return

    def _sync_now(self) -> None:
        self.journal.sync()
        self.budget.sync()

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the run."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _report(self) -> None:
        while self.progress is not None:
            await asyncio.sleep(self.settings.progress_every_s)
            self.report.seconds = time.monotonic() - self._started
            least, _ = self.planner.count()
            self.progress(self.report.line(max(least, self.report.n_requested)))

    async def _work(self, client: Client) -> None:
        """Whatever goes wrong in one worker ends the run, but not the requests that others have under way."""
        try:
            while (task := await self._next()) is not None:
                try:
                    await self._one(client, task)
                finally:
                    self.journal.release(task.request_hash)
                    self._open -= 1
                    if self._again or self._open == 0:
                        self._changed.set()
        except _Stop as stop:
            self.stop = stop.error
        except Exception as error:
            self.stop = error

    async def _one(self, client: Client, task: _Task) -> None:
        """Ask until an answer comes or the attempts are used up, and journal the outcome."""
        attempt = _Attempt(self, client, task)
        try:
            reply = await self._insist(attempt)
        except RequestFailed as error:
            self._failed(task, attempt, error)
            name = self.model.model_version
            if error.fatal:
                raise _Stop(OpinionAssetsError(f"{name}: the endpoint refuses requests: {error.reason}")) from None
            if error.retry_after is not None and error.retry_after > self.settings.max_wait_s:
                raise _Stop(
                    OpinionAssetsError(
                        f"{name}: the endpoint asks to wait {error.retry_after:,.0f} s, longer than "
                        f"{self.settings.max_wait_s:g} s; run again later"
                    )
                ) from None
            if self._failures_in_a_row >= _GIVE_UP_AFTER:
                raise _Stop(
                    OpinionAssetsError(
                        f"{name}: gave up after {self._failures_in_a_row} failed requests in a row; "
                        f"the last one: {error.reason}"
                    )
                ) from None
            return
        except _Stop:
            # Between two attempts: what the earlier ones may have cost is accounted for.
            if attempt.failure is not None:
                self._failed(task, attempt, attempt.failure)
            raise
        self._answered(task, attempt, reply)

    async def _insist(self, attempt: "_Attempt") -> Reply:
        """The first attempt, and only where it fails the machinery for further ones."""
        first: RequestFailed | None = None
        try:
            return await attempt()
        except RequestFailed as error:
            first = error

        async def following() -> Reply:
            nonlocal first
            if first is not None:
                known, first = first, None
                raise known
            return await attempt()

        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self.settings.max_attempts),
            wait=retries.wait,
            retry=tenacity.retry_if_exception(self._worth_retrying),
            sleep=self.pause,
            reraise=True,
        )
        reply: Reply = await retrying(following)
        return reply

    def _worth_retrying(self, error: BaseException) -> bool:
        return (
            isinstance(error, RequestFailed)
            and error.retryable
            and self.stop is None
            and (error.retry_after or 0) <= self.settings.max_wait_s
        )

    def _answered(self, task: _Task, attempt: "_Attempt", reply: Reply) -> None:
        record = answered(
            self.unanswered(task, attempt.requested_at, attempt.cost_usd),
            task.question.options,
            reply,
            cost_usd=attempt.cost_usd,
            latency_s=round(attempt.latency_s, 6),
        )
        self.keep(record)
        report = self.report
        report.n_asked += 1
        report.prompt_tokens += reply.prompt_tokens or 0
        report.completion_tokens += reply.completion_tokens or 0
        report.cost_usd += record["cost_usd"]
        if record["status"] == "invalid":
            report.n_invalid += 1
        self._failures_in_a_row = 0
        self._finish(task, -1 if record["answer_index"] is None else record["answer_index"])

    def _failed(self, task: _Task, attempt: "_Attempt", error: RequestFailed) -> None:
        tries = f" (after {attempt.n} attempts)" if attempt.n > 1 else ""
        self.keep(
            self.unanswered(task, attempt.requested_at, attempt.cost_usd)
            | {"error": error.reason + tries, "raw_text": attempt.body}
        )
        self.report.n_failed += 1
        self.report.cost_usd += attempt.cost_usd
        self.report.failures[error.reason] += 1
        self._failures_in_a_row += 1
        self._finish(task, None)

    def unanswered(self, task: _Task, requested_at: str, cost_usd: float) -> dict[str, Any]:
        """The journal's record of a request without an answer.

        The columns of ``response.answer``, with null for -inf, and what selects the record later.
        """
        return {
            "request_hash": task.request_hash,
            "question_id": task.question.question_id,
            "variant": task.question.variant,
            "settings": self.planner.settings_key,
            "model_version": self.model.model_version,
            "condition": self.planner.condition.key,
            "prompt_hash": task.prompt_hash,
            "prompt": task.prompt,
            "method": self.model.method,
            "option_order": task.order,
            "sample_index": task.sample_index,
            "status": "failed",
            "error": None,
            "raw_text": None,
            "option_logprobs": None,
            "letter_mass": None,
            "answer_index": None,
            "prompt_tokens": None,
            "completion_tokens": None,
            "cost_usd": cost_usd,
            "model_reported": None,
            "requested_at": requested_at,
            "latency_s": None,
        }

    def budget_error(self) -> BudgetError:
        """What stops a run at its budget."""
        limits = []
        if self.budget.run_usd is not None:
            limits.append(f"run ${self.budget.run_usd:g}")
        if self.budget.project_usd is not None:
            limits.append(f"project ${self.budget.project_usd:g} (spent ${self.budget.project_spent_usd:.6f})")
        done = self.report.n_asked + self.report.n_from_journal
        return BudgetError(
            f"{self.model.model_version} {self.planner.condition.key}: stopped before the budget would be passed "
            f"({', '.join(limits)}); this run spent ${self.report.cost_usd:.6f}, {done:,} answers are kept"
        )


class _Attempt:
    """The attempts at one request: admission, reservation, the wire, and what they cost."""

    def __init__(self, work: _Collection, client: Client, task: _Task) -> None:
        self.work, self.client, self.task = work, client, task
        self.n = 0
        self.cost_usd = 0.0
        self.latency_s = 0.0
        self.requested_at = ""
        self.failure: RequestFailed | None = None
        self.body: str | None = None  # the last reply that could not be read

    async def __call__(self) -> Reply:
        work, task = self.work, self.task
        estimate = task.most_prompt_tokens // 4 + task.request.max_tokens
        started = await work.throttle.acquire(estimate)
        try:
            if work.stop is not None:
                raise _Stop(work.stop)
            most = await self._reserve()
            if self.n:
                work.report.n_retries += 1
            self.n += 1
            try:
                reply = await self._ask(most)
            except RequestFailed as error:
                self.failure, self.body = error, error.body or self.body
                if error.throttled:
                    work.throttle.throttled(started, error.retry_after)
                raise
        finally:
            work.throttle.release()
        used = (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)
        work.throttle.succeeded(estimate, used)
        return reply

    async def _ask(self, most: float) -> Reply:
        """One exchange, whose cost replaces the reserved ``most`` US dollars, however it ends."""
        work, task, model = self.work, self.task, self.work.model
        spent = most  # until we know better: a cancelled request may be charged
        self.requested_at = utc_now()
        clock = time.perf_counter()
        try:
            reply = await self.client.ask(task.request)
            self.latency_s = time.perf_counter() - clock
            spent = model.cost_usd(
                task.most_prompt_tokens if reply.prompt_tokens is None else reply.prompt_tokens,
                task.request.max_tokens if reply.completion_tokens is None else reply.completion_tokens,
            )
            work.usage_known = True
            if spent > most:
                # Questions differ, so twice as much.
                work.most_factor *= 2 * spent / most
                _log.warning("%s charges more tokens than were sent; reserving more", model.model_version)
        except RequestFailed as error:
            if not error.maybe_billed:
                spent = 0.0
            raise
        finally:
            self.cost_usd += spent
            if most:
                work.n_reserved -= 1
                try:
                    work.budget.settle(most, spent)
                except OSError as error:
                    work.stop = unwritable(error, work.journal.folder, "the budget's ledger cannot be written")
        return reply

    async def _reserve(self) -> float:
        """Reserve the most this attempt may cost; what is under way may cost less than reserved, so wait for it."""
        work, task = self.work, self.task
        while True:
            most = work.most_factor * work.model.cost_usd(task.most_prompt_tokens, task.request.max_tokens)
            if not most:
                return most
            alone = work.n_reserved == 0
            if (alone or work.usage_known) and work.budget.reserve(most):
                work.n_reserved += 1
                return most
            if work.stop is not None or alone:
                raise _Stop(work.stop or work.budget_error())
            await asyncio.sleep(0.02)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def plan(
    questions: pd.DataFrame,
    options: pd.DataFrame,
    model: ModelVersion,
    condition: Condition,
    settings: ElicitationSettings | None = None,
    *,
    journal_dir: Path,
    country_name: str | None = None,
    instructions: Instructions = ENGLISH,
) -> PlanReport:
    """Dry run of :func:`collect`: how many requests it would send and what they would cost. Sends and writes nothing.

    Prompt tokens are estimated by the bytes per token of answers already in the journal, else at 4 bytes per token.
    """
    settings = settings or ElicitationSettings()
    _check_askable(model, settings)
    planner = _Planner(questions, options, model, condition, settings, country_name, instructions)
    known: dict[str, int] = {}
    seen_bytes = seen_tokens = 0
    for record in read(partition_folder(journal_dir, model.model_version, condition.key)):
        if "request_hash" in record and is_paid(record):
            known[record["request_hash"]] = -1 if record["answer_index"] is None else record["answer_index"]
            if record["prompt_tokens"]:
                seen_bytes += len(record["prompt"].encode())
                seen_tokens += record["prompt_tokens"]
    under_way = batches.requests_under_way(partition_folder(journal_dir, model.model_version, condition.key))
    bytes_per_token = seen_bytes / seen_tokens if seen_tokens else 4.0
    n_requests = n_known = n_under_way = n_least = n_most = 0
    n_bytes = 0
    most_usd = 0.0
    for question in planner.questions():
        tasks = list(planner.tasks(question))
        wanted = len(tasks)
        if model.method == "sampling":
            found = [known.get(task.request_hash) for task in tasks]
            wanted = samples_wanted(settings, model, found, len(question.options))
        n_requests += wanted
        for task in tasks:
            if task.request_hash in known:
                n_known += task.number < wanted
                continue
            if task.request_hash in under_way:
                n_under_way += 1
                continue
            n_most += 1
            most_usd += model.cost_usd(task.most_prompt_tokens, task.request.max_tokens, batch=settings.use_batch_api)
            if task.number < wanted:
                n_least += 1
                n_bytes += len(task.prompt.encode())
    prompt_tokens = math.ceil(n_bytes / bytes_per_token)
    completion_tokens = n_least * settings.reply_tokens(model)
    return PlanReport(
        len(planner.texts),
        n_requests,
        n_known,
        n_under_way,
        n_least,
        n_most,
        prompt_tokens,
        completion_tokens,
        model.cost_usd(prompt_tokens, completion_tokens, batch=settings.use_batch_api),
        most_usd,
    )


def answers(
    journal_dir: Path,
    model: ModelVersion,
    condition: Condition,
    settings: ElicitationSettings | None = None,
) -> pd.DataFrame:
    """Everything in the journal of a partition that counts under ``settings``, as rows of ``response.answer``.

    That is, for every question ever asked there: the answers to its last wording, to the option orders and samples
    that the settings ask for, under the same template and sampling settings; one row per request, an answer before a
    failure.
    """
    settings = settings or ElicitationSettings()
    key = settings.key(model)
    variants: dict[str, str] = {}
    rows: dict[str, dict[str, Any]] = {}
    for record in read(partition_folder(journal_dir, model.model_version, condition.key)):
        variants[record["question_id"]] = record["variant"]
        if record.get("settings") != key:
            continue
        request_hash = record["request_hash"]
        if request_hash not in rows or not is_paid(rows[request_hash]):
            rows[request_hash] = record
    by_question: dict[str, list[dict[str, Any]]] = {}
    for record in rows.values():
        if record["variant"] == variants[record["question_id"]]:
            by_question.setdefault(record["question_id"], []).append(record)
    chosen = [
        record
        for question_id in sorted(by_question)
        for record in _asked_for(by_question[question_id], model, settings)
    ]
    frame = pd.DataFrame(chosen, columns=ANSWER_COLUMNS)
    frame["requested_at"] = pd.to_datetime(frame["requested_at"], utc=True, format="ISO8601")
    frame["option_logprobs"] = frame["option_logprobs"].map(_with_minus_infinity).astype(object)
    for column in ("answer_index", "prompt_tokens", "completion_tokens"):
        frame[column] = frame[column].astype("Int64")
    for column in ("letter_mass", "cost_usd", "latency_s"):
        frame[column] = frame[column].astype(float)
    return frame


def _asked_for(
    records: Sequence[dict[str, Any]], model: ModelVersion, settings: ElicitationSettings
) -> list[dict[str, Any]]:
    """The records of one question that the settings ask for, in the order of asking."""
    n_options = len(records[0]["option_order"])
    found = {(tuple(record["option_order"]), record["sample_index"]): record for record in records}
    wanted = [found.get(cell) for cell in settings.requests(model, n_options, records[0]["question_id"])]
    if model.method == "sampling":
        known = [
            None
            if record is None or not is_paid(record)
            else -1
            if record["answer_index"] is None
            else record["answer_index"]
            for record in wanted
        ]
        wanted = wanted[: samples_wanted(settings, model, known, n_options)]
    return [record for record in wanted if record is not None]


def _with_minus_infinity(values: object) -> list[float] | None:
    if not isinstance(values, list):
        return None
    return [-np.inf if value is None else value for value in values]
