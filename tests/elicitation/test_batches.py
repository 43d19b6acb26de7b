"""Batches against a real HTTP server: bought once whatever happens, every answer kept, the budget never passed."""

import json
import multiprocessing
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from opinion_assets.elicitation import batches
from opinion_assets.elicitation.collect import ElicitationSettings, answers, collect, plan
from opinion_assets.elicitation.journal import partition_folder, read
from opinion_assets.errors import BudgetError, InputError, OpinionAssetsError
from opinion_assets.models import batch_client
from tests.elicitation import batch_collector
from tests.elicitation.batch_collector import DEFAULT, model, questions, run
from tests.elicitation.batch_server import BatchServer, Gate

PROVIDERS = [("openai", "chat_logprobs"), ("anthropic", "sampling")]
METHODS = [("openai", "completion_logprobs"), ("openai", "sampling"), *PROVIDERS]
SAMPLES = {"n_samples": 2}
# Killed processes start from a server that has everything imported and no thread.
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.elicitation.batch_collector"])


def paid(journal: Path) -> list[dict[str, Any]]:
    return [record for record in read(partition_folder(journal, "stub@1", "default")) if record["status"] != "failed"]


def failed(journal: Path) -> Counter[str]:
    records = read(partition_folder(journal, "stub@1", "default"))
    return Counter(record["error"] for record in records if record["status"] == "failed")


def ledger_usd(journal: Path) -> float:
    return int.from_bytes((journal / "spent").read_bytes(), "little", signed=True) / 1e9


def expected(n: int, method: str) -> int:
    return n * 2 if method == "sampling" else n


def assert_bought_once(server: BatchServer, journal: Path, n: int, method: str) -> None:
    """Every request is in the journal once, in one batch only, and the ledger has what the server charged."""
    records = paid(journal)
    assert len(records) == expected(n, method) == len({record["request_hash"] for record in records})
    assert sum(server.bought.values()) == len(records)
    assert batches.unfinished(partition_folder(journal, "stub@1", "default")) == []
    assert list((partition_folder(journal, "stub@1", "default") / "batches").iterdir()) == []
    # The registry's price is the server's; a batch costs half of it.
    assert sum(record["cost_usd"] for record in records) == pytest.approx(server.usd / 2)
    assert ledger_usd(journal) == pytest.approx(server.usd / 2, abs=1e-7)


@pytest.mark.parametrize(("provider", "method"), METHODS)
def test_a_batch_brings_the_answers_that_single_requests_bring(provider: str, method: str, tmp_path: Path) -> None:
    with BatchServer(invalid=0.2) as server:
        report = run(tmp_path / "batch", server.url, 12, provider=provider, method=method, settings=SAMPLES)
        assert_bought_once(server, tmp_path / "batch", 12, method)
        run(
            tmp_path / "single", server.url, 12, provider=provider, method=method,
            settings=SAMPLES | {"use_batch_api": False},
        )  # fmt: skip
    assert report.n_asked == expected(12, method)
    settings = ElicitationSettings(**SAMPLES)
    batch, single = (
        answers(tmp_path / name, model("http://127.0.0.1", provider, method), DEFAULT, settings)
        for name in ("batch", "single")
    )
    same = ["question_id", "request_hash", "prompt_hash", "option_order", "sample_index", "prompt_tokens"]
    if provider == "openai":  # Anthropic takes no seed
        same += ["status", "raw_text", "option_logprobs", "letter_mass", "answer_index"]
    pd.testing.assert_frame_equal(batch[same], single[same])
    assert (batch["cost_usd"] * 2).tolist() == pytest.approx(single["cost_usd"].tolist())


def test_a_second_run_buys_nothing_and_switching_the_api_neither(tmp_path: Path) -> None:
    with BatchServer() as server:
        run(tmp_path, server.url, 5)
        assert run(tmp_path, server.url, 5).n_from_journal == 5
        assert run(tmp_path, server.url, 5, settings={"use_batch_api": False}).n_from_journal == 5
        assert server.n_requests == 0
        assert_bought_once(server, tmp_path, 5, "chat_logprobs")


def test_adaptive_sampling_goes_on_in_further_batches(tmp_path: Path) -> None:
    with BatchServer() as server:
        settings = {"n_samples": 3, "max_samples": 9, "half_width": 0.01}
        report = run(tmp_path, server.url, 4, method="sampling", settings=settings)
        assert report.n_asked == 36
        assert report.n_batches == 3
        assert sum(server.bought.values()) == 36


def test_chunks_keep_to_the_providers_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (batch_client.OpenAIBatches.max_requests, batch_client.AnthropicBatches.max_requests) == (50_000, 100_000)
    assert batch_client.OpenAIBatches.max_bytes <= 200 * 2**20
    assert batch_client.AnthropicBatches.max_bytes <= 256 * 2**20
    monkeypatch.setattr(batch_client.OpenAIBatches, "max_requests", 4)
    monkeypatch.setattr(batch_client.AnthropicBatches, "max_bytes", 2_000)
    with BatchServer() as server:
        assert run(tmp_path / "requests", server.url, 10).n_batches == 3
        assert [len(batch.items) for batch in server.batches.values()] == [4, 4, 2]
        report = run(tmp_path / "bytes", server.url, 10, provider="anthropic", method="sampling", settings=SAMPLES)
        assert report.n_asked == 20
        assert len(server.sizes) == report.n_batches + 3 > 5
        assert max(server.sizes[3:]) <= 2_000


# ------------------------------------------------------------------ what goes wrong at the provider


@pytest.mark.parametrize(("provider", "method"), PROVIDERS)
def test_items_that_failed_are_recorded_with_their_reason_and_asked_again(
    provider: str, method: str, tmp_path: Path
) -> None:
    outcomes = dict(enumerate(["expired", "cancelled", "500", "garbage", "missing"]))
    with BatchServer() as server:
        server.outcome = outcomes.get
        report = run(
            tmp_path, server.url, 10, provider=provider, method=method, settings={"n_samples": 1, "max_attempts": 2}
        )
        assert (report.n_asked, report.n_failed) == (5, 5)
        reasons = " ".join(failed(tmp_path))
        for word in ("expired", "cancel", "refused", "lacks an expected field", "no result came"):
            assert word in reasons
        server.outcome = lambda number: None
        again = run(tmp_path, server.url, 10, provider=provider, method=method, settings={"n_samples": 1})
    assert (again.n_from_journal, again.n_asked, again.n_failed) == (5, 5, 0)
    assert len(paid(tmp_path)) == 10


@pytest.mark.parametrize("status", ["expired", "cancelled"])
def test_a_batch_that_ends_early_keeps_its_partial_results(status: str, tmp_path: Path) -> None:
    with BatchServer() as server:
        server.ends_as = status
        server.outcome = lambda number: "missing" if number >= 6 else None
        report = run(tmp_path, server.url, 10)
    assert (report.n_asked, report.n_failed) == (6, 4)
    assert all(status in reason for reason in failed(tmp_path))
    # What a batch did not do is not charged.
    assert ledger_usd(tmp_path) == pytest.approx(report.cost_usd, abs=1e-7)
    assert report.cost_usd == pytest.approx(server.usd / 2)


def test_a_refused_batch_ends_the_run_with_the_providers_reason_and_costs_nothing(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.ends_as = "failed"
        server.problem = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
        with pytest.raises(OpinionAssetsError, match="token_limit_exceeded: Enqueued token limit reached"):
            run(tmp_path, server.url, 10)
        assert ledger_usd(tmp_path) == 0
        server.ends_as = "completed"
        assert run(tmp_path, server.url, 10).n_asked == 10


@pytest.mark.parametrize(("provider", "method"), PROVIDERS)
def test_faults_while_creating_polling_and_reading(provider: str, method: str, tmp_path: Path) -> None:
    with BatchServer() as server:
        server.polls = 5
        server.random_faults(2, 0.4, ("upload", "create", "list", "state", "results"))
        report = run(
            tmp_path, server.url, 10, provider=provider, method=method, settings=SAMPLES | {"max_attempts": 20}
        )
        assert report.n_retries > 0
        assert report.n_failed == 0
        assert_bought_once(server, tmp_path, 10, method)


@pytest.mark.parametrize(("provider", "method"), PROVIDERS)
@pytest.mark.parametrize("fault", ["lost", "cut", "garbage", "500", "drop"])
def test_a_creation_whose_reply_got_lost_is_not_repeated(
    provider: str, method: str, fault: str, tmp_path: Path
) -> None:
    with BatchServer() as server:
        # More batches than fit a page of the list, one of them as large as ours and still running.
        for n in (5, 7, 9):
            server.buy_for_others(provider, expected(n, method))
        server.bought.clear()
        server.usd = 0.0
        server.faults["create"].append(fault)
        server.polls = 3
        run(tmp_path, server.url, 5, provider=provider, method=method, settings=SAMPLES)
        assert sum(server.bought.values()) == expected(5, method)
        assert len(paid(tmp_path)) == expected(5, method)


def test_a_creation_that_the_provider_refuses_reserves_nothing(tmp_path: Path) -> None:
    with BatchServer() as server:
        server.faults["create"].append("400")
        with pytest.raises(OpinionAssetsError, match="takes no batch: HTTP 400: not now"):
            run(tmp_path, server.url, 5)
        assert ledger_usd(tmp_path) == 0
        run(tmp_path, server.url, 5)
        assert_bought_once(server, tmp_path, 5, "chat_logprobs")


def test_an_outage_leaves_the_batch_for_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    with BatchServer() as server:
        server.faults["state"].extend(["500"] * 3)
        with pytest.raises(
            OpinionAssetsError, match=r"batch batch_2 cannot be followed: HTTP 500.*the next run takes it up"
        ):
            run(tmp_path, server.url, 5, settings={"max_attempts": 3})
        [left] = batches.unfinished(partition_folder(tmp_path, "stub@1", "default"))
        assert (left.stage, left.batch_id) == ("bought", "batch_2")
        assert ledger_usd(tmp_path) == pytest.approx(left.reserved_usd)
        # The next run need not use the batch API, nor ask for the same questions.
        run(tmp_path, server.url, 2, settings={"use_batch_api": False})
        assert server.n_requests == 0
        assert_bought_once(server, tmp_path, 5, "chat_logprobs")


def test_a_batch_that_the_provider_does_not_know_is_given_up_only_when_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    with BatchServer() as server:
        server.faults["state"].extend(["500"] * 2)
        with pytest.raises(OpinionAssetsError, match="HTTP 500"):
            run(tmp_path, server.url, 3, settings={"max_attempts": 2})
        server.batches.clear()
        with pytest.raises(OpinionAssetsError, match="HTTP 404: no such batch; it stays recorded"):
            run(tmp_path, server.url, 3)
        [file] = (partition_folder(tmp_path, "stub@1", "default") / "batches").glob("*.json")
        stage = json.loads(file.read_text())
        file.write_text(json.dumps(stage | {"at": "2026-01-01T00:00:00.000Z"}))
        report = run(tmp_path, server.url, 3)
    assert report.n_asked == 3
    assert set(failed(tmp_path)) == {"no result came: the provider keeps the batch no longer"}


# ------------------------------------------------------------------ a full disk


def on(disk: str, folder: Path, url: str, n: int) -> dict[str, Any]:
    """What a batch collection says of itself that runs on the small disk, which is copied to ``copy`` afterwards."""
    command = f"{sys.executable} -m tests.elicitation.collector {folder}/disk {url} {n} batch=true"
    script = f"{disk} && {command} && cp -r {folder}/disk {folder}/copy"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], text=True, capture_output=True, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def test_a_disk_that_is_full_while_a_batch_is_read_leaves_it_to_the_next_run(small_disk: str, tmp_path: Path) -> None:
    n = 800
    with BatchServer() as server:
        outcome = on(small_disk, tmp_path, server.url, n)
        assert outcome["error"] == "InputError"
        assert (
            "the journal cannot be written, so the batch is left to the next run: No space left" in outcome["message"]
        )
        assert 0 < len(paid(tmp_path / "copy")) < n
        assert len(batches.unfinished(partition_folder(tmp_path / "copy", "stub@1", "default"))) == 1
        run(tmp_path / "copy", server.url, n)
        assert_bought_once(server, tmp_path / "copy", n, "chat_logprobs")


def test_a_disk_without_room_for_a_batchs_requests_costs_nothing_and_keeps_nothing(
    small_disk: str, tmp_path: Path
) -> None:
    with BatchServer() as server:
        outcome = on(small_disk, tmp_path, server.url, 4000)
        assert outcome["error"] == "InputError"
        assert "the journal cannot be written: No space left on device" in outcome["message"]
        assert not server.operations
        assert ledger_usd(tmp_path / "copy") == 0
        assert list((partition_folder(tmp_path / "copy", "stub@1", "default") / "batches").iterdir()) == []
        run(tmp_path / "copy", server.url, 5)
        assert_bought_once(server, tmp_path / "copy", 5, "chat_logprobs")


# ------------------------------------------------------------------ money


@pytest.mark.parametrize("limit", ["budget_usd", "project_budget_usd"])
def test_the_budget_is_never_passed_and_what_was_bought_is_kept(limit: str, tmp_path: Path) -> None:
    with BatchServer() as server:
        with pytest.raises(BudgetError, match=r"stopped before the budget would be passed.*answers are kept"):
            run(tmp_path, server.url, 50, **{limit: 0.0005})
        assert 0 < len(paid(tmp_path)) < 50
        assert server.usd / 2 <= 0.0005
        kept = len(paid(tmp_path))
        report = run(tmp_path, server.url, 50)
        assert (report.n_from_journal, report.n_asked) == (kept, 50 - kept)
        assert_bought_once(server, tmp_path, 50, "chat_logprobs")


def test_a_batch_taken_up_counts_towards_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    with BatchServer() as server:
        server.faults["state"].extend(["500"] * 2)
        with pytest.raises(OpinionAssetsError, match="HTTP 500"):
            run(tmp_path, server.url, 10, settings={"max_attempts": 2})
        with pytest.raises(BudgetError):
            run(tmp_path, server.url, 100, budget_usd=0.0004)
        assert len(paid(tmp_path)) >= 10
        assert server.usd / 2 <= 0.0004


def test_a_model_without_a_batch_api_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stub@1 has no batch API"):
        run(tmp_path, "http://127.0.0.1:9", 1, batch_api=False)


def test_the_key_goes_to_the_endpoint_only_and_into_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_KEY", "sk-very-secret-1234")
    with BatchServer() as server:
        server.faults["state"].append("401")
        with pytest.raises(OpinionAssetsError) as caught:
            run(tmp_path, server.url, 3, provider="anthropic", method="sampling", api_key_env="STUB_KEY")
        run(tmp_path, server.url, 3, provider="anthropic", method="sampling", api_key_env="STUB_KEY")
    assert "secret" not in str(caught.value)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()


# ------------------------------------------------------------------ kill -9


def start(journal: Path, url: str, n: int, provider: str, method: str) -> BaseProcess:
    arguments = {"provider": provider, "method": method, "settings": SAMPLES}
    process = SPAWN.Process(target=batch_collector.run, args=(str(journal), url, n), kwargs=arguments)
    process.start()
    return process


@pytest.mark.parametrize(("provider", "method"), PROVIDERS)
@pytest.mark.parametrize(
    ("operation", "nth"),
    [("upload", 1), ("create", 1), ("state", 1), ("state", 3), ("results", 1), ("results", 2)],
)
def test_kill_9_between_the_phases(operation: str, nth: int, provider: str, method: str, tmp_path: Path) -> None:
    """The server goes on with what it was asked after the process is dead: the batch is created, nobody hears of it."""
    if provider == "anthropic" and operation == "upload":
        operation = "create"
    with BatchServer() as server:
        server.polls = 4
        if nth == 2:  # half of the answers are in the journal already
            server.faults["results"].append("cut")
        gate = Gate(operation, nth)
        server.at = gate
        process = start(tmp_path, server.url, 12, provider, method)
        assert gate.reached.wait(300)
        process.kill()
        process.join()
        gate.opened.set()
        settings = ElicitationSettings(**SAMPLES)
        before = plan(*questions(12), model(server.url, provider, method), DEFAULT, settings, journal_dir=tmp_path)
        bought = operation != "upload"
        assert before.n_in_journal + before.n_in_batches == (expected(12, method) if bought else 0)
        assert before.n_to_ask == (0 if bought else expected(12, method))
        early = len(paid(tmp_path))
        assert (0 < early < expected(12, method)) if nth == 2 else early == 0
        report = run(tmp_path, server.url, 12, provider=provider, method=method, settings=SAMPLES)
        assert report.n_asked == expected(12, method) - early
        records = paid(tmp_path)
        assert len(records) == expected(12, method) == len({record["request_hash"] for record in records})
        assert sum(server.bought.values()) == len(records)
        assert ledger_usd(tmp_path) == pytest.approx(server.usd / 2, abs=1e-7)


@pytest.mark.parametrize(("provider", "method"), PROVIDERS)
def test_kill_9_at_random_moments(provider: str, method: str, tmp_path: Path) -> None:
    draws = random.Random(7)
    n, kills = 150, 0
    with BatchServer() as server:
        server.polls = 6
        server.at = lambda operation: time.sleep(0.01)
        for _ in range(8):
            process = start(tmp_path, server.url, n, provider, method)
            process.join(draws.uniform(0.05, 0.6))
            kills += process.is_alive()
            process.kill()
            process.join()
        run(tmp_path, server.url, n, provider=provider, method=method, settings=SAMPLES)
        records = paid(tmp_path)
        assert kills > 0
        assert len(records) == expected(n, method) == len({record["request_hash"] for record in records})
        assert sum(server.bought.values()) == len(records)
        assert sum(record["cost_usd"] for record in records) == pytest.approx(server.usd / 2)
        # A kill between two steps may leave too much in the ledger, never too little.
        assert ledger_usd(tmp_path) >= server.usd / 2 - 1e-7


def test_a_process_without_batches_leaves_another_processs_batch_alone(tmp_path: Path) -> None:
    with BatchServer() as server:
        gate = Gate("state")
        server.at = gate
        process = start(tmp_path, server.url, 10, "openai", "chat_logprobs")
        assert gate.reached.wait(300)
        # It asks the two questions that are not in the batch, which ends only afterwards.
        server.polls = 10**9
        threading.Timer(0.5, gate.opened.set).start()
        with pytest.raises(OpinionAssetsError, match="10 requests are in a batch that another process sent"):
            collect(
                *questions(12),
                model(server.url),
                DEFAULT,
                ElicitationSettings(),
                journal_dir=tmp_path,
            )
        assert server.n_requests == 2
        server.polls = 1
        process.join(300)
        assert process.exitcode == 0
        assert run(tmp_path, server.url, 12).n_from_journal == 12
    assert len(paid(tmp_path)) == 12


def test_a_damaged_record_of_a_batch_is_named(tmp_path: Path) -> None:
    folder = partition_folder(tmp_path, "stub@1", "default") / "batches"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text("{")
    (folder / "a.jsonl").write_text("")
    with BatchServer() as server, pytest.raises(InputError, match=r"a\.json: the record of a batch is damaged"):
        run(tmp_path, server.url, 3)
