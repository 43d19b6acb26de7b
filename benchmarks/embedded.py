"""The embedded model against llama.cpp's own prompt evaluation: prompts per second, and equality of the answers.

    OPINION_SHARED_DATA=<folder> python benchmarks/embedded.py [--questions 200] [--threads 2]

Limit: the tokens per second that llama.cpp itself reports for prompt evaluation (``timings.prompt_ms``; like
llama-bench's pp512 and pp128: prompts of 512 and 128 tokens, nothing cached), on the same weights, threads and build,
with the physical batch that collecting uses and with llama.cpp's default of 512; the fastest of all. Over the tokens
per prompt it becomes prompts per second: once over all tokens, once over those left when each prompt in sorted order
reuses the prefix that it shares with the one before. Achieved: collect(), with client, journal and all.

Limit, collecting and one-at-a-time requests (nothing cached) take turns in blocks, so that a busy machine slows all
of them alike. Ratios are given in wall-clock time and in CPU time of this process, which others disturb less.
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from opinion_assets.elicitation import letters
from opinion_assets.elicitation.collect import answers, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.models import embedded
from opinion_assets.models.client import OpenAIClient, Request
from opinion_assets.models.registry import ModelVersion, get_model, load_registry
from opinion_assets.questions.build import build
from opinion_assets.surveys.registry import load_source

CONDITIONS = {"default": None, "cross_national:TUR": "Turkey"}
LIMIT_LENGTHS = (128, 512)
BLOCK = 20


@dataclass
class Clock:
    """Seconds and tokens of one kind of work, summed over its turns."""

    wall: float = 0.0
    cpu: float = 0.0
    tokens: int = 0
    prompts: int = 0

    def __enter__(self) -> "Clock":
        self._started = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.last_wall = time.perf_counter() - self._started[0]
        self.last_cpu = time.process_time() - self._started[1]
        self.wall += self.last_wall
        self.cpu += self.last_cpu


def shared(a: list[int], b: list[int]) -> int:
    """Length of the common prefix."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def left_after_reuse(prompts: list[list[int]]) -> int:
    """Tokens to evaluate when each prompt reuses the prefix of the one before; its last token always counts."""
    return len(prompts[0]) + sum(len(b) - min(shared(a, b), len(b) - 1) for a, b in itertools.pairwise(prompts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--model", default="smollm2-135m-instruct-q4_1@0.1.2")
    arguments = parser.parse_args()
    model = get_model(arguments.model, load_registry())
    data_file = Path(os.environ["OPINION_SHARED_DATA"]) / "global_opinions.csv.gz"
    with tempfile.TemporaryDirectory() as folder:
        data = load_source("global_opinion_qa", data_dir=Path(folder), path=data_file)
    dataset = build(data.question, data.response)
    question = dataset.question.sort_values("text").reset_index(drop=True)
    # Evenly spaced blocks of neighbours: they share prefixes as they do in a whole run.
    n_blocks = max(2, arguments.questions // BLOCK)
    starts = np.linspace(0, len(question) - BLOCK, n_blocks).astype(int)
    blocks = [question.iloc[start : start + BLOCK] for start in starts]

    with (
        tempfile.TemporaryDirectory() as folder,
        embedded.serve(model, logprobs=True, n_threads=arguments.threads) as endpoint,
        llama_cpp(model, arguments.threads) as default_address,
        httpx.Client(base_url=endpoint.removesuffix("/v1"), timeout=None) as http,
        httpx.Client(base_url=default_address, timeout=None) as default_http,
    ):
        servers = {"as collecting": http, "512": default_http}
        client = OpenAIClient(model, endpoint, None)
        tokens = lambda text: post(http, "/tokenize", {"content": text, "add_special": True})["tokens"]  # noqa: E731
        material = tokens(" ".join(question["text"].sample(400, random_state=1)))
        limits = {(batch, length): Clock() for batch in servers for length in LIMIT_LENGTHS}
        collecting, single = Clock(), Clock()
        left = 0
        differences: list[float] = []
        masses: list[float] = []
        for number, block in enumerate(blocks):
            key = list(CONDITIONS)[number % len(CONDITIONS)]
            for (batch, length), clock in limits.items():
                for turn in range(512 // length):
                    first = (number * 512 + turn * length) % (len(material) - length)
                    prompt = material[first : first + length]
                    with clock:
                        reply = post(
                            servers[batch], "/completion", {"prompt": prompt, "n_predict": 1, "cache_prompt": False}
                        )
                    # The server's own account of the wall-clock time: without HTTP, tokenising and sampling.
                    clock.wall += reply["timings"]["prompt_ms"] / 1000 - clock.last_wall
                    clock.tokens += reply["timings"]["prompt_n"]
            journal = Path(folder) / str(number)
            options = dataset.option[dataset.option["question_id"].isin(block["question_id"])]
            condition = Condition.parse(key)
            with collecting:
                collect(block, options, model, condition, journal_dir=journal, country_name=CONDITIONS[key])
            frame = answers(journal, model, condition)
            collecting.prompts += len(frame)
            collecting.tokens += int(frame["prompt_tokens"].sum())
            left += left_after_reuse([tokens(prompt) for prompt in sorted(frame["prompt"])])
            masses += frame["letter_mass"].tolist()
            with single:
                columns = (frame[name] for name in ("prompt", "option_order", "option_logprobs"))
                for prompt, order, logprobs in zip(*columns, strict=True):
                    request = Request("completion_logprobs", prompt, top_logprobs=model.top_logprobs)
                    path, payload = client.payload(request)
                    raw = post(http, f"/v1{path}", payload | {"cache_prompt": False})
                    reply_one = client.parse(request, raw)
                    pairs = letters.answer_position(reply_one.top_logprobs)
                    alone = np.exp(letters.letter_logprobs(pairs, len(order)))
                    together = np.exp(np.array(logprobs, dtype=float))
                    differences.append(float(np.abs(alone - together).max()))
            single.prompts += len(frame)
            single.tokens += int(frame["prompt_tokens"].sum())
            print(f"\nafter block {number + 1} of {n_blocks}")
            report(limits, collecting, single, left, differences, masses, arguments.threads)


def report(
    limits: dict[tuple[str, int], Clock],
    collecting: Clock,
    single: Clock,
    left: int,
    differences: list[float],
    masses: list[float],
    n_threads: int,
) -> None:
    """Print the figures so far."""
    n = collecting.prompts
    print(f"{n} prompts, {n_threads} threads, {os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f}")
    print(f"tokens per prompt: {collecting.tokens / n:.1f}, left after prefix reuse: {left / n:.1f}")
    for (batch, length), clock in limits.items():
        print(
            f"llama.cpp, physical batch {batch}, prompts of {length} tokens: {clock.tokens / clock.wall:.1f} tokens/s, "
            f"{clock.tokens / clock.cpu:.1f} tokens per CPU second"
        )
    for name in ("wall", "cpu"):
        rate = max(clock.tokens / getattr(clock, name) for clock in limits.values())
        achieved = n / getattr(collecting, name)
        over_all, over_left = rate * n / collecting.tokens, rate * n / left
        one_by_one = single.prompts / getattr(single, name)
        print("prompts/s:" if name == "wall" else "prompts per CPU second:")
        print(f"  collect() {achieved:.3f}; one at a time, nothing cached {one_by_one:.3f}")
        print(f"  limit over all tokens {over_all:.3f} (collect() reaches {achieved / over_all:.2f} of it)")
        print(f"  limit over the tokens left {over_left:.3f} (collect() reaches {achieved / over_left:.2f} of it)")
    largest, mean = max(differences), statistics.mean(differences)
    print(f"letter probabilities, collected against one at a time: largest difference {largest:.2e}, mean {mean:.2e}")
    print(f"mean letter mass {statistics.mean(masses):.3f}", flush=True)


@contextlib.contextmanager
def llama_cpp(model: ModelVersion, n_threads: int) -> Iterator[str]:
    """Address of a server with llama.cpp's default batches and one slot."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.verbosity = -1
    params.model.path = str(embedded.weights_path(model))
    params.port = 0
    params.n_parallel, params.n_ctx, params.cache_ram_mib, params.ui = 1, 4096, 0, False
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = n_threads
    server = xllamacpp.Server(params)
    yield server.listening_address
    del server


def post(http: httpx.Client, path: str, payload: dict[str, Any]) -> Any:
    """JSON reply of the server."""
    reply = http.post(path, content=json.dumps(payload), headers={"Content-Type": "application/json"})
    reply.raise_for_status()
    return reply.json()


if __name__ == "__main__":
    main()
