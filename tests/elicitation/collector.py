"""One collection over HTTP as a function of plain values, so that a process of its own can run it and be killed.

``python -m tests.elicitation.collector JOURNAL URL N [FIELD=JSON …]`` does the same and prints the report as JSON, or
the error's name and text. The field ``file_size`` limits the size of any file this process writes; with the field
``batch`` the collection goes through the batch API.
"""

import dataclasses
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from opinion_assets.elicitation.collect import CollectReport, ElicitationSettings, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.elicitation.journal import partition_folder, read
from opinion_assets.errors import BudgetError, OpinionAssetsError
from opinion_assets.models.registry import ModelVersion
from tests.elicitation import batch_collector
from tests.elicitation.batch_collector import questions
from tests.elicitation.server import StubServer, content_of

DEFAULT = Condition("default")
#: Killed processes start from a server that has everything imported and no thread.
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.elicitation.collector"])


def model(url: str, method: str = "completion_logprobs", **fields: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "model_version": "stub@1", "provider": "openai", "method": method, "model": "stub", "endpoint": url,
        "prompt_usd_per_million": 1.0, "completion_usd_per_million": 1.0, "max_concurrency": 8, "timeout_s": 30.0,
    }  # fmt: skip
    return ModelVersion(**(values | fields))


def run(
    journal: str | Path,
    url: str,
    n: int,
    *,
    budget_usd: float | None = None,
    project_budget_usd: float | None = None,
    settings: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
    condition: str = "default",
    **fields: Any,
) -> CollectReport:
    """Collect ``n`` questions one by one."""
    return collect(
        *questions(n),
        model(url, **fields),
        Condition.parse(condition),
        ElicitationSettings(**(settings or {})),
        journal_dir=Path(journal),
        country_name="Turkey" if condition != "default" else None,
        budget_usd=budget_usd,
        project_budget_usd=project_budget_usd,
        progress=progress,
    )


def outcome(*arguments: Any, **fields: Any) -> None:
    """:func:`run` for a process of its own, which exits with 3 where the budget ends it."""
    try:
        run(*arguments, **fields)
    except BudgetError:
        sys.exit(3)


def records(journal: Path, condition: str = "default") -> list[dict[str, Any]]:
    """Everything in a partition's journal."""
    return list(read(partition_folder(journal, "stub@1", condition)))


def paid(journal: Path, condition: str = "default") -> list[dict[str, Any]]:
    """The answers in a partition's journal."""
    return [record for record in records(journal, condition) if record.get("status", "failed") != "failed"]


def content(record: dict[str, Any]) -> str:
    """The name under which the stub server counts a completion request of :func:`model`."""
    payload = {"model": "stub", "max_tokens": 1, "temperature": 0.0, "prompt": record["prompt"], "logprobs": 20}
    return content_of(json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode())


@dataclasses.dataclass
class Kill:
    """A kill -9: when (``time.monotonic()``), and the contents that the journal held afterwards."""

    moment: float
    held: set[str]


def kill_at(process: BaseProcess, server: StubServer, journal: Path, n_requests: int, delay_s: float) -> Kill | None:
    """Kill a collecting process ``delay_s`` after the server has seen ``n_requests``; None where it had ended."""
    while server.n_requests < n_requests and process.is_alive():
        time.sleep(0.001)
    time.sleep(delay_s)
    if not process.is_alive() or process.pid is None:
        process.join()
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return Kill(time.monotonic(), {content(record) for record in paid(journal)})


def check_kills(server: StubServer, journal: Path, kills: list[Kill], n: int, concurrency: int) -> dict[str, int]:
    """Nothing lost, nothing repeated but what was in flight; returns the figures.

    Lost would be an answer that the journal held at a kill and does not hold at the end. In flight at a kill was a
    request that the server had seen and whose answer the journal did not hold; only these may be asked again.
    """
    answers = {content(record) for record in paid(journal)}
    lost = set().union(*(kill.held for kill in kills)) - answers
    assert not lost
    assert len(answers) == n
    repeated_though_held = [
        seen for seen in server.seen for kill in kills if seen.started > kill.moment and seen.content in kill.held
    ]
    assert not repeated_though_held
    for kill in kills:
        asked = {seen.content for seen in server.seen if seen.started < kill.moment}
        assert len(asked - kill.held) <= concurrency
    n_repeats = server.n_requests - len(server.counts)
    assert len(server.counts) == n
    assert n_repeats <= len(kills) * concurrency
    return {"kills": len(kills), "answers": len(answers), "lost": len(lost), "repeated": n_repeats}


def main() -> None:
    journal, url, n, *rest = sys.argv[1:]
    fields = {name: json.loads(value) for name, _, value in (entry.partition("=") for entry in rest)}
    if limit := fields.pop("file_size", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        if fields.pop("batch", False):
            report = batch_collector.run(journal, url, int(n), **fields)
        else:
            report = run(journal, url, int(n), progress=lambda line: print(line, flush=True), **fields)
    except (OpinionAssetsError, KeyboardInterrupt) as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
    else:
        print(json.dumps(dataclasses.asdict(report)))


if __name__ == "__main__":
    # A job that a shell puts in the background, and all it starts, would ignore the interruption that tests send.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
