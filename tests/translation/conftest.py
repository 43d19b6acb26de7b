"""Questions used by the translation tests: the wording of the embedded survey questions."""

import shutil
import subprocess

import pandas as pd
import pytest

from opinion_assets.identity import question_id

QUESTIONS = [
    (
        "Is what the government does for people in poverty about the right amount, too much, or too little?",
        ["Too little", "About the right amount", "Too much"],
        ["substantive"] * 3,
    ),
    ("Do you belong to a religion or religious denomination?", ["Yes", "No"], ["substantive"] * 2),
    (
        "Do you have a favorable opinion of Germany?",
        ["Very favorable", "Somewhat favorable", "Somewhat unfavorable", "Very unfavorable", "DK/Refused"],
        ["substantive"] * 4 + ["dont_know_or_refused"],
    ),
    (
        "Compared with 20 years ago, is it now never, sometimes or always safe to walk alone at night?",
        ["Never safe", "Sometimes safe", "Always safe", "Don't know"],
        ["substantive"] * 3 + ["dont_know"],
    ),
    (
        "Is it not acceptable to ask 20 questions at night in this country?",
        ["Always safe", "Sometimes safe", "Never safe"],
        ["substantive"] * 3,
    ),
]


@pytest.fixture(scope="session")
def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    """question and option frames with the columns that translation reads."""
    questions, options = [], []
    for text, texts, roles in QUESTIONS:
        qid = question_id(text, texts)
        questions.append({"question_id": qid, "language": "en", "text": text})
        for index, (option, role) in enumerate(zip(texts, roles, strict=True)):
            options.append({"question_id": qid, "option_index": index, "option": option, "role": role})
    return pd.DataFrame(questions), pd.DataFrame(options)


@pytest.fixture(scope="session")
def apertium() -> None:
    """Skips where Debian's English–Spanish pair is not installed."""
    modes = ""
    if shutil.which("apertium"):
        modes = subprocess.run(["apertium", "-l"], capture_output=True, text=True, check=False, timeout=120).stdout
    if not {"eng-spa", "spa-eng"} <= set(modes.split()):
        pytest.skip("apertium-eng-spa is not installed (apt-get install apertium-eng-spa)")
