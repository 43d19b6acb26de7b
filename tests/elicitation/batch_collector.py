"""One batch collection as a function of plain values, so that a process of its own can run it and be killed."""

from pathlib import Path
from typing import Any

import pandas as pd

from opinion_assets.elicitation.collect import CollectReport, ElicitationSettings, collect
from opinion_assets.elicitation.conditions import Condition
from opinion_assets.models.registry import ModelVersion

DEFAULT = Condition("default")


def model(url: str, provider: str = "openai", method: str = "chat_logprobs", **fields: Any) -> ModelVersion:
    values: dict[str, Any] = {
        "model_version": "stub@1", "provider": provider, "method": method, "model": "stub", "endpoint": url,
        "prompt_usd_per_million": 1.0, "completion_usd_per_million": 1.0, "batch_api": True, "timeout_s": 120.0,
    }  # fmt: skip
    return ModelVersion(**(values | fields))


def questions(n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``n`` questions with two to four options."""
    question = pd.DataFrame(
        {"question_id": [f"q{i:04}" for i in range(n)], "text": [f"Question {i}?" for i in range(n)]}
    )
    option = pd.DataFrame(
        [
            {"question_id": f"q{i:04}", "option_index": index, "option": f"Option {i}-{index}"}
            for i in range(n)
            for index in range(2 + i % 3)
        ]
    )
    return question, option


def run(
    journal: str | Path,
    url: str,
    n: int,
    *,
    budget_usd: float | None = None,
    project_budget_usd: float | None = None,
    settings: dict[str, Any] | None = None,
    **fields: Any,
) -> CollectReport:
    """Collect ``n`` questions through the batch API."""
    asked = {"use_batch_api": True, "batch_poll_s": 0.02, "max_attempts": 8} | (settings or {})
    return collect(
        *questions(n),
        model(url, **fields),
        DEFAULT,
        ElicitationSettings(**asked),
        journal_dir=Path(journal),
        budget_usd=budget_usd,
        project_budget_usd=project_budget_usd,
    )
