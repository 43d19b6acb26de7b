"""Checks that warn: what is stored can be used, but a person should look. Checks that block stand beside the assets.

The limits are conventions of this project, not of the field; docs/methods.md says what the numbers mean.
"""

from collections.abc import Callable

import dagster as dg
import pandas as pd

from opinion_assets.assets.common import Check, as_markdown, asset_key, by_model_and_condition

MAX_INVALID_RATE = 0.2
MIN_LETTER_MASS = 0.5
MAX_LOW_MASS_RATE = 0.1
MIN_QUESTIONS = 30


def many_invalid_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The invalid answers, where they are more than :data:`MAX_INVALID_RATE` of all."""
    invalid = frame[frame["status"] == "invalid"]
    shown = ["question_id", "raw_text"]
    return invalid[shown] if len(invalid) > MAX_INVALID_RATE * len(frame) else invalid[shown].head(0)


def failed_requests(frame: pd.DataFrame) -> pd.DataFrame:
    """Requests that got no answer after all attempts."""
    return frame.loc[frame["status"] == "failed", ["question_id", "error"]]


def low_letter_mass(frame: pd.DataFrame) -> pd.DataFrame:
    """Questions with little probability on the option letters, where they are more than a tenth of all."""
    first = frame.drop_duplicates("question_id")
    low = first.loc[first["letter_mass"] < MIN_LETTER_MASS, ["question_id", "letter_mass"]]
    return low if len(low) > MAX_LOW_MASS_RATE * len(first) else low.head(0)


def few_questions(frame: pd.DataFrame) -> pd.DataFrame:
    """Countries whose mean rests on few questions."""
    few = frame.loc[frame["n_questions"] < MIN_QUESTIONS, ["source", "country", "sample_type", "n_questions"]]
    return few.drop_duplicates().sort_values("n_questions", kind="stable")


ANSWER_WARNINGS = (
    Check(
        "few_invalid_answers",
        f"At most {MAX_INVALID_RATE:.0%} of the answers name none of the options.",
        many_invalid_answers,
        blocking=False,
    ),
    Check(
        "no_failed_requests",
        "Every request got an answer; the next run asks the failed ones again.",
        failed_requests,
        blocking=False,
    ),
)
MASS_WARNING = Check(
    "letters_have_mass",
    f"Before normalising, the option letters have at least {MIN_LETTER_MASS:g} of the probability, in "
    f"{1 - MAX_LOW_MASS_RATE:.0%} of the questions; where they have little, the model would rather say something else.",
    low_letter_mass,
    blocking=False,
)
QUESTIONS_WARNING = Check(
    "enough_questions",
    f"Each mean rests on at least {MIN_QUESTIONS} questions; with fewer the intervals are too narrow.",
    few_questions,
    blocking=False,
)


def every_question_answered(asked: Callable[[], pd.DataFrame]) -> Check:
    """Each question that was asked has a distribution, as it got a valid answer."""

    def find(frame: pd.DataFrame) -> pd.DataFrame:
        questions = asked()[["question_id"]].drop_duplicates()
        return questions[~questions["question_id"].isin(frame["question_id"])]

    return Check("every_question_answered", "Each question that was asked got a valid answer.", find, blocking=False)


def failed_partitions_check(table_name: str) -> dg.AssetChecksDefinition:
    """A check that lists the partitions of an asset whose last run failed."""
    key = asset_key(table_name)

    @dg.asset_check(
        asset=key,
        name="no_failed_partitions",
        description="The last run of every partition that was ever run succeeded. Re-execute those listed here: "
        "automation does not.",
        automation_condition=dg.AutomationCondition.asset_matches(  # type: ignore[arg-type]
            key, dg.AutomationCondition.execution_failed().newly_true()
        ),
    )
    def no_failed_partitions(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        keys = by_model_and_condition.get_partition_keys(dynamic_partitions_store=context.instance)
        statuses = context.instance.get_status_by_partition(key, keys, by_model_and_condition) or {}
        failed = sorted(
            str(name) for name, status in statuses.items() if status is not None and status.value == "FAILED"
        )
        listed = pd.DataFrame({"partition": failed})
        return dg.AssetCheckResult(
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"failed": len(failed), "partitions": dg.MetadataValue.md(as_markdown(listed))},
        )

    return no_failed_partitions


failed_partitions_checks = [failed_partitions_check(name) for name in ("response.answer", "similarity.country")]
