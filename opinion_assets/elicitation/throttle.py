"""How many requests are under way at once, and how fast they may start.

Belongs here: the adaptive concurrency limit and the requests- and tokens-per-minute limits of one collecting process.
Does not belong here: retries and what a request is.
"""

import asyncio
import time
from collections import deque


class Throttle:
    """Admits requests.

    The concurrency limit rises by one per round of successes and is halved when the server says "too many requests"
    (additive increase, multiplicative decrease; Chiu and Jain 1989), at most once per request generation, so that the
    many 429 of one burst count once. Starts are spaced evenly, so that no window of 60 s holds more than the limits
    (plus the one request at its edge).
    """

    def __init__(
        self, max_concurrency: int, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
    ) -> None:
        self.limit = float(max_concurrency)
        self.in_flight = 0
        self._max = max_concurrency
        self._per_request = 60 / requests_per_minute if requests_per_minute else 0.0
        self._per_token = 60 / tokens_per_minute if tokens_per_minute else 0.0
        self._next_start = 0.0
        self._paused_until = 0.0
        self._last_cut = 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, tokens: int) -> float:
        """Wait for a place; returns the start time to hand back to :meth:`throttled`. ``tokens``: the estimate."""
        while self.in_flight >= max(1, int(self.limit)):
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
            if self._per_request or self._per_token or now < self._paused_until:
                now = await self._wait_turn(now, tokens)
        except BaseException:
            self.release()
            raise
        return now

    async def _wait_turn(self, now: float, tokens: int) -> float:
        start = max(now, self._next_start)
        self._next_start = start + max(self._per_request, tokens * self._per_token)
        while True:
            wait = max(start, self._paused_until) - now
            if wait <= 0:
                return now
            await asyncio.sleep(wait)
            now = time.monotonic()

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

    def succeeded(self) -> None:
        """Note a reply: the limit creeps up."""
        if self.limit < self._max:
            self.limit = min(self._max, self.limit + 1 / self.limit)

    def throttled(self, started: float, retry_after: float | None) -> None:
        """Note "too many requests" for a request that started at ``started``; pause everyone for ``retry_after``."""
        now = time.monotonic()
        if started > self._last_cut:
            self.limit = max(1.0, self.limit / 2)
            self._last_cut = now
        if retry_after:
            self._paused_until = max(self._paused_until, now + retry_after)
