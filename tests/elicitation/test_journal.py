"""The journal on disk: torn and damaged lines, merging under kill -9, room, claims."""

import contextlib
import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from opinion_assets.elicitation import journal as module
from opinion_assets.elicitation.budget import Budget, journalled_usd
from opinion_assets.elicitation.journal import Journal, compact, read, segments
from opinion_assets.errors import InputError
from tests.elicitation.collector import SPAWN


def name(number: int) -> str:
    """A request hash whose beginning tells the number: only half of a hash is kept in memory."""
    return f"{number:04x}" * 16


def record(number: int, status: str = "ok", **fields: Any) -> dict[str, Any]:
    return {
        "request_hash": name(number), "question_id": f"q{number}", "variant": "v", "status": status,
        "answer_index": 0, "cost_usd": 0.0,
    } | fields  # fmt: skip


def written(folder: Path, *records: dict[str, Any]) -> Path:
    """A segment with these records, written by a journal that has been closed."""
    before = set(segments(folder))
    with Journal(folder) as journal:
        for entry in records:
            journal.append(entry)
    (new,) = set(segments(folder)) - before
    return new


def numbers(folder: Path) -> list[int]:
    return sorted(int(entry["request_hash"][:4], 16) for entry in read(folder))


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_torn_last_line_is_left_out_and_nothing_else(cut: int, tmp_path: Path) -> None:
    path = written(tmp_path, record(1), record(2), record(3))
    path.write_bytes(path.read_bytes()[:-cut])
    # Without its line break the last record is still whole.
    whole = [1, 2, 3] if cut == 1 else [1, 2]
    assert numbers(tmp_path) == whole
    with Journal(tmp_path) as journal:
        assert journal.n_damaged == 0
        assert (journal.answered(name(3)) is None) == (cut > 1)
        journal.append(record(4))
    assert numbers(tmp_path) == [*whole, 4]
    compact(tmp_path)
    assert numbers(tmp_path) == [*whole, 4]
    assert len(segments(tmp_path)) == 1


@pytest.mark.parametrize("damage", [b"\x00" * 20 + b"\n", b"not json\n", b'{"question_id": 1}\n', b"[]\n", b'"\n'])
def test_a_damaged_line_costs_only_itself_and_stays(damage: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, record(1), record(2), record(3))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + damage + lines[2])
    written(tmp_path, record(4))
    with Journal(tmp_path) as journal:
        assert journal.n_damaged == 1
        assert [journal.answered(name(number)) for number in (1, 2, 3, 4)] == [0, None, 0, 0]
    assert compact(tmp_path) == 2
    assert numbers(tmp_path) == [1, 3, 4]
    assert damage in segments(tmp_path)[0].read_bytes()


def test_merging_keeps_answers_the_latest_failure_wordings_and_money(tmp_path: Path) -> None:
    written(tmp_path, record(1, "failed", cost_usd=0.5), record(2, "failed", error="first"), record(3, "failed"))
    written(tmp_path, record(1), {"question_id": "q1", "variant": "w"}, record(2, "failed", error="second"))
    written(tmp_path, record(3, "invalid"), record(3, "failed", cost_usd=0.25), {"question_id": "q1", "variant": "v"})
    before = journalled_usd(tmp_path.parent.parent)
    assert compact(tmp_path) == 3
    kept = list(read(tmp_path))
    assert [entry["status"] for entry in kept if entry.get("request_hash") == name(3)] == ["invalid", "failed"]
    assert [entry["error"] for entry in kept if entry.get("request_hash") == name(2)] == ["second"]
    assert [entry["variant"] for entry in kept if "request_hash" not in entry] == ["v"]
    assert journalled_usd(tmp_path.parent.parent) == before
    with Journal(tmp_path) as journal:
        assert [journal.answered(name(number)) for number in (1, 2, 3)] == [0, None, 0]
        assert journal.variant("q1") == "v"


def write_and_merge(folder: Path, first: int) -> None:
    """Add records in small segments and merge, for ever."""
    number = first
    while True:
        with Journal(folder) as journal:
            for number in range(number, number + 20):  # noqa: B020
                journal.append(record(number, raw_text="x" * 2000))
            number += 1
        (folder / "reached").write_text(str(number))
        compact(folder)


def test_a_merge_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    reached = 0
    for delay in (0.02, 0.05, 0.01, 0.08, 0.03, 0.06):
        process = SPAWN.Process(target=write_and_merge, args=(tmp_path, reached))
        process.start()
        start = reached
        while not (tmp_path / "reached").exists() or int((tmp_path / "reached").read_text() or 0) <= start:
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(delay)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        # What `reached` tells was journalled, merged or not; what came after may be there too.
        reached = int((tmp_path / "reached").read_text() or start)
        found = set(numbers(tmp_path))
        assert found >= set(range(reached)), sorted(set(range(reached)) - found)[:5]
        reached = max(found) + 1
    compact(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    assert numbers(tmp_path) == list(range(reached))


def test_reading_while_others_merge_misses_nothing(tmp_path: Path) -> None:
    process = SPAWN.Process(target=write_and_merge, args=(tmp_path, 0))
    process.start()
    try:
        for _ in range(150):
            reached = 0
            with contextlib.suppress(FileNotFoundError, ValueError):
                reached = int((tmp_path / "reached").read_text())
            assert set(numbers(tmp_path)) >= set(range(reached))
            if reached > 400:
                break
    finally:
        process.kill()
        process.join()


def test_segments_sort_by_age_also_when_the_clock_goes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, {"question_id": "q", "variant": "old"})
    monkeypatch.setattr(module.time, "time_ns", lambda: 1_000)
    written(tmp_path, {"question_id": "q", "variant": "new"})
    assert [entry["variant"] for entry in read(tmp_path)] == ["old", "new"]
    with Journal(tmp_path) as journal:
        assert journal.variant("q") == "new"


def test_a_write_that_fails_leaves_whole_lines_and_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = os.write, [errno.ENOSPC]

    def write(fd: int, data: bytes) -> int:
        if failures:
            real(fd, bytes(data)[:10])  # a part of the line arrives, as on a disk that becomes full
            raise OSError(failures.pop(), "No space left on device")
        return real(fd, data)

    with Journal(tmp_path) as journal:
        journal.prepare()
        failures.clear()
        journal.append(record(1))
        failures.append(errno.ENOSPC)
        monkeypatch.setattr(module.os, "write", write)
        journal.append(record(2))
        assert journal.trouble is not None
        journal.append(record(3))
        failures.extend([errno.ENOSPC, errno.ENOSPC])
        with pytest.raises(OSError, match="No space"):
            journal.append(record(4))
        journal.append(record(5))
    assert numbers(tmp_path) == [1, 2, 3, 5]
    assert all(path.read_bytes().endswith(b"\n") for path in segments(tmp_path))


def hold(folder: Path, number: int, release: Any) -> None:
    with Journal(folder) as journal:
        assert journal.claim(name(number))
        journal.append(record(100 + number))
        (folder / "ready").touch()
        release.wait()


def test_a_claim_keeps_others_out_and_ends_with_its_process(tmp_path: Path) -> None:
    release = SPAWN.Event()
    process = SPAWN.Process(target=hold, args=(tmp_path, 7, release))
    with Journal(tmp_path) as journal:
        journal.catch_up()
        process.start()
        while not (tmp_path / "ready").exists():
            assert process.is_alive()
            time.sleep(0.005)
        assert not journal.claim(name(7))
        assert journal.claim(name(8))
        # What the other wrote since is known after catching up, while it lives and after.
        assert journal.answered(name(107)) is None
        journal.catch_up()
        assert journal.answered(name(107)) == 0
        process.kill()
        process.join()
        assert journal.claim(name(7))


def test_what_a_process_wrote_that_came_and_went_is_caught_up_with(tmp_path: Path) -> None:
    release = SPAWN.Event()
    release.set()
    with Journal(tmp_path) as journal:
        journal.catch_up()
        process = SPAWN.Process(target=hold, args=(tmp_path, 1, release))
        process.start()
        process.join()
        journal.catch_up()
        assert journal.answered(name(101)) == 0


def test_a_journal_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file .*partition: the journal cannot be opened.*: Not a directory"):
        Journal(tmp_path / "file" / "partition").__enter__()
    folder = tmp_path / "partition"
    with Journal(folder) as journal:
        journal.append(record(1))
        with pytest.raises(InputError, match="this process is collecting"):
            Journal(folder).__enter__()
    # The refusal left the lock to its holder, who has given it back.
    with Journal(folder) as journal:
        assert journal.answered(name(1)) == 0


# ------------------------------------------------------------------ money


def spend(ledger: Path, times: int) -> None:
    budget = Budget(ledger, None, 1.0)
    for _ in range(times):
        if budget.reserve(0.001):
            budget.settle(0.001, 0.0004)


def test_the_ledger_adds_up_over_processes_and_outlives_them(tmp_path: Path) -> None:
    ledger = tmp_path / "spent"
    processes = [SPAWN.Process(target=spend, args=(ledger, 200)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    budget = Budget(ledger, None, 1.0)
    assert budget.project_spent_usd == pytest.approx(600 * 0.0004)
    assert not budget.reserve(0.77)
    assert budget.reserve(0.76)
    assert not budget.reserve(1e-9)
    budget.close()


def test_a_lost_ledger_begins_with_what_the_journals_say(tmp_path: Path) -> None:
    folder = tmp_path / "m@1" / "default"
    path = written(folder, record(1, cost_usd=0.25), record(2, "failed", cost_usd=0.5))
    path.write_bytes(path.read_bytes() + b'{"cost_usd": 7, "torn')
    budget = Budget(tmp_path / "spent", 0.3, 1.0)
    assert budget.project_spent_usd == pytest.approx(0.75)
    assert not budget.reserve(0.26)
    assert budget.reserve(0.25)
    assert not budget.reserve(0.06)  # the run's own limit
    budget.close()
