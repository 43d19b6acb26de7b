"""A disk that becomes full."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> str:
    """The beginning of a shell command that has a 1.4 MB file system at ``tmp_path/disk``."""
    (tmp_path / "disk").mkdir()
    start = f"mount -t tmpfs -o size=1400k tmpfs {tmp_path}/disk"
    tried = subprocess.run(["unshare", "-rm", "sh", "-c", start], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip(f"no file system of limited size can be mounted here: {tried.stderr.decode().strip()}")
    return start
