"""The report: one HTML file that needs nothing else. Reads the warehouse, computes nothing that is not stored there.

Does not belong here: what the blocks of data hold (`payload`) and how the page shows them (page/*.js).
"""

import base64
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import jinja2

import opinion_assets
from opinion_assets.report import outlines
from opinion_assets.report.payload import collect

_HERE = Path(__file__).parent
# Libraries, then the page's own script, in the order in which they need each other.
_LIBRARIES = ("preact.min.umd.js", "preact-hooks.umd.js", "htm.umd.js")
_SCRIPTS = ("data.js", "state.js", "parts.js", "map.js", "provenance.js", "views.js", "app.js")
MAX_BYTES = 15_000_000


@dataclass(frozen=True)
class ReportSummary:
    """What was written: file, size in bytes, rows of similarity.country behind it, data blocks left out for size."""

    path: Path
    n_bytes: int
    n_rows: int
    omitted: tuple[str, ...]


def build_report(
    connection: duckdb.DuckDBPyConnection, out: Path, *, max_bytes: int = MAX_BYTES, built: datetime | None = None
) -> ReportSummary:
    """Write the report on everything in a warehouse to ``out``, replacing it at once.

    The file stays below ``max_bytes`` where the questions and people's answers alone do: numbers by further metrics,
    then prompts and answers, are left out first, and the page says so. ``built`` is the time printed on it, by default
    now.
    """
    script = "\n".join(
        [*(_text("static", name) for name in _LIBRARIES), '"use strict";', *(_text("page", name) for name in _SCRIPTS)]
    )
    style = _text("page", "style.css")
    about = {
        "version": opinion_assets.__version__,
        "built": f"{built or datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "outlines": outlines.outlines(),
        "points": outlines.points(),
        "edge": outlines.edge(),
        "width": outlines.WIDTH,
        "height": outlines.height(),
    }
    # What stands around the blocks: the two texts in UTF-8 and the template itself.
    around = len((script + style).encode()) + 4_000
    payload = collect(connection, max_bytes - around, about)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("opinion_assets.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        script=script,
        style=style,
        script_hash=_source_hash(script),
        style_hash=_source_hash(style),
        blocks=payload.blocks,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(out)
    n_rows = len(connection.table("similarity.country"))
    return ReportSummary(out, out.stat().st_size, n_rows, tuple(payload.omitted))


def _text(folder: str, name: str) -> str:
    return (_HERE / folder / name).read_text(encoding="utf-8").strip()


def _source_hash(text: str) -> str:
    """What Content-Security-Policy calls an inline element's hash: only this text may run, nothing put in by data."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
