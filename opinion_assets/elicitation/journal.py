"""The durable journal of answers: what was paid for is on disk before anything else happens to it.

Belongs here: appending, reading, claiming and compacting records on disk. Does not belong here: what a record means
beyond its ``request_hash`` and ``status``.

Layout: one folder a partition, ``<journal>/<model version>/<condition>/``, with

- ``<time>-<process>.jsonl`` segments, one JSON record a line. Only its own process appends to a segment (and holds a
  lock on it), so no two processes can interleave, and a line cut short by kill -9 or a full disk can only be a
  segment's last: readers leave it out, and nobody ever writes behind it.
- ``claims``: a process that is about to send a request locks the byte whose offset is the request's hash; the kernel
  drops the lock when the process ends, however it ends. Two processes that collect the same partition so share the
  work instead of paying twice. The file's first 8 bytes count how often the journal was opened for writing.
- ``compact.lock``: held exclusively while segments are merged, shared while they are listed: a listing taken during a
  merge could hold neither the old segments nor the new one.
"""

import contextlib
import errno
import fcntl
import logging
import os
import random
import re
import struct
import sys
import tempfile
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
_COMPACT_LOCK = "compact.lock"
_RESERVE = 1 << 20
# Where a file system has no way to set space aside, or a limit on file sizes forbids it, there is no reserve.
_NO_RESERVE_HERE = (errno.EFBIG, errno.EOPNOTSUPP, errno.EINVAL)
_PRESENCE = 1 << 61  # offset in `claims`, beyond those of requests
_FLOCK = struct.Struct("hhqqi0q")  # struct flock on Linux: type, whence, start, length, process
_HASH = re.compile(r"[0-9a-f]{64}")
_open_here: set[Path] = set()


def partition_folder(journal_dir: Path, model_version: str, condition: str) -> Path:
    """Folder of the journal of one partition."""
    return journal_dir / path_key(model_version) / path_key(condition)


def unwritable(error: OSError, folder: Path, problem: str = "the journal cannot be written") -> InputError:
    """What is raised for a write that failed: the ``problem``, the system's reason, and the file or its ``folder``."""
    return InputError(f"{problem}: {error.strerror or error}", file=error.filename or folder)


@contextlib.contextmanager
def writing(folder: Path, problem: str = "the journal cannot be written") -> Iterator[None]:
    """In here an :class:`OSError` becomes the :class:`InputError` of :func:`unwritable`."""
    try:
        yield
    except OSError as error:
        raise unwritable(error, folder, problem) from None


def is_paid(record: Mapping[str, Any]) -> bool:
    """Whether a record holds an answer, readable or not. Failed requests are asked again, answers never."""
    return record["status"] != "failed"


class Journal:
    """The journal of one partition; a context manager. One instance per process and partition at a time.

    ``n_damaged`` counts lines, other than a segment's torn last one, that are no records; their requests are asked
    again and the lines are kept. ``trouble`` is the error of a write that did not go as planned, although its record
    is safe: no more should be bought.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.n_damaged = 0
        self.trouble: OSError | None = None
        self._read_to: dict[str, int] = {}  # segment name -> bytes read
        self._known: dict[bytes, int] = {}  # half of the request hash -> answer index, -1 for none
        self._variants: dict[str, str] = {}
        self._fd: int | None = None
        self._path = self.folder
        self._size = 0  # bytes of whole records in the own segment
        self._own: set[str] = set()
        self._reserve: int | None = None
        self._claims: int | None = None
        self._openings = b""  # count of openings up to which everything has been read

    def __enter__(self) -> Self:
        if self.folder in _open_here:
            # POSIX locks do not part threads of one process.
            raise InputError("this process is collecting this partition already", file=self.folder)
        with writing(self.folder, "the journal cannot be opened, so nothing was asked"):
            self.folder.mkdir(parents=True, exist_ok=True)
            _open_here.add(self.folder)
            try:
                os.close(os.open(self.folder / _COMPACT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644))
                self._claims = os.open(self.folder / "claims", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                self._announce()
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
        try:
            self._close_segment(flush=True)
        finally:
            self._free_reserve()
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

    # claims

    def _announce(self) -> None:
        """Show that this process is here, then count it: whoever reads the count finds the process, or it has ended."""
        assert self._claims is not None
        fcntl.lockf(self._claims, fcntl.LOCK_SH, 1, _PRESENCE)
        fcntl.lockf(self._claims, fcntl.LOCK_EX, 1, _PRESENCE + 1)
        count = int.from_bytes(os.pread(self._claims, 8, 0), "little") + 1
        os.pwrite(self._claims, count.to_bytes(8, "little"), 0)
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _PRESENCE + 1)

    def _others(self) -> bool:
        """Whether another process has this journal open."""
        if sys.platform != "linux":
            return True
        assert self._claims is not None
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _PRESENCE, 1, 0)
        found: int = _FLOCK.unpack(fcntl.fcntl(self._claims, fcntl.F_GETLK, asked))[0]
        return found != fcntl.F_UNLCK

    def claim(self, request_hash: str) -> bool:
        """Reserve a request for this process; False while another process has reserved it.

        It may have been answered before: call :meth:`catch_up` and ask :meth:`answered`.
        """
        assert self._claims is not None
        try:
            fcntl.lockf(self._claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(request_hash))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def catch_up(self) -> None:
        """:meth:`refresh`, where another process may have written since. Cheap while this process is alone."""
        assert self._claims is not None
        openings = os.pread(self._claims, 8, 0)
        others = self._others()
        if others or openings != self._openings:
            self.refresh()
            self._openings = b"" if others else openings

    def release(self, request_hash: str) -> None:
        """End the reservation; after the record was appended, or when the request is given up."""
        assert self._claims is not None
        fcntl.lockf(self._claims, fcntl.LOCK_UN, 1, _offset(request_hash))

    # writing

    def prepare(self, room: int = _RESERVE) -> None:
        """Open a segment and set ``room`` bytes of the disk aside, before anything is bought.

        The reserve is given back when the disk is full, so that what is under way then can still be written. Raises
        :class:`InputError` where the journal cannot be written.
        """
        try:
            if self._fd is None:
                self._open_segment()
            if self._reserve is None:
                fd, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
                Path(name).unlink()  # the kernel frees the space of a file without a name when the process ends
                self._reserve = fd
                os.posix_fallocate(fd, 0, room)
        except OSError as error:
            if error.errno in _NO_RESERVE_HERE and self._fd is not None:
                self._free_reserve()
                return
            raise unwritable(error, self.folder, "the journal cannot be written, so nothing was asked") from None

    def append(self, record: Mapping[str, Any]) -> None:
        """Write a record. When this returns it survives the end of the process; :meth:`sync` is for power cuts.

        A write that fails leaves no half line behind, or leaves it as the last of its segment; the record then goes,
        with the reserve's space, into a new segment. Raises :class:`OSError` where that fails too.
        """
        line = orjson.dumps(record) + b"\n"
        try:
            self._write(line)
        except OSError as error:
            if error.errno != errno.EFBIG:  # a limit on the size of a file only needs another file
                self.trouble = error
            self._free_reserve()
            with contextlib.suppress(OSError):
                self._close_segment()
            try:
                self._write(line)
            except OSError as again:
                self.trouble = again
                with contextlib.suppress(OSError):
                    self._close_segment()
                raise

    def _write(self, line: bytes) -> None:
        if self._fd is None:
            self._open_segment()
        assert self._fd is not None
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._size += len(line)

    def _open_segment(self) -> None:
        newest = max((int(path.name[:20]) for path in segments(self.folder) if path.name[:20].isdigit()), default=0)
        while self._fd is None:
            # Segments sort by age also where the clock was turned back.
            stamp = max(time.time_ns(), newest + 1)
            name = f"{stamp:020d}-{os.getpid()}-{random.getrandbits(32):08x}.jsonl"
            fd = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX)  # tells `compact` that this segment is being written
            if os.fstat(fd).st_nlink:
                self._own.add(name)
                self._fd, self._size, self._path = fd, 0, self.folder / name
            else:
                os.close(fd)  # another process compacted it away before the lock was held

    def _close_segment(self, *, flush: bool = False) -> None:
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            if os.fstat(fd).st_size > self._size:
                os.ftruncate(fd, self._size)  # half a line
            if self._size == 0:
                self._path.unlink(missing_ok=True)
            elif flush:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _free_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def sync(self) -> None:
        """Force what was appended onto the disk."""
        if self._fd is not None:
            os.fdatasync(self._fd)

    # reading

    def refresh(self) -> None:
        """Take in what was written since: all segments the first time, later what other processes appended."""
        for path in segments(self.folder):
            if path.name in self._own:
                continue
            offset = self._read_to.get(path.name, 0)
            try:
                if path.stat().st_size <= offset:
                    continue
                with path.open("rb") as file:
                    file.seek(offset)
                    for line in file:
                        if not line.endswith(b"\n") and _parse(line) is None:
                            break
                        offset += len(line)
                        self._take(path, line)
            except FileNotFoundError:
                continue  # compacted meanwhile: its records are in the new segment, which comes with the next refresh
            self._read_to[path.name] = offset

    def _take(self, path: Path, line: bytes) -> None:
        if not line.strip():
            return
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
    if "request_hash" in record and not (_HASH.fullmatch(str(record["request_hash"])) and "status" in record):
        return None
    return record


def segments(folder: Path) -> list[Path]:
    """Segment files of a partition, oldest first; waits while segments are being merged."""
    try:
        lock: int | None = os.open(folder / _COMPACT_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        lock = None  # nobody has merged anything here
    try:
        if lock is not None:
            fcntl.flock(lock, fcntl.LOCK_SH)
        return _list(folder)
    finally:
        if lock is not None:
            os.close(lock)


def _list(folder: Path) -> list[Path]:
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
                if (record := _parse(line)) is not None:
                    yield record


def compact(folder: Path) -> int:
    """Merge the segments that no process is writing into one; returns how many were merged.

    Kept are one record per request, an answer before a failure and the later of two failures, each question's last
    variant marker, failures that cost something (the journal accounts for all money) and damaged lines (somebody may
    still mend them); only torn last lines go. Atomic: the merged segment appears under its final name before the old
    ones go; after a kill in between, both are there, which readers do not mind.
    """
    lock = os.open(folder / _COMPACT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    idle: list[tuple[Path, int]] = []
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        for left in folder.glob("*-merged-*.tmp"):
            left.unlink()  # of a merge that was killed
        for path in _list(folder):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # empty, and removed by the process that had opened it
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            idle.append((path, fd))
        if len(idle) < 2:
            return 0
        # First pass: which lines to keep; prompts stay on disk.
        keep: dict[bytes, tuple[int, bool]] = {}
        kept: set[int] = set()
        for number, (_, record) in enumerate(_lines(idle)):
            if record is None:
                kept.add(number)
                continue
            paid = "request_hash" in record and is_paid(record)
            if "request_hash" not in record:
                key = b"variant:" + record["question_id"].encode()
            else:
                key = bytes.fromhex(record["request_hash"][:32])
                if not paid and record.get("cost_usd"):
                    kept.add(number)
            if key not in keep or not keep[key][1]:
                keep[key] = (number, paid)
        kept.update(number for number, _ in keep.values())
        # Sorts where the newest of the merged segments stood.
        name = f"{idle[-1][0].name.split('-')[0]}-merged-{uuid.uuid4().hex[:8]}"
        merged, temporary = folder / f"{name}.jsonl", folder / f"{name}.tmp"
        with temporary.open("wb") as out:
            for number, (line, _) in enumerate(_lines(idle)):
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


def _lines(idle: list[tuple[Path, int]]) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """(line, its record, None where it is damaged) of all lines but torn last ones."""
    for path, _ in idle:
        with path.open("rb") as file:
            for line in file:
                record = _parse(line)
                if line.endswith(b"\n"):
                    if line.strip():
                        yield line, record
                elif record is not None:  # only the line break was cut off
                    yield line + b"\n", record


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
