"""How fast requests start, as the server sees it."""

import dataclasses
import time
from pathlib import Path

import pytest

from opinion_assets.errors import OpinionAssetsError
from tests.elicitation import collector
from tests.elicitation.collector import SPAWN, paid, run
from tests.elicitation.server import HttpRequest, HttpResponse, Seen, StubServer


def since(before: float, server: StubServer) -> list[float]:
    """Seconds from ``before``, a moment before the first request was sent, to the arrival of each.

    However slow the machine is, none can arrive before it may start.
    """
    return sorted(seen.started - before for seen in server.seen)


def test_requests_per_minute_space_the_starts(tmp_path: Path) -> None:
    with StubServer() as server:
        before = time.monotonic()
        run(tmp_path, server.url, 20, requests_per_minute=600.0)  # one each 100 ms
    assert all(passed >= number * 0.1 for number, passed in enumerate(since(before, server)))


def test_tokens_per_minute_space_the_starts_by_what_requests_take(tmp_path: Path) -> None:
    with StubServer(token_factor=4.0) as server:
        before = time.monotonic()
        report = run(tmp_path, server.url, 12, tokens_per_minute=60_000.0, max_concurrency=2)
    # 1,000 tokens a second; what a reply took beyond the estimate delays the next ones. When the last one starts, at
    # least ten have been answered.
    tokens = report.prompt_tokens + report.completion_tokens
    assert since(before, server)[-1] > (tokens * 9 / 12) / 1000


def test_processes_share_the_pace_of_a_model(tmp_path: Path) -> None:
    with StubServer() as server:
        before = time.monotonic()
        processes = [
            SPAWN.Process(
                target=run,
                args=(tmp_path, server.url, 20),
                kwargs={"condition": condition, "requests_per_minute": 600.0},
            )
            for condition in ("default", "cross_national:TUR")
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
    found = since(before, server)
    assert len(found) == 40
    # Each by itself would take 1.9 s.
    assert found[-1] >= 39 * 0.1


@pytest.mark.parametrize("fault", ["429", "429_date"])
def test_nobody_sends_before_the_time_that_the_server_asked_to_wait(fault: str, tmp_path: Path) -> None:
    wait, n = 0.4, 150
    with StubServer(faults={fault: 0.02}, retry_after_s=wait, seed=3) as server:
        run(tmp_path, server.url, n)
    assert len(paid(tmp_path)) == n
    refused = [seen for seen in server.seen if seen.fault]
    assert 0 < len(refused) < 8
    for seen in refused:
        # Until the refusal has arrived the workers, of which there are 8, go on for a request or two each. Then comes
        # the pause, in which many more could have been asked.
        early = [other for other in server.seen if seen.started < other.started < seen.started + wait]
        assert len(early) <= 3 * 8
        again = [other for other in server.seen if other.content == seen.content and other.started > seen.started]
        assert min(other.started for other in again) >= seen.started + wait


def test_concurrency_falls_to_what_the_server_takes_and_everything_arrives(tmp_path: Path) -> None:
    with StubServer(concurrent=4, latency_s=0.1, retry_after_s=0.05) as server:
        report = run(tmp_path, server.url, 300, max_concurrency=64)
    assert report.n_asked == 300
    # About 160; did the limit not fall, backoff alone would leave more than 900, and some would run out of attempts.
    refused = sum(seen.fault == "429" for seen in server.seen)
    assert 0 < refused < 450


class Recovering(StubServer):
    """Refuses the first 16 requests, then takes all, and is slow at the last 16: these are under way together."""

    def __init__(self, n: int) -> None:
        super().__init__(latency_s=0.02, faults={"503": 1.0}, retry_after_s=0.01)
        self.n, self.most_at_last = n, 0

    def decide(self, request: HttpRequest) -> tuple[Seen, HttpResponse]:
        if self.n_requests == 16:
            self.behaviour = dataclasses.replace(self.behaviour, faults={})
        if self.n_requests >= self.n:
            self.behaviour = dataclasses.replace(self.behaviour, latency_s=5.0)
            self.most_at_last = max(self.most_at_last, self.in_flight)
        return super().decide(request)


def test_concurrency_recovers_after_a_burst_of_refusals(tmp_path: Path) -> None:
    with Recovering(250) as server:
        run(tmp_path, server.url, 250, max_concurrency=16)
    assert server.n_requests == 250 + 16
    # The burst halves the limit to 8 or less; 234 successes then raise it to 16 even from 1.
    assert server.most_at_last >= 12


def test_a_stopped_run_does_not_wait_for_its_turn(tmp_path: Path) -> None:
    # The first reply ends the run; the minute until the next start is then not waited for.
    with StubServer(faults={"401": 1.0}) as server, pytest.raises(OpinionAssetsError):
        run(tmp_path, server.url, 100, requests_per_minute=1.0)
    assert server.n_requests == 1
    assert collector.records(tmp_path)[0]["status"] == "failed"
