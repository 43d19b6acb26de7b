"""The data dictionary, docs/warehouse.md: tables, views and worked queries, as sql/ declares them.

Belongs here: putting the page together. Does not belong here: any description of a table or column; those are the
COMMENTs in sql/tables and sql/views.
"""

from collections.abc import Iterable

import duckdb
import pandas as pd

from opinion_assets.paths import sql_dir
from opinion_assets.warehouse.schema import create_tables, create_views, read_sql, tables

_INTRODUCTION = """\
# The warehouse

`data/warehouse.duckdb` holds everything that a run stores, as tables with one schema a stage. Open it read-only with
any DuckDB client:

```sh
duckdb -readonly data/warehouse.duckdb                      # DuckDB's command line, or in Python:
python -c "import duckdb; print(duckdb.connect('data/warehouse.duckdb', read_only=True).sql('FROM run.lineage'))"
```

While the file is open, runs wait (five minutes at most) before they can store; close it when you are done, or work on a
copy. A partition is loaded in one transaction: a reader sees all of it or none. Every table is also a folder of Parquet
files, `data/<schema>/<table>/`, which may be read at any time; `opinion-assets rebuild` makes the DuckDB file anew from
them.

Rules that hold everywhere:

- A mean of one metric is not comparable with a mean of another, nor base `e` with base `2`: filter `metric` and `base`.
  The published measure is `metric = 'js_similarity' AND base = 'e'`, from 0.167 to 1.
- Survey sources are never averaged together; samples that are not national have their own `sample_type`.
- Tables with intervals have one row for each kind: filter `interval` (and `cluster_by` where there is one).
- `question_country` holds all waves; only rows with `is_latest_wave` enter means.

This page is written by `opinion-assets dictionary` from sql/tables, sql/views and sql/queries.
"""


def data_dictionary() -> str:
    """The page as Markdown. It depends on the files under sql/ only."""
    parts = [_INTRODUCTION, "## Queries\n"]
    for query in sorted((sql_dir() / "queries").glob("*.sql")):
        comment, statement = _split(query.read_text(encoding="utf-8"))
        parts.append(f"{comment}\n\n```sql\n{statement}\n```\n")
    parts.append("## Tables\n")
    for table in tables().values():
        rows = [(c.name, c.type + ("" if c.nullable else " NOT NULL"), c.comment) for c in table.columns]
        parts.append(_section(table.name, table.comment, rows))
    parts.append("## Views\n")
    for name, columns in _views().groupby("view_name", sort=True):
        described = columns[["column_name", "data_type", "column_comment"]].itertuples(index=False, name=None)
        parts.append(_section(str(name), columns["view_comment"].iloc[0], described))
    return "\n".join(parts)


def _views() -> pd.DataFrame:
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        create_tables(connection)
        create_views(connection)
        return connection.execute(read_sql("warehouse/views.sql")).df()


def _split(text: str) -> tuple[str, str]:
    """The leading comment of a query as prose, and the statement."""
    lines = text.strip().splitlines()
    n = next(number for number, line in enumerate(lines) if not line.startswith("--"))
    return " ".join(line.removeprefix("--").strip() for line in lines[:n]), "\n".join(lines[n:])


def _section(name: str, comment: str, rows: Iterable[tuple[str, str, str | None]]) -> str:
    lines = [f"### {name}\n", f"{comment}\n", "| column | type | meaning |", "|---|---|---|"]
    for column, kind, meaning in rows:
        lines.append(f"| `{column}` | {kind} | {(meaning or '').replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
