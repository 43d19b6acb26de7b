"""The report: one HTML file that needs nothing else. Reads the warehouse, computes nothing that is not stored there."""

import json
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import jinja2

import opinion_assets
from opinion_assets.paths import sql_dir
from opinion_assets.report.outlines import WIDTH, outlines

# viridis at nine even steps: ordered in lightness, readable with colour-blindness and in grey print.
PALETTE = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"]
FLOOR = 1 - math.sqrt(math.log(2))


@dataclass(frozen=True)
class ReportSummary:
    """What was written: file, its size in bytes and the number of table rows."""

    path: Path
    n_bytes: int
    n_rows: int


def build_report(connection: duckdb.DuckDBPyConnection, out: Path) -> ReportSummary:
    """Write the report on everything in a warehouse to ``out``, replacing it at once."""
    rows = _query(connection, "country")
    data = {
        "rows": rows,
        "partitions": _query(connection, "partition"),
        "palette": PALETTE,
        "floor": FLOOR,
    }
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("opinion_assets.report"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("report.html.j2").render(
        # A "<" inside the data could end the script element that carries it.
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        outlines=outlines(),
        width=WIDTH,
        snapshots=_query(connection, "snapshot"),
        version=opinion_assets.__version__,
        built=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        floor=FLOOR,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(out)
    return ReportSummary(out, out.stat().st_size, len(rows))


def _query(connection: duckdb.DuckDBPyConnection, name: str) -> list[dict[str, Any]]:
    result = connection.execute((sql_dir() / "report" / f"{name}.sql").read_text(encoding="utf-8"))
    columns = [column[0] for column in result.description or []]
    return [
        {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in zip(columns, row, strict=True)
        }
        for row in result.fetchall()
    ]
