"""The waits between attempts, as tenacity takes them."""

import asyncio
import statistics

import tenacity

from opinion_assets.elicitation import retries
from opinion_assets.models.client import RequestFailed


def waits(n: int, error: Exception) -> list[float]:
    """What is slept after each of ``n`` attempts that fail."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def fail() -> None:
        raise error

    retrying = tenacity.AsyncRetrying(wait=retries.wait, stop=tenacity.stop_after_attempt(n + 1), sleep=sleep)

    async def exhaust() -> None:
        try:
            await retrying(fail)
        except tenacity.RetryError:
            return
        raise AssertionError("it cannot succeed")

    asyncio.run(exhaust())
    return slept


def test_waits_double_from_a_quarter_of_a_second_to_thirty() -> None:
    many = [waits(12, RequestFailed("HTTP 503", retryable=True)) for _ in range(200)]
    for attempt, drawn in enumerate(zip(*many, strict=True), start=1):
        most = min(30.0, 0.25 * 2 ** (attempt - 1))
        assert max(drawn) <= most
        # Full jitter: from nothing to the most. The standard error of the mean is 0.02 of it.
        assert abs(statistics.mean(drawn) / most - 0.5) < 0.12


def test_no_wait_is_shorter_than_the_server_asked_and_other_errors_ask_nothing() -> None:
    asked = waits(12, RequestFailed("HTTP 429", retryable=True, retry_after=20.0))
    assert asked[:7] == [20.0] * 7
    assert all(20 <= seconds <= 30 for seconds in asked)
    assert waits(1, ValueError())[0] <= 0.25
