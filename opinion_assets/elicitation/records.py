"""One answer as the journal keeps it: from a reply to the columns of ``response.answer``.

Belongs here: the reading of a reply into a record, the same for requests sent one by one and in batches. Does not
belong here: sending (``collect``, ``batches``) and storing (``journal``).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from opinion_assets.elicitation import letters
from opinion_assets.models.client import Reply


def answered(
    unanswered: Mapping[str, Any], options: Sequence[str], reply: Reply, *, cost_usd: float, latency_s: float | None
) -> dict[str, Any]:
    """The record of a request that was answered.

    ``unanswered`` is the record of the same request without an answer (its status is ``failed``); ``options`` are the
    question's, in its own order. Log-probabilities of -inf become null, which JSON can hold. The record also holds
    ``top_logprobs`` as they came, which no table has: what was paid for can be read anew under another rule.
    """
    record = dict(unanswered) | {
        "status": "ok",
        "error": None,
        "raw_text": reply.text,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": cost_usd,
        "model_reported": reply.model_reported,
        "latency_s": latency_s,
    }
    order = record["option_order"]
    if record["method"] == "sampling":
        position = letters.letter_of_reply(reply.text, [options[index] for index in order])
        if position is None:
            record |= {"status": "invalid", "error": "the reply names no single option"}
        else:
            record["answer_index"] = order[position]
        return record
    # A completion continues after the opened bracket, so the letter is its first token whatever the model likes most.
    first = record["method"] == "completion_logprobs" and reply.top_logprobs
    pairs = reply.top_logprobs[0][1] if first else letters.answer_position(reply.top_logprobs)
    by_letter = letters.letter_logprobs(pairs, len(order))
    by_option = [-math.inf] * len(order)
    for logprob, index in zip(by_letter, order, strict=True):
        by_option[index] = logprob
    record["letter_mass"] = min(1.0, sum(math.exp(value) for value in by_option))
    record["top_logprobs"] = reply.top_logprobs
    record["option_logprobs"] = [None if value == -math.inf else value for value in by_option]
    if record["letter_mass"] == 0:
        record |= {"status": "invalid", "error": "no option letter among the most likely tokens"}
    return record
