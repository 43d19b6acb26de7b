"""Collecting answers over HTTP, measured against named alternatives in one run. All traffic stays on loopback.

    python -m benchmarks.collecting throughput [--requests 3000] [--repeats 5] [--inspect-python PYTHON]
    python -m benchmarks.collecting memory [--requests 200000]
    python -m benchmarks.collecting kill9 [--kills 50]

- throughput: ``collect`` (prompts, journal, budget, reading of the letters and all) over a bare asyncio loop on
  httpx.AsyncClient that sends the same payloads with the same concurrency to the same stub server and parses the same
  JSON; interleaved repeats, medians. The stub is a process of its own. With ``--inspect-python``, the Python of an
  environment that has inspect_ai, also inspect_ai's samples/s with its mock model on the same questions.
- memory: resident memory between 10,000 requests and the end of one collection.
- kill9: kill -9 at random moments, then what the stub and the journal say.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pandas as pd

from opinion_assets.elicitation.collect import ElicitationSettings, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.elicitation.prompts import render
from opinion_assets.models.client import Request, open_client
from opinion_assets.models.registry import ModelVersion
from tests.elicitation import collector
from tests.elicitation.server import StubServer

DEFAULT = Condition("default")
OPTIONS = ["Strongly agree", "Somewhat agree", "Somewhat disagree", "Strongly disagree", "Don't know"]


def questions(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    texts = [f"How much do you agree that the government should do more about matter number {i}?" for i in range(n)]
    ids = [f"q{i:06}" for i in range(n)]
    option = pd.DataFrame(
        [(name, index, text) for name in ids for index, text in enumerate(OPTIONS)],
        columns=["question_id", "option_index", "option"],
    )
    return pd.DataFrame({"question_id": ids, "text": texts}), option


@contextlib.contextmanager
def stub_process(**behaviour: object) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.elicitation.server", json.dumps({"log_requests": False} | behaviour)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def version(url: str, method: str, concurrency: int) -> ModelVersion:
    return ModelVersion(
        model_version="stub@1",
        provider="openai",
        method=method,
        model="stub",
        endpoint=url,
        max_concurrency=concurrency,
        prompt_usd_per_million=1.0,
        completion_usd_per_million=1.0,
    )


def bare(model: ModelVersion, payloads: list[dict[str, object]]) -> None:
    """The least that asks the same: no retries, no journal, no reading of letters."""
    following = iter(payloads)

    async def worker(http: httpx.AsyncClient) -> None:
        for payload in following:
            response = await http.post(f"{model.endpoint}/completions", content=orjson.dumps(payload))
            assert response.status_code == 200
            assert orjson.loads(response.content)["choices"]

    async def main() -> None:
        async with httpx.AsyncClient(
            headers={"Content-Type": "application/json"},
            timeout=60,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=False,
        ) as http:
            await asyncio.gather(*[worker(http) for _ in range(model.max_concurrency)])

    asyncio.run(main())


def throughput(n: int, repeats: int, concurrency: int, latency_s: float, inspect_python: str | None) -> None:
    question, option = questions(n)
    with stub_process(latency_s=latency_s) as url:
        model = version(url, "completion_logprobs", concurrency)
        client = open_client(model)
        prompts = [render(text, OPTIONS, range(len(OPTIONS)), DEFAULT).completion for text in question["text"]]
        payloads = [client.payload(Request("completion_logprobs", prompt))[1] for prompt in prompts]
        wall: dict[str, list[float]] = {"bare httpx loop": [], "collect": []}
        cpu: dict[str, list[float]] = {name: [] for name in wall}
        for _ in range(repeats):
            for name in wall:
                start, used = time.perf_counter(), time.process_time()
                if name == "collect":
                    with tempfile.TemporaryDirectory() as folder:
                        report = collect(question, option, model, DEFAULT, journal_dir=Path(folder), budget_usd=1e6)
                        assert report.n_asked == n
                else:
                    bare(model, payloads)
                wall[name].append(n / (time.perf_counter() - start))
                cpu[name].append((time.process_time() - used) / n)
    print(f"{n:,} requests, {concurrency} at once, latency {latency_s} s, {repeats} interleaved repeats, medians")
    for name in wall:
        print(
            f"  {name:16} {statistics.median(wall[name]):8.1f} requests/s   "
            f"{1e3 * statistics.median(cpu[name]):.3f} ms CPU a request   ({', '.join(f'{x:.0f}' for x in wall[name])})"
        )
    collected = statistics.median(wall["collect"])
    print(
        f"  collect / bare   {collected / statistics.median(wall['bare httpx loop']):.3f} of the throughput", end=", "
    )
    pairs = [mine / theirs for mine, theirs in zip(wall["collect"], wall["bare httpx loop"], strict=True)]
    print(f"median of pairs {statistics.median(pairs):.3f},", end=" ")
    print(f"by CPU {statistics.median(cpu['bare httpx loop']) / statistics.median(cpu['collect']):.3f}")
    if inspect_python is None:
        print("  inspect_ai: left out (give --inspect-python the Python of an environment that has it)")
        return
    with tempfile.TemporaryDirectory() as folder:
        script = Path(__file__).with_name("inspect_mock.py")
        command = [inspect_python, str(script), folder, str(concurrency)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        text = "\n".join(json.dumps(prompt) for prompt in prompts[:200])
        done = subprocess.run(command, input=text, text=True, capture_output=True, check=True, env=environment)
    theirs = json.loads(done.stdout.splitlines()[-1])
    print(f"  inspect_ai {theirs['version']} mockllm: {theirs['samples_per_s']:.1f} samples/s", end=", ")
    print(
        f"{1e3 * theirs['cpu_s']:.2f} ms CPU a sample; collect / inspect_ai {collected / theirs['samples_per_s']:.1f}",
        end=", ",
    )
    print(f"by CPU {theirs['cpu_s'] / statistics.median(cpu['collect']):.1f}")


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory(n: int, concurrency: int) -> None:
    samples = 20
    question, option = questions(n // samples)
    seen: list[tuple[int, float]] = []

    def note(line: str) -> None:
        found = re.search(r": ([\d,]+) of", line)
        assert found is not None
        seen.append((int(found.group(1).replace(",", "")), resident_mb()))
        if len(seen) < 2 or seen[-1][0] // 10_000 > seen[-2][0] // 10_000:
            print(f"  {seen[-1][1]:.1f} MB resident at {seen[-1][0]:,} requests", flush=True)

    settings = ElicitationSettings(n_samples=samples, progress_every_s=0.5)
    with stub_process() as url, tempfile.TemporaryDirectory() as folder:
        model = version(url, "sampling", concurrency)
        start = time.perf_counter()
        report = collect(
            question, option, model, DEFAULT, settings, journal_dir=Path(folder), budget_usd=1e6, progress=note
        )
        seconds = time.perf_counter() - start
    steady = [mb for count, mb in seen if count >= 10_000]
    print(f"{report.n_asked:,} requests, {concurrency} at once, {report.n_asked / seconds:.0f}/s")
    print(f"  from 10,000 on: {min(steady):.1f} to {max(steady):.1f} MB", end=", ")
    print(f"end minus 10,000: {steady[-1] - steady[0]:+.1f} MB")


def kill9(kills: int, seed: int) -> None:
    moments, done, n, concurrency = random.Random(seed), [], 30 * kills, 8
    with StubServer(latency_s=0.004) as server, tempfile.TemporaryDirectory() as folder:
        journal = Path(folder)
        while len(done) < kills:
            process = collector.SPAWN.Process(target=collector.run, args=(journal, server.url, n))
            process.start()
            target = server.n_requests + moments.randrange(1, 45)
            kill = collector.kill_at(process, server, journal, target, moments.uniform(0, 0.02))
            if kill is None:
                break
            done.append(kill)
        report = collector.run(journal, server.url, n)
        figures = collector.check_kills(server, journal, done, n, concurrency)
        print(f"{n:,} requests, {concurrency} at once, {server.n_requests:,} seen by the server: {figures}")
        print(f"  the last run found {report.n_from_journal:,} answers and asked {report.n_asked:,}", end="; ")
        print(f"in flight at a kill at most {concurrency}, so at most {concurrency * len(done)} could be repeated")
        booked = int.from_bytes((journal / "spent").read_bytes(), "little") / 1e9
        print(f"  charged ${server.usd:.6f}, booked ${booked:.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["throughput", "memory", "kill9"])
    parser.add_argument("--requests", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds the stub waits before it answers")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inspect-python", help="Python of an environment that has inspect_ai")
    given = parser.parse_args()
    if given.what == "throughput":
        throughput(given.requests or 3000, given.repeats, given.concurrency, given.latency, given.inspect_python)
    elif given.what == "memory":
        memory(given.requests or 200_000, given.concurrency)
    else:
        kill9(given.kills, given.seed)


if __name__ == "__main__":
    main()
