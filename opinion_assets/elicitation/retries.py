"""How long to wait before a request that failed is sent again.

Does not belong here: which failures are worth another attempt and how many (``collect``, ``batches``), and the pace of
first attempts (``throttle``).
"""

import tenacity

from opinion_assets.models.client import RequestFailed

_BACKOFF = tenacity.wait_random_exponential(multiplier=0.25, max=30)


def wait(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt; never less than Retry-After.

    Exponential with full jitter: up to 0.25 s after the first attempt, twice as much after each further one, at most
    30 s.
    """
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, RequestFailed) else None
    return max(asked or 0.0, _BACKOFF(state))
