"""How fast requests start, as the server sees it."""

import dataclasses
import time
from pathlib import Path

import pytest

from opinion_assets.errors import OpinionAssetsError
from tests.elicitation import collector
from tests.elicitation.collector import SPAWN, paid, run
from tests.elicitation.server import StubServer


def starts(server: StubServer) -> list[float]:
    return sorted(seen.started for seen in server.seen)


# The server sees the first request late where the machine is busy: lower bounds leave room for that.


def test_requests_per_minute_space_the_starts(tmp_path: Path) -> None:
    with StubServer() as server:
        run(tmp_path, server.url, 20, requests_per_minute=600.0)  # one each 100 ms
    found = starts(server)
    assert found[-1] - found[0] > 0.7 * 19 * 0.1


def test_tokens_per_minute_space_the_starts_by_what_requests_take(tmp_path: Path) -> None:
    with StubServer(token_factor=4.0) as server:
        report = run(tmp_path, server.url, 12, tokens_per_minute=60_000.0, max_concurrency=2)
    # 1,000 tokens a second; what a reply took beyond the estimate delays the next ones.
    tokens = report.prompt_tokens + report.completion_tokens
    found = starts(server)
    assert found[-1] - found[0] > 0.6 * (tokens * 9 / 12) / 1000


def test_processes_share_the_pace_of_a_model(tmp_path: Path) -> None:
    with StubServer() as server:
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
    found = starts(server)
    assert len(found) == 40
    # Each by itself would take 1.9 s.
    assert found[-1] - found[0] > 0.7 * 39 * 0.1


@pytest.mark.parametrize("fault", ["429", "429_date"])
def test_nobody_sends_before_the_time_that_the_server_asked_to_wait(fault: str, tmp_path: Path) -> None:
    wait = 0.4
    with StubServer(faults={fault: 0.1}, retry_after_s=wait, seed=3) as server:
        run(tmp_path, server.url, 25)
    assert len(paid(tmp_path)) == 25
    refused = [seen for seen in server.seen if seen.fault]
    assert refused
    for seen in refused:
        # The reply needs a moment to arrive; what was sent by then is under way. After that comes the pause.
        assert seen.ended is not None
        early = [other for other in server.seen if seen.ended + 0.15 < other.started < seen.ended + wait - 0.01]
        assert len(early) <= 8, "more than were under way"
        again = [other for other in server.seen if other.content == seen.content and other.started > seen.started]
        assert min(other.started for other in again) >= seen.ended + wait - 0.01


def test_concurrency_falls_to_what_the_server_takes_and_everything_arrives(tmp_path: Path) -> None:
    with StubServer(concurrent=4, latency_s=0.1, retry_after_s=0.05) as server:
        report = run(tmp_path, server.url, 300, max_concurrency=64)
    assert report.n_asked == 300
    # About 160; did the limit not fall, backoff alone would leave more than 900, and some would run out of attempts.
    refused = sum(seen.fault == "429" for seen in server.seen)
    assert 0 < refused < 450


def test_concurrency_recovers_after_a_burst_of_refusals(tmp_path: Path) -> None:
    with StubServer(latency_s=0.02, faults={"503": 1.0}, retry_after_s=0.01) as server:
        import threading

        def heal() -> None:
            while server.n_requests < 16:
                time.sleep(0.002)
            server.behaviour = dataclasses.replace(server.behaviour, faults={})

        healer = threading.Thread(target=heal)
        healer.start()
        run(tmp_path, server.url, 250, max_concurrency=16)
        healer.join()
    late = [seen for seen in server.seen if seen.fault is None][120:]
    overlapping = max(
        sum(other.started <= seen.started < (other.ended or seen.started) for other in late) for seen in late[::5]
    )
    assert overlapping >= 6


def test_a_stopped_run_does_not_wait_for_its_turn(tmp_path: Path) -> None:
    # The first replies end the run; 40 s of pace are then not waited for.
    with StubServer(faults={"401": 1.0}) as server, pytest.raises(OpinionAssetsError):
        run(tmp_path, server.url, 100, requests_per_minute=12.0)
    assert server.n_requests == 1
    assert collector.records(tmp_path)[0]["status"] == "failed"
