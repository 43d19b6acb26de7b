"""A run that reaches its budget, as a person sees it in a terminal."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable

from tests.elicitation.server import StubServer
from tests.end_to_end.conftest import Workplace


def in_a_terminal(place: Workplace, *arguments: str) -> tuple[int, str]:
    """Exit code of ``opinion-assets`` and what it wrote to a terminal of 200 columns."""
    master, slave = pty.openpty()
    environment = place.environment | {
        "TERM": "xterm",
        "OPINION_MODEL_REGISTRY": str(place.folder / "registry.yaml"),
    }
    command = [sys.executable, "-m", "opinion_assets.cli", *arguments]
    with subprocess.Popen(command, env=environment, cwd=place.folder, stdout=slave, stderr=slave) as process:
        os.close(slave)
        written = b""
        try:
            while block := os.read(master, 65536):
                written += block
        except OSError:  # Linux: the other end is closed
            pass
        finally:
            os.close(master)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


def test_progress_and_a_budget_that_is_reached(new_workplace: Callable[[str], Workplace]) -> None:
    place = new_workplace("budget")
    with StubServer(latency_s=0.5) as server:
        (place.folder / "registry.yaml").write_text(
            "models:\n  paid@1:\n    provider: openai\n    method: sampling\n    model: m\n"
            f"    endpoint: {server.url}\n"
            "    prompt_usd_per_million: 1.0\n    completion_usd_per_million: 1.0\n    max_concurrency: 2\n"
        )
        code, shown = in_a_terminal(place, "run", "--model", "paid@1", "--samples", "50", "--budget", "0.003")
        assert code == 3, shown
        assert server.usd <= 0.003
        assert server.n_requests > 10
    # How far, how fast, how dear, how long still.
    assert re.search(r"paid@1 default: [\d,]+ of 200 answers \([\d.]+ %\), [\d.]+/s, \$0\.00\d\d, .* left", shown), (
        shown
    )
    last = shown.strip().splitlines()[-1]
    assert last.startswith("opinion-assets: paid@1 · default: ")
    assert f"{server.n_requests} answers are kept" in last
    assert not list(place.data.glob("response/**/*.parquet"))
    journal = b"".join(path.read_bytes() for path in place.data.glob("journal/*/*/*.jsonl"))
    assert journal.count(b'"status":"ok"') == server.n_requests
