"""Where things lie: the repository's sql/ folder and the data folder. Nothing here creates or reads a file."""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

_PACKAGE = Path(__file__).parent


def sql_dir() -> Path:
    """Folder of the .sql files: inside the installed package, or beside it in a checkout."""
    installed = _PACKAGE / "sql"
    return installed if installed.is_dir() else _PACKAGE.parent / "sql"


def data_dir() -> Path:
    """Folder of everything a run stores: $OPINION_DATA_DIR, or ``data`` under the current directory."""
    return Path(os.environ.get("OPINION_DATA_DIR") or "data").absolute()


def path_key(key: str) -> str:
    """A partition key as one path component: all but letters, digits, ``.``, ``_``, ``-`` and ``@`` percent-encoded.

    >>> path_key("cross_national:TUR"), path_key("..")
    ('cross_national%3ATUR', '%2E%2E')
    """
    quoted = quote(key, safe="@")
    return quoted.replace(".", "%2E") if re.fullmatch(r"\.+", quoted) else quoted


def key_of_path(component: str) -> str:
    """Inverse of :func:`path_key`."""
    return unquote(component)
