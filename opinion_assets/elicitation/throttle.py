"""How many requests are under way at once, and how fast they may start.

Belongs here: the adaptive concurrency limit of one collecting process, and the requests- and tokens-per-minute limits,
which all processes that ask one model version share. Does not belong here: retries and what a request is.
"""

import asyncio
import fcntl
import hashlib
import os
import struct
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

_PACE = struct.Struct("<8sd")  # which boot, and the next free start on its monotonic clock


class Throttle:
    """Admits requests.

    The concurrency limit rises by one per round of successes and is halved when the server says "too many requests"
    (additive increase, multiplicative decrease; Chiu and Jain 1989), at most once per request generation, so that the
    many 429 of one burst count once. Starts are spaced evenly, so that no window of 60 s holds more than the limits
    (plus the one request at its edge); ``pace`` is the file through which processes share that spacing.
    """

    def __init__(
        self,
        max_concurrency: int,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        pace: Path | None = None,
    ) -> None:
        self.limit = float(max_concurrency)
        self.in_flight = 0
        self._max = max_concurrency
        self._per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._pace = _Pace(pace if self._per_request or self._per_token else None)
        self._paused_until = 0.0
        self._last_cut = 0.0
        self._closed = asyncio.Event()
        self._waiting: deque[asyncio.Future[None]] = deque()

    def close(self) -> None:
        """Let everybody through who waits, now and from now on: the run is ending and callers look whether it is."""
        self._closed.set()
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
        self._pace.close()

    async def acquire(self, tokens: int) -> float:
        """Wait for a place; returns the start time to hand back to :meth:`throttled`. ``tokens``: the estimate."""
        while self.in_flight >= max(1, int(self.limit)) and not self._closed.is_set():
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()
                raise
        self.in_flight += 1
        try:
            now = time.monotonic()
            if (self._per_request or self._per_token or now < self._paused_until) and not self._closed.is_set():
                now = await self._wait_turn(now, tokens)
        except BaseException:
            self.release()
            raise
        return now

    async def _wait_turn(self, now: float, tokens: int) -> float:
        gap = max(self._per_request, tokens * self._per_token)
        start = self._pace.take(now, gap) if gap else now
        while (wait := max(start, self._paused_until) - now) > 0 and not self._closed.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), wait)
            now = time.monotonic()
        return now

    def release(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        free = max(1, int(self.limit)) - self.in_flight
        while free > 0 and self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)
                free -= 1

    def succeeded(self, estimated_tokens: int, tokens: int | None) -> None:
        """Note a reply: the limit creeps up, and what it took beyond the estimate delays the next start."""
        if self.limit < self._max:
            self.limit = min(self._max, self.limit + 1 / self.limit)
            self._wake()
        if self._per_token and tokens is not None and tokens > estimated_tokens and not self._closed.is_set():
            self._pace.take(time.monotonic(), (tokens - estimated_tokens) * self._per_token)

    def throttled(self, started: float, retry_after: float | None) -> None:
        """Note "too many requests" for a request that started at ``started``; pause everyone for ``retry_after``."""
        now = time.monotonic()
        if started > self._last_cut:
            self.limit = max(1.0, self.limit / 2)
            self._last_cut = now
        if retry_after:
            self._paused_until = max(self._paused_until, now + retry_after)


class _Pace:
    """The next free start, in a file that processes change under a lock, or without a file for this process alone."""

    def __init__(self, path: Path | None) -> None:
        self._next = 0.0
        self._fd: int | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._boot = _boot()

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def take(self, now: float, gap: float) -> float:
        """The next free start, not before ``now``; the one after it comes ``gap`` seconds later."""
        if self._fd is None:
            start = max(now, self._next)
            self._next = start + gap
            return start
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            held = os.pread(self._fd, _PACE.size, 0)
            boot, following = _PACE.unpack(held) if len(held) == _PACE.size else (b"", 0.0)
            start = max(now, following if boot == self._boot else 0.0)
            os.pwrite(self._fd, _PACE.pack(self._boot, start + gap), 0)
            return start
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def _boot() -> bytes:
    """Names this boot of the machine: the monotonic clock begins anew with each."""
    with suppress(OSError):
        return hashlib.sha256(Path("/proc/sys/kernel/random/boot_id").read_bytes()).digest()[:8]
    return bytes(8)
