"""One whole offline run, shared by the end-to-end tests, and the command line as a user calls it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Workplace:
    """A fresh folder with its own Dagster instance and data folder."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def warehouse(self) -> Path:
        return self.data / "warehouse.duckdb"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DAGSTER_HOME": str(self.folder / "dagster_home"),
            "OPINION_DATA_DIR": str(self.data),
            "COLUMNS": "200",
        }

    def cli(self, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``opinion-assets`` as a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "opinion_assets.cli", *arguments],
            env=self.environment | (environment or {}),
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=600,
            check=False,
        )

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def files(self) -> dict[str, bytes]:
        """Everything stored, but for Dagster's own event logs."""
        return {
            str(path.relative_to(self.data)): path.read_bytes()
            for path in sorted(self.data.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="session")
def new_workplace(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Workplace]:
    return lambda name: Workplace(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def demo(new_workplace: Callable[[str], Workplace]) -> Workplace:
    """The demo, run once."""
    place = new_workplace("demo")
    result = place.cli("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    (place.folder / "stdout").write_text(result.stdout, encoding="utf-8")
    return place
