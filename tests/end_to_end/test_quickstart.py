"""docs/quickstart.md, followed literally in a fresh clone.

The environment that runs the tests stands in for what `make setup` installs; all else is as a reader has it.
"""

import base64
import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
QUICKSTART = REPOSITORY / "docs" / "quickstart.md"


def commands() -> str:
    return "\n".join(re.findall(r"^```sh\n(.*?)^```$", QUICKSTART.read_text(encoding="utf-8"), flags=re.S | re.M))


def tracked_files() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone of the current state holds, with an installed environment."""
    folder = tmp_path_factory.mktemp("quickstart") / "opinion_assets"
    for name in tracked_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    # The command of this clone, run by the interpreter of the tests.
    for name, module in {"opinion-assets": "-m opinion_assets.cli ", "python": ""}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} {module}"$@"\n')
        program.chmod(0o755)
    (folder / ".venv" / ".runtime").touch()
    return folder


@pytest.fixture(scope="module")
def output(clone: Path) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OPINION_", "DAGSTER_", "PYTHONPATH", "MAKE"))
    }
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands()],
        cwd=clone,
        env=environment | {"COLUMNS": "160"},
        text=True,
        capture_output=True,
        timeout=900,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.model
def test_the_commands_end_in_a_report_of_the_readers_questions(clone: Path, output: str) -> None:
    assert "asked the model 5 times" in output
    report = (clone / "data" / "report" / "index.html").read_text(encoding="utf-8")
    block = re.search(r'data-block="question"[^>]*>([^<]*)<', report)
    assert block is not None
    questions = gzip.decompress(base64.b64decode(block.group(1))).decode()
    assert "How often should people be allowed to work from home?" in questions


@pytest.mark.model
def test_the_queries_show_similarities_and_the_prompt(output: str) -> None:
    for country in ("TUR", "KEN", "SWE"):
        assert len(re.findall(rf"│ {country} ", output)) == 2, "one row for each condition"
    assert "(A) Always" in output


@pytest.mark.model
def test_the_readers_model_is_registered_and_planned(output: str) -> None:
    assert "my-model@2026-01-31" in output


def test_links_of_the_documents_lead_somewhere() -> None:
    broken = []
    for document in [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target and not (document.parent / target).exists():
                broken.append(f"{document.name}: {target}")
    assert broken == []
