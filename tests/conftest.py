"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets that may not be copied into the repository."""
    folder = os.environ.get("OPINION_SHARED_DATA")
    if not folder:
        pytest.skip("OPINION_SHARED_DATA is not set: the published GlobalOpinionQA files are not available")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"OPINION_SHARED_DATA={folder} is not a folder")
    return path
