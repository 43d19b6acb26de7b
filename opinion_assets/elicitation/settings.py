"""How questions are put: option orders, samples, sampling settings, and how stubbornly.

Belongs here: the settings value object and what of it decides an answer. Does not belong here: the model's own
properties (``models.registry``) and the doing (``collect``).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opinion_assets.elicitation.prompts import LETTERS, TEMPLATE_VERSION, check_orders, count_orders, option_orders
from opinion_assets.errors import InputError
from opinion_assets.identity import sha256_json
from opinion_assets.models.registry import ModelVersion

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class ElicitationSettings:
    """Settings of a collection.

    ``orders``: option orders asked, see :func:`prompts.option_orders`; ``order_seed`` seeds the permutations.
    For the sampling method, ``n_samples`` answers per question are drawn, spread evenly over the orders; where
    ``max_samples`` is larger, rounds of ``n_samples`` follow until the widest 95 % Wilson interval among the options
    has a half-width of at most ``half_width``, or ``max_samples`` is reached. ``seed`` is sent with sample i as
    seed + i to servers that take one. ``temperature`` and ``max_tokens`` override the registry's.
    A request gets ``max_attempts`` attempts; a server that asks for a longer wait than ``max_wait_s`` ends them.
    With ``use_batch_api`` requests go through the provider's batch API, which is looked at every ``batch_poll_s``.
    """

    orders: str = "identity"
    order_seed: int = 0
    n_samples: int = 20
    max_samples: int | None = None
    half_width: float = 0.1
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    max_attempts: int = 8
    max_wait_s: float = 120.0
    progress_every_s: float = 10.0
    use_batch_api: bool = False
    batch_poll_s: float = 30.0

    def __post_init__(self) -> None:
        check_orders(self.orders)
        for name, low in (("n_samples", 1), ("max_attempts", 1), ("max_tokens", 1), ("max_samples", self.n_samples)):
            value = getattr(self, name)
            if value is not None and value < low:
                raise InputError(f"must be at least {low}, not {value}", field=name)
        for name in ("max_wait_s", "progress_every_s", "batch_poll_s"):
            if not getattr(self, name) > 0:
                raise InputError(f"must be above 0, not {getattr(self, name)}", field=name)
        if not 0 < self.half_width <= 0.5:
            raise InputError(f"must be above 0 and at most 0.5, not {self.half_width}", field="half_width")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InputError(f"must be 0 to 2, not {self.temperature}", field="temperature")

    def sampling_temperature(self, model: ModelVersion) -> float:
        """Temperature sent: these settings', the registry's, else 1 for sampling and 0 for log-probabilities."""
        for value in (self.temperature, model.temperature):
            if value is not None:
                return value
        return 1.0 if model.method == "sampling" else 0.0

    def reply_tokens(self, model: ModelVersion) -> int:
        """Reply length sent: a letter, for chat with room for a bracket before it, for sampling a short sentence."""
        default = {"completion_logprobs": 1, "chat_logprobs": 3, "sampling": 24}
        return self.max_tokens or model.max_tokens or default[model.method]

    def samples(self, model: ModelVersion) -> tuple[int, int]:
        """Fewest and most answers per question; for log-probabilities the number of orders, written (0, 0)."""
        if model.method != "sampling":
            return 0, 0
        return self.n_samples, self.max_samples or self.n_samples

    def key(self, model: ModelVersion) -> str:
        """Hash of all that decides a reply besides the prompt, the order and the sample's number."""
        return sha256_json(
            [
                TEMPLATE_VERSION,
                model.model_version,
                model.method,
                self.sampling_temperature(model),
                self.reply_tokens(model),
                model.top_logprobs if model.method != "sampling" else None,
                model.prefill,
                self.seed if model.method == "sampling" else None,
            ]
        )[:16]

    def requests(self, model: ModelVersion, n_options: int, question_id: str) -> Iterator[tuple[tuple[int, ...], int]]:
        """(option order, sample index within the order) of each request for a question, up to the most samples."""
        if not 2 <= n_options <= len(LETTERS):
            raise InputError(f"{n_options} options; 2 to {len(LETTERS)} can be lettered", question=question_id)
        orders = option_orders(self.orders, n_options, seed=self.order_seed, question_id=question_id)
        _, most = self.samples(model)
        if most == 0:
            yield from ((order, 0) for order in orders)
            return
        # "all" orders of many options may be more than there are samples: take only what is needed.
        used = [order for order, _ in zip(orders, range(most), strict=False)]
        yield from ((used[number % len(used)], number // len(used)) for number in range(most))

    def count(self, model: ModelVersion, n_options: int) -> tuple[int, int]:
        """Fewest and most requests for a question."""
        least, most = self.samples(model)
        if most:
            return least, most
        n = count_orders(self.orders, n_options)
        return n, n


def half_width(counts: Sequence[int]) -> float:
    """Largest half-width among the options' 95 % Wilson score intervals (Wilson 1927), 0 to 0.5; 0.5 without answers.

    For a share p of n answers: z / (1 + z²/n) · sqrt(p (1 − p) / n + z² / (4 n²)).
    """
    n = sum(counts)
    if n == 0:
        return 0.5
    z2 = _Z95 * _Z95
    return max(
        _Z95 / (1 + z2 / n) * math.sqrt((count / n) * (1 - count / n) / n + z2 / (4 * n * n)) for count in counts
    )


def samples_wanted(
    settings: ElicitationSettings, model: ModelVersion, answers: Sequence[int | None], n_options: int
) -> int:
    """How many samples a question needs, given the first answers (option index, -1 invalid, None not known yet).

    Looks at the answers after each round of ``n_samples`` only, so the number depends on the answers and not on the
    order in which they arrive: a rerun stops at the same one.
    """
    least, most = settings.samples(model)
    wanted = least
    counts = [0] * n_options
    for number in range(most):
        if number == wanted:
            if half_width(counts) <= settings.half_width:
                break
            wanted = min(most, wanted + least)
        if number >= len(answers) or answers[number] is None:
            break
        answer = answers[number]
        if answer is not None and answer >= 0:
            counts[answer] += 1
    return wanted
