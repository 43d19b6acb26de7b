"""Collecting against a real HTTP server that injects faults: every answer kept, failures told, no budget passed."""

import contextlib
import dataclasses
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opinion_assets.elicitation.collect import ElicitationSettings, answers, collect, plan
from opinion_assets.elicitation.distributions import distributions
from opinion_assets.elicitation.journal import Journal, partition_folder, segments
from opinion_assets.errors import BudgetError, InputError, OpinionAssetsError
from tests.elicitation import collector
from tests.elicitation.batch_collector import questions
from tests.elicitation.collector import DEFAULT, SPAWN, check_kills, kill_at, model, paid, records, run
from tests.elicitation.server import FAULTS, LETTER_MASS, StubServer, weights

# 30 % of all requests.
THIRTY = {
    "429": 0.04, "429_date": 0.005, "500": 0.04, "502": 0.02, "503": 0.02, "529": 0.02, "drop": 0.03,
    "drop_in_body": 0.03, "slow": 0.01, "truncated": 0.03, "html": 0.02, "wrong_json": 0.01, "error_200": 0.005,
    "missing": 0.01, "empty": 0.005, "nan": 0.005,
}  # fmt: skip


def ledger_usd(journal: Path) -> float:
    return int.from_bytes((journal / "spent").read_bytes(), "little", signed=True) / 1e9


# ------------------------------------------------------------------ faults


def test_thirty_percent_faults_and_every_answer_arrives(tmp_path: Path) -> None:
    assert sum(THIRTY.values()) == pytest.approx(0.3)
    with StubServer(faults=THIRTY, seed=1) as server:
        report = run(tmp_path, server.url, 300, timeout_s=2.0)
    assert report.n_asked + report.n_failed == 300
    assert report.n_failed == sum(report.failures.values()) <= 3
    assert report.n_retries >= 60
    held = records(tmp_path)
    assert len({record["request_hash"] for record in held}) == len(held) == 300
    assert all(record["error"] for record in held if record["status"] == "failed")
    # What the client books is never below what the server charged, and the ledger, the journal and the report agree.
    assert server.usd <= report.cost_usd + 1e-9
    assert sum(record["cost_usd"] for record in held) == pytest.approx(report.cost_usd)
    assert ledger_usd(tmp_path) == pytest.approx(report.cost_usd, abs=1e-6)
    # All kinds of faults happened.
    assert len({seen.fault for seen in server.seen}) >= 12


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "401"])
def test_a_server_that_always_fails_is_told_apart_by_its_reason(fault: str, tmp_path: Path) -> None:
    with StubServer(faults={fault: 1.0}, retry_after_s=0.01) as server:
        try:
            timeout_s = 2.0 if fault == "slow" else 120.0
            run(tmp_path, server.url, 3, timeout_s=timeout_s, settings={"max_attempts": 2, "max_wait_s": 5.0})
        finally:
            held = records(tmp_path)
    assert len(held) == 3
    assert {record["status"] for record in held} == {"failed"}
    reason = held[0]["error"]
    expected = {
        "drop": "connection broke", "drop_in_body": "connection broke", "slow": "timed out", "truncated": "not JSON",
        "html": "not JSON", "nan": "not JSON", "wrong_json": "lacks", "missing": "lacks", "empty": "lacks",
        "error_200": "HTTP 200 with an error: upstream failed",
    }  # fmt: skip
    assert expected.get(fault, f"HTTP {fault[:3]}") in reason
    assert ("after 2 attempts" in reason) == (fault != "400")
    # Money that may be gone is booked; refusals are free. What arrived and could not be read is kept.
    assert (held[0]["cost_usd"] > 0) == FAULTS[fault]
    assert (held[0]["raw_text"] is not None) == (fault in ("truncated", "html", "nan", "wrong_json", "missing", "empty", "error_200"))  # fmt: skip  # noqa: E501


def test_failed_is_asked_again_and_paid_never(tmp_path: Path) -> None:
    with StubServer(faults={"400": 0.4}, seed=3) as server:
        first = run(tmp_path, server.url, 60)
        assert 5 < first.n_failed < 55
        server.behaviour = dataclasses.replace(server.behaviour, faults={})
        asked_before = server.n_requests
        second = run(tmp_path, server.url, 60)
        assert (second.n_from_journal, second.n_asked) == (first.n_asked, first.n_failed)
        assert server.n_requests - asked_before == first.n_failed
        third = run(tmp_path, server.url, 60)
        assert (third.n_from_journal, third.n_asked) == (60, 0)
        assert server.n_requests - asked_before == first.n_failed
    frame = answers(tmp_path, model(server.url), DEFAULT)
    assert len(frame) == 60
    assert (frame["status"] == "ok").all()


def test_a_wrong_key_ends_the_run_at_once(tmp_path: Path) -> None:
    with (
        StubServer(faults={"401": 1.0}) as server,
        pytest.raises(OpinionAssetsError, match="refuses requests: HTTP 401"),
    ):
        run(tmp_path, server.url, 100)
    assert server.n_requests <= 8


def test_an_absent_server_ends_the_run_with_its_reason(tmp_path: Path) -> None:
    with StubServer() as server:
        url = server.url
    with pytest.raises(OpinionAssetsError, match=r"gave up after .* cannot connect"):
        run(tmp_path, url, 100, settings={"max_attempts": 1})
    assert 25 <= len(records(tmp_path)) < 100


def test_a_longer_wait_than_allowed_ends_the_run_and_a_later_one_goes_on(tmp_path: Path) -> None:
    with StubServer(faults={"429": 0.02}, retry_after_s=3600, seed=5, latency_s=0.002) as server:
        with pytest.raises(OpinionAssetsError, match="asks to wait 3,600 s, longer than 60 s; run again later") as info:
            run(tmp_path, server.url, 200, settings={"max_wait_s": 60.0})
        assert info.value.report.n_asked == len(paid(tmp_path)) > 0  # type: ignore[attr-defined]
        server.behaviour = dataclasses.replace(server.behaviour, faults={})
        run(tmp_path, server.url, 200)
    assert len(paid(tmp_path)) == 200
    assert max(server.counts.values()) <= 2


def test_what_goes_wrong_in_one_request_loses_none_of_the_others(tmp_path: Path) -> None:
    question, option = questions(40)
    wide = pd.DataFrame({"question_id": "q0030", "option_index": range(30), "option": [f"O{i}" for i in range(30)]})
    option = pd.concat([option[option["question_id"] != "q0030"], wide])
    with StubServer(latency_s=0.05) as server, pytest.raises(InputError, match="30 options"):
        collect(question, option, model(server.url), DEFAULT, journal_dir=tmp_path)
    assert server.n_requests == len(paid(tmp_path)) == 30


# ------------------------------------------------------------------ budgets


@pytest.mark.parametrize("faults", [{}, THIRTY], ids=["no faults", "30 % faults"])
def test_a_runs_budget_is_never_passed(faults: dict[str, float], tmp_path: Path) -> None:
    budget = 0.005
    with StubServer(faults=faults, seed=2, latency_s=0.002) as server:
        timeout_s = 2.0 if faults else 30.0
        with pytest.raises(BudgetError, match="stopped before the budget would be passed") as info:
            run(tmp_path, server.url, 2000, timeout_s=timeout_s, budget_usd=budget, max_concurrency=32)
        assert server.usd <= budget
        assert ledger_usd(tmp_path) <= budget + 1e-7
        report = info.value.report  # type: ignore[attr-defined]
        assert report.n_asked == len(paid(tmp_path))
        assert sum(record["cost_usd"] for record in records(tmp_path)) == pytest.approx(report.cost_usd)
        if not faults:
            # It stops only when the next request could not be paid at its dearest.
            assert server.usd > budget - 32 * 400e-6
            assert server.usd == pytest.approx(report.cost_usd)


def test_a_projects_budget_holds_over_processes(tmp_path: Path) -> None:
    budget = 0.01
    faults = {name: rate for name, rate in THIRTY.items() if name != "slow"}
    with StubServer(faults=faults, seed=4, latency_s=0.002) as server:
        runs = [
            SPAWN.Process(
                target=collector.outcome,
                args=(tmp_path, server.url, 2000),
                kwargs={"condition": condition, "project_budget_usd": budget, "timeout_s": 120.0},
            )
            for condition in ("default", "cross_national:TUR", "cross_national:DEU")
        ]
        for process in runs:
            process.start()
        for process in runs:
            process.join()
            assert process.exitcode == 3  # BudgetError
        assert 0.2 * budget < server.usd <= budget
        assert ledger_usd(tmp_path) <= budget + 1e-7
        before = server.usd
        with pytest.raises(BudgetError, match=r"project \$0.01"):
            run(tmp_path, server.url, 2000, project_budget_usd=budget)
        assert server.usd - before <= budget - before


def test_a_server_that_charges_for_more_than_was_sent_does_not_pass_the_budget(tmp_path: Path) -> None:
    budget = 0.02
    with StubServer(token_factor=12.0) as server:
        with pytest.raises(BudgetError):
            run(tmp_path, server.url, 500, budget_usd=budget, max_concurrency=64)
        assert server.n_requests > 5
        assert 0.5 * budget < server.usd <= budget


# ------------------------------------------------------------------ processes


def test_kill_9_loses_nothing_and_repeats_only_what_was_in_flight(tmp_path: Path) -> None:
    # Eight kills take some 200 requests. The rest is room: a busy machine may see late that it is time for a kill.
    n, moments, kills = 1000, random.Random(7), []
    with StubServer(latency_s=0.01, usd_per_token=1e-6) as server:
        for number in range(8):
            process = SPAWN.Process(target=run, args=(tmp_path, server.url, n))
            process.start()
            target = server.n_requests + moments.randrange(1, 45)
            kill = kill_at(process, server, tmp_path, target, moments.uniform(0, 0.01))
            assert kill is not None, f"the process of kill {number} ended by itself"
            kills.append(kill)
        report = run(tmp_path, server.url, n)
        assert report.n_asked + report.n_from_journal == n
        check_kills(server, tmp_path, kills, n, concurrency=8)
        # Reservations of killed processes stay booked: their requests may have been charged.
        assert server.usd <= ledger_usd(tmp_path)
    assert len(answers(tmp_path, model(server.url), DEFAULT)) == n


def run_together(together: Any, *arguments: Any) -> None:
    """:func:`run` once all processes have come so far."""
    together.wait()
    run(*arguments)


def test_two_processes_share_a_partition(tmp_path: Path) -> None:
    # One process alone would be at work for 4 s.
    with StubServer(latency_s=0.1) as server:
        together = SPAWN.Barrier(2, timeout=300)
        processes = [SPAWN.Process(target=run_together, args=(together, tmp_path, server.url, 300)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
            assert process.exitcode == 0
        assert Counter(server.counts.values()) == {1: 300}
        # Each process writes a file of its own.
        assert len(segments(partition_folder(tmp_path, "stub@1", "default"))) == 2
        held = records(tmp_path)
        assert len(held) == len({record["request_hash"] for record in held}) == 300
        assert ledger_usd(tmp_path) == pytest.approx(server.usd, abs=1e-6)
        report = run(tmp_path, server.url, 300)
        assert (report.n_from_journal, report.n_damaged_lines) == (300, 0)
    assert len(answers(tmp_path, model(server.url), DEFAULT)) == 300


def test_processes_with_other_settings_do_not_mix(tmp_path: Path) -> None:
    with StubServer() as server:
        run(tmp_path, server.url, 20)
        run(tmp_path, server.url, 20, settings={"orders": "identity+reversed"})
        run(tmp_path, server.url, 20, top_logprobs=10)
        assert server.n_requests == 20 + 20 + 20
        assert len(answers(tmp_path, model(server.url), DEFAULT)) == 20
        both = answers(tmp_path, model(server.url), DEFAULT, ElicitationSettings(orders="identity+reversed"))
        assert Counter(both["option_order"].map(len) >= 2) == {True: 40}


def child(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.elicitation.collector", *arguments]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_an_interruption_keeps_what_is_under_way(tmp_path: Path) -> None:
    with StubServer(latency_s=0.3) as server:
        process = child(str(tmp_path), server.url, "400")
        while server.n_requests < 20 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
        assert json.loads(out.splitlines()[-1])["error"] == "KeyboardInterrupt", err
        # All 400 would take 15 s.
        assert 20 <= server.n_requests == len(paid(tmp_path)) < 400


def test_a_limit_on_file_sizes_only_makes_more_files(tmp_path: Path) -> None:
    with StubServer() as server:
        process = child(str(tmp_path), server.url, "60", "file_size=30000")
        out, err = process.communicate(timeout=300)
        assert json.loads(out.splitlines()[-1])["n_asked"] == 60, err
        assert Counter(server.counts.values()) == {1: 60}
    assert len(paid(tmp_path)) == 60
    files = list((tmp_path / "stub@1" / "default").glob("*.jsonl"))
    assert len(files) >= 3
    assert all(file.read_bytes().endswith(b"\n") for file in files)


def test_a_full_disk_ends_the_run_and_keeps_what_was_bought(small_disk: str, tmp_path: Path) -> None:
    copy = f"cp -r {tmp_path}/disk {tmp_path}/copy"
    with StubServer(latency_s=0.01) as server:
        command = f"{sys.executable} -m tests.elicitation.collector {tmp_path}/disk {server.url} 1000"
        script = f"{small_disk} && {command} && {copy}"
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], text=True, capture_output=True, check=True)
        outcome = json.loads(done.stdout.splitlines()[-1])
        assert outcome["error"] == "InputError"
        assert "the journal cannot be written: No space left on device" in outcome["message"]
        assert 50 < server.n_requests < 1000
        # The room for what was under way had been set aside before.
        assert len(paid(tmp_path / "copy")) == server.n_requests
        # With room again, the same journal goes on.
        n = server.n_requests + 50
        report = run(tmp_path / "copy", server.url, n)
        assert (report.n_damaged_lines, report.n_asked, report.n_from_journal) == (0, 50, n - 50)
        assert Counter(server.counts.values()) == {1: n}


def test_a_disk_that_cannot_be_written_costs_nothing(small_disk: str, tmp_path: Path) -> None:
    with StubServer() as server:
        command = f"{sys.executable} -m tests.elicitation.collector {tmp_path}/disk {server.url} 20"
        full = f"(head -c 2000000 /dev/zero > {tmp_path}/disk/filler || true)"
        for script, reason in (
            (f"{small_disk} && mount -o remount,ro {tmp_path}/disk && {command}", "Read-only file system"),
            (f"{small_disk} && {full} && {command}", "No space left on device"),
        ):
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script], text=True, capture_output=True, check=True)
            outcome = json.loads(done.stdout.splitlines()[-1])
            assert outcome["error"] == "InputError"
            assert reason in outcome["message"]
        assert server.n_requests == 0


# ------------------------------------------------------------------ secrets

KEY = "Marked0123456789abcdef"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize("fault", [*FAULTS, None])
def test_the_key_appears_nowhere(
    fault: str | None, provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STUB_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    with StubServer(faults={fault: 1.0} if fault else {}, echo=True, retry_after_s=0.01) as server:
        try:
            report = run(
                tmp_path,
                server.url,
                2,
                method="sampling",
                provider=provider,
                api_key_env="STUB_API_KEY",
                timeout_s=0.3,
                settings={"max_attempts": 2, "n_samples": 1, "progress_every_s": 0.05},
                progress=shown.append,
            )
        except OpinionAssetsError as error:
            shown.append(str(error))
            report = error.report  # type: ignore[attr-defined]
    shown += [json.dumps(report.metadata()), repr(report), caplog.text]
    shown += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    shown.append(answers(tmp_path, model(server.url, "sampling", provider=provider), DEFAULT).to_json())
    assert len(records(tmp_path)) == 2
    assert not [text for text in shown if KEY in text]


# ------------------------------------------------------------------ orders, samples, distributions


def asked(journal: Path, url: str, n: int, method: str, **settings: Any) -> pd.DataFrame:
    """The distributions of a collection."""
    chosen = ElicitationSettings(**settings)
    question, option = questions(n)
    provider = settings.pop("provider", "openai")
    version = model(url, method, provider=provider)
    collect(question, option, version, DEFAULT, chosen, journal_dir=journal)
    return distributions(answers(journal, version, DEFAULT, chosen), option)


@pytest.mark.parametrize("method", ["completion_logprobs", "chat_logprobs"])
@pytest.mark.parametrize(
    ("orders", "n_orders"),
    [("identity", 1), ("reversed", 1), ("identity+reversed", 2), ("permutations:4", 4), ("all", 24)],
)
def test_every_order_gives_the_distribution_of_the_options_text(
    method: str, orders: str, n_orders: int, tmp_path: Path
) -> None:
    with StubServer() as server:
        frame = asked(tmp_path, server.url, 3, method, orders=orders)
    _, option = questions(3)
    for question_id, group in frame.groupby("question_id"):
        texts = option.loc[option["question_id"] == question_id, "option"].tolist()
        shown = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCD", texts, strict=False))
        assert group["probability"].tolist() == pytest.approx(list(weights(shown).values()), abs=1e-9)
        most = {2: 2, 3: 6, 4: 24}[len(texts)]
        assert group["n_orders"].unique().tolist() == [min(n_orders, most)]
        assert group["letter_mass"].iloc[0] == pytest.approx(LETTER_MASS, abs=0.02)
        if n_orders > 1:
            assert group["order_effect"].iloc[0] == pytest.approx(0, abs=1e-9)
    assert all(
        sorted(record["option_order"]) == list(range(len(record["option_order"]))) for record in records(tmp_path)
    )


def test_a_server_that_prefers_letters_shows_an_order_effect(tmp_path: Path) -> None:
    with StubServer(position_bias=0.5) as server:
        frame = asked(tmp_path, server.url, 3, "completion_logprobs", orders="identity+reversed")
        two = asked(tmp_path / "two", server.url, 1, "completion_logprobs", orders="all")
    assert (frame["order_effect"] > 0.02).all()
    # Two options, A twice as likely as B for its letter: p = mean of w/(w + v/2) and (w/2)/(w/2 + v).
    w, v = (weights("(A) Option 0-0\n(B) Option 0-1")[letter] for letter in "AB")
    first, second = w / (w + v / 2), (w / 2) / (w / 2 + v)
    assert two["probability"].tolist()[0] == pytest.approx((first + second) / 2)
    assert two["order_effect"].iloc[0] == pytest.approx(abs(first - second) / 2)


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_samples_are_counted_and_unreadable_ones_not_guessed(provider: str, tmp_path: Path) -> None:
    with StubServer(invalid=0.3, seed=2) as server:
        version = model(server.url, "sampling", provider=provider)
        settings = ElicitationSettings(n_samples=30)
        question, option = questions(4)
        report = collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        again = collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
    assert (again.n_asked, again.n_from_journal, server.n_requests) == (0, 120, 120)
    frame = answers(tmp_path, version, DEFAULT, settings)
    assert Counter(frame["status"])["invalid"] == report.n_invalid
    assert 15 <= report.n_invalid <= 60
    assert frame.loc[frame["status"] == "invalid", "answer_index"].isna().all()
    result = distributions(frame, option)
    assert (result.groupby("question_id")["probability"].sum() - 1).abs().max() < 1e-12
    first = result[result["question_id"] == "q0000"]
    valid = frame[(frame["question_id"] == "q0000") & (frame["status"] == "ok")]
    assert first["n_answers"].iloc[0] == len(valid)
    assert first["n_answers"].iloc[0] + first["n_invalid"].iloc[0] == 30
    assert first["probability"].iloc[0] == pytest.approx((valid["answer_index"] == 0).mean())


def test_adaptive_sampling_stops_when_the_interval_is_narrow_and_a_rerun_asks_nothing(tmp_path: Path) -> None:
    settings = ElicitationSettings(n_samples=10, max_samples=60, half_width=0.17)
    with StubServer(seed=9) as server:
        version = model(server.url, "sampling")
        question, option = questions(30)
        report = collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        frame = answers(tmp_path, version, DEFAULT, settings)
        per_question = frame.groupby("question_id").size()
        assert set(per_question) <= {10, 20, 30, 40, 50, 60}
        assert per_question.nunique() > 1  # sure questions need fewer
        assert report.n_requested == report.n_asked == len(frame) == server.n_requests
        estimate = plan(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        assert estimate.n_to_ask == 0
        collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        assert server.n_requests == len(frame)


def test_adaptive_sampling_with_failures_reaches_the_same_answers_later(tmp_path: Path) -> None:
    settings = ElicitationSettings(n_samples=10, max_samples=40, half_width=0.17, max_attempts=1)
    with StubServer(seed=9, faults={"400": 0.1}) as server:
        version = model(server.url, "sampling")
        question, option = questions(12)
        with contextlib.suppress(OpinionAssetsError):
            collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        n_paid = len(paid(tmp_path))
        # Everything that was paid is in the table, failed rounds or not.
        assert (answers(tmp_path, version, DEFAULT, settings)["status"] != "failed").sum() == n_paid
        server.behaviour = dataclasses.replace(server.behaviour, faults={})
        collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path)
        with_failures = answers(tmp_path, version, DEFAULT, settings)
        collect(question, option, version, DEFAULT, settings, journal_dir=tmp_path / "clean")
    clean = answers(tmp_path / "clean", version, DEFAULT, settings)
    columns = ["question_id", "sample_index", "answer_index", "status"]
    pd.testing.assert_frame_equal(with_failures[columns], clean[columns])


def test_a_changed_wording_is_asked_anew_and_counts_alone(tmp_path: Path) -> None:
    question, option = questions(5)
    with StubServer() as server:
        version = model(server.url)
        collect(question, option, version, DEFAULT, journal_dir=tmp_path)
        changed = question.assign(text=question["text"].where(question["question_id"] != "q0002", "What else?"))
        collect(changed, option, version, DEFAULT, journal_dir=tmp_path)
        assert server.n_requests == 6
        frame = answers(tmp_path, version, DEFAULT)
        assert "What else?" in frame.set_index("question_id").loc["q0002", "prompt"]
        # Back to the first wording: paid already, and it counts again.
        collect(question, option, version, DEFAULT, journal_dir=tmp_path)
        assert server.n_requests == 6
    frame = answers(tmp_path, version, DEFAULT)
    assert "Question 2?" in frame.set_index("question_id").loc["q0002", "prompt"]
    assert len(frame) == 5


def test_inside_a_running_event_loop(tmp_path: Path) -> None:
    import asyncio

    async def notebook(url: str) -> int:
        return run(tmp_path, url, 5).n_asked

    with StubServer() as server:
        assert asyncio.run(notebook(server.url)) == 5


def test_one_process_cannot_open_a_partition_twice(tmp_path: Path) -> None:
    folder = partition_folder(tmp_path, "stub@1", "default")
    with StubServer() as server, Journal(folder), pytest.raises(InputError, match="this process is collecting"):
        run(tmp_path, server.url, 1)
    assert os.listdir(folder)  # noqa: PTH208
