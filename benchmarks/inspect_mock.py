"""Samples per second of inspect_ai with its mock model; run by ``benchmarks.collecting`` in inspect_ai's environment.

Reads one JSON prompt a line from standard input and prints one JSON line. Arguments: folder for the log, concurrency.
"""

import itertools
import json
import sys
import time

import inspect_ai
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate


def main() -> None:
    folder, concurrency = sys.argv[1], int(sys.argv[2])
    # With its usage given, the mock model does not count tokens, for which it would load a tokeniser from the network.
    output = ModelOutput.from_content("mockllm/model", "A")
    output.usage = ModelUsage(input_tokens=70, output_tokens=1, total_tokens=71)
    model = get_model("mockllm/model", custom_outputs=itertools.repeat(output))
    dataset = [Sample(input=json.loads(line), target="A") for line in sys.stdin if line.strip()]
    task = inspect_ai.Task(dataset=dataset, solver=generate(), scorer=match())
    start, used = time.perf_counter(), time.process_time()
    logs = inspect_ai.eval(
        task,
        model=model,
        log_dir=folder,
        display="none",
        max_connections=concurrency,
        max_samples=concurrency,
    )
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    assert logs[0].status == "success", logs[0].error
    n = len(dataset)
    print(json.dumps({"version": inspect_ai.__version__, "samples_per_s": n / seconds, "cpu_s": cpu / n}))


if __name__ == "__main__":
    main()
