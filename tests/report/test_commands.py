"""`opinion-assets figures` and `opinion-assets export`, as a user calls them."""

import os
import subprocess
import sys
from pathlib import Path

from tests.report.conftest import Built
from tests.report.synthetic import MODELS


def cli(built: Built, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "opinion_assets.cli", *arguments],
        env=os.environ | {"OPINION_DATA_DIR": str(built.store.folder)},
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_export_writes_the_files_it_names_and_overwrites_nothing(built: Built, tmp_path: Path) -> None:
    out = tmp_path / "export"
    first = cli(built, "export", "--out", str(out), "--format", "csv")
    assert first.returncode == 0, first.stderr
    named = {line.split()[0] for line in first.stdout.splitlines() if line.startswith("csv/")}
    assert named == {path.relative_to(out).as_posix() for path in out.rglob("*.csv")}
    assert "csv/similarity.country.csv" in named
    second = cli(built, "export", "--out", str(out))
    assert second.returncode == 2
    assert "is not an empty folder" in second.stderr


def test_figures_are_drawn_and_a_wrong_name_is_one_line(built: Built, tmp_path: Path) -> None:
    drawn = cli(built, "figures", "--out", str(tmp_path), "--model", MODELS[0])
    assert drawn.returncode == 0, drawn.stderr
    assert all(Path(line).exists() for line in drawn.stdout.split())
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png"}
    wrong = cli(built, "figures", "--out", str(tmp_path), "--model", "nobody@1")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert "nobody@1" in wrong.stderr
