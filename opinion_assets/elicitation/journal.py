"""The durable journal of answers: what was paid for is on disk before anything else happens to it.

Belongs here: appending, reading, claiming and compacting records on disk. Does not belong here: what a record means
beyond its ``request_hash`` and ``status``.

Layout: one folder a partition, ``<journal>/<model version>/<condition>/``, with

- ``<time>-<process>.jsonl`` segments, one a process and run, one JSON record a line. Only its own process appends to a
  segment (and holds a lock on it), so no two processes can interleave, and a line cut short by kill -9 or a full disk
  can only be a segment's last: readers leave it out, and nobody ever writes behind it.
- ``claims``: an empty file. A process that is about to send a request locks the byte whose offset is the request's
  hash; the kernel drops the lock when the process ends, however it ends. Two processes that collect the same partition
  so share the work instead of paying twice.
"""

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from opinion_assets.errors import InputError
from opinion_assets.paths import path_key

_log = logging.getLogger(__name__)
_COMPACT_FROM = 8  # segments; below that, reading them is not worth the rewriting
_open_here: set[Path] = set()


def partition_folder(journal_dir: Path, model_version: str, condition: str) -> Path:
    """Folder of the journal of one partition."""
    return journal_dir / path_key(model_version) / path_key(condition)


def is_paid(record: Mapping[str, Any]) -> bool:
    """Whether a record holds an answer, readable or not. Failed requests are asked again, answers never."""
    return record["status"] != "failed"


class Journal:
    """The journal of one partition; a context manager. One instance per process and partition at a time.

    ``n_damaged`` counts lines, other than a segment's torn last one, that are no records; their requests are asked
    again and the file is left as it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.n_damaged = 0
        self._read_to: dict[str, int] = {}  # segment name -> bytes read
        self._known: dict[bytes, int] = {}  # half of the request hash -> answer index, -1 for none
        self._variants: dict[str, str] = {}
        self._fd: int | None = None
        self._own: str | None = None
        self._claims: int | None = None

    def __enter__(self) -> Self:
        if self.folder in _open_here:
            # POSIX locks do not part threads of one process.
            raise InputError("this process is collecting this partition already", file=self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claims = os.open(self.folder / "claims", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _open_here.add(self.folder)
        try:
            if len(segments(self.folder)) >= _COMPACT_FROM:
                compact(self.folder)
            self.refresh()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Flush to the disk and release the locks."""
        if self._fd is not None:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = None
        if self._claims is not None:
            os.close(self._claims)
            self._claims = None
        _open_here.discard(self.folder)

    def answered(self, request_hash: str) -> int | None:
        """Answer index of a paid answer (-1: log-probabilities or an invalid answer); None where there is none."""
        return self._known.get(bytes.fromhex(request_hash[:32]))

    def variant(self, question_id: str) -> str | None:
        """Variant (wording, options, phrases) of the question that was asked last."""
        return self._variants.get(question_id)

    def claim(self, request_hash: str) -> bool:
        """Reserve a request for this process; False while another process has reserved it."""
        assert self._claims is not None
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(request_hash))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, request_hash: str) -> None:
        """End the reservation; after the record was appended, or when the request is given up."""
        assert self._claims is not None
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _offset(request_hash))

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record. When this returns it survives the end of the process; :meth:`sync` is for power cuts."""
        while self._fd is None:
            self._fd = self._new_segment()
        line = memoryview(orjson.dumps(record) + b"\n")
        while line:
            line = line[os.write(self._fd, line) :]

    def _new_segment(self) -> int | None:
        self._own = f"{time.time_ns():020d}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        path = self.folder / self._own
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)  # tells `compact` that this segment is being written
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # another process compacted it away before the lock was held
        return None

    def sync(self) -> None:
        """Force what was appended onto the disk."""
        if self._fd is not None:
            os.fdatasync(self._fd)

    def refresh(self) -> None:
        """Take in what was written since: all segments the first time, later what other processes appended."""
        for path in segments(self.folder):
            if path.name == self._own:
                continue
            offset = self._read_to.get(path.name, 0)
            try:
                if path.stat().st_size <= offset:
                    continue
                with path.open("rb") as file:
                    file.seek(offset)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        offset += len(line)
                        self._take(path, line)
            except FileNotFoundError:
                continue  # compacted meanwhile: its records are in the new segment, which comes with the next refresh
            self._read_to[path.name] = offset

    def _take(self, path: Path, line: bytes) -> None:
        record = _parse(line)
        if record is None:
            self.n_damaged += 1
            _log.warning("%s: a damaged line was left out; its request is asked again", path)
            return
        if "request_hash" in record and is_paid(record):
            answer = record.get("answer_index")
            self._known[bytes.fromhex(record["request_hash"][:32])] = -1 if answer is None else answer
        self._variants[record["question_id"]] = record["variant"]


def _offset(request_hash: str) -> int:
    return int(request_hash[:15], 16)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("question_id"), str) or "variant" not in record:
        return None
    if "request_hash" in record and not (len(str(record["request_hash"])) == 64 and "status" in record):
        return None
    return record


def segments(folder: Path) -> list[Path]:
    """Segment files of a partition, oldest first."""
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.name.endswith(".jsonl"))
    except FileNotFoundError:
        return []


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """All whole records of a partition, oldest segment first; a torn last line and damaged lines are left out."""
    for path in segments(folder):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            # Compacted between listing and opening; the records stand in a newer segment, so begin again. What was
            # already given is given twice, and callers keep one record per request hash.
            yield from read(folder)
            return
        with file:
            for line in file:
                if line.endswith(b"\n") and (record := _parse(line)) is not None:
                    yield record


def compact(folder: Path) -> int:
    """Merge the segments that no process is writing into one; returns how many were merged.

    Kept are one record per request, an answer before a failure and the later of two failures, and each question's
    last variant marker. Atomic: the merged segment appears under its final name before the old ones go; after a kill in
    between, both are there, which readers do not mind.
    """
    lock = os.open(folder / "compact.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    idle: list[tuple[Path, int]] = []
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for path in segments(folder):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            idle.append((path, fd))
        if len(idle) < 2:
            return 0
        # First pass: which (segment, offset) holds the record to keep; prompts stay on disk.
        keep: dict[bytes, tuple[int, bool]] = {}
        for number, (_, key, paid, _) in enumerate(_numbered(idle)):
            if key not in keep or not keep[key][1]:
                keep[key] = (number, paid)
        kept = {position for position, _ in keep.values()}
        # Sorts where the newest of the merged segments stood.
        name = f"{idle[-1][0].name.split('-')[0]}-merged-{uuid.uuid4().hex[:8]}"
        merged, temporary = folder / f"{name}.jsonl", folder / f"{name}.tmp"
        with temporary.open("wb") as out:
            for number, (line, _, _, _) in enumerate(_numbered(idle)):
                if number in kept:
                    out.write(line)
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(merged)
        _sync_folder(folder)
        for path, _ in idle:
            path.unlink()
        return len(idle)
    finally:
        for _, fd in idle:
            os.close(fd)
        os.close(lock)


def _numbered(idle: list[tuple[Path, int]]) -> Iterator[tuple[bytes, bytes, bool, Path]]:
    """(line, key, whether it is paid, segment) of every whole record."""
    for path, _ in idle:
        with path.open("rb") as file:
            for line in file:
                record = _parse(line) if line.endswith(b"\n") else None
                if record is None:
                    continue
                if "request_hash" in record:
                    yield line, bytes.fromhex(record["request_hash"][:32]), is_paid(record), path
                else:
                    yield line, b"variant:" + record["question_id"].encode(), False, path


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
