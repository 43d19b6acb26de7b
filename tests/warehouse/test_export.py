"""The exported files hold the stored tables, describe themselves and carry the sources' licences."""

import hashlib
import json
from pathlib import Path

import duckdb
import pytest
import yaml

from opinion_assets.errors import InputError, OpinionAssetsError, UnknownNameError
from opinion_assets.warehouse import Store, tables
from opinion_assets.warehouse.export import ANSWERS, export, exported_tables
from tests.report.synthetic import warehouse


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return warehouse(tmp_path_factory.mktemp("export"), n_questions=12, n_countries=6, models=["m@1", "n@1"])


@pytest.fixture(scope="module")
def exported(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "export"
    export(store, out, answers=True)
    return out


def package(folder: Path) -> dict:
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


def test_both_formats_hold_the_stored_rows(store: Store, exported: Path) -> None:
    for resource in package(exported)["resources"]:
        name = Path(resource["path"]).stem
        with duckdb.connect(str(store.warehouse_path), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            columns = {column.name: column.type for column in tables()[name].columns}
            file = str(exported / resource["path"])
            if resource["format"] == "csv":
                # Lists are JSON; an empty text is not NULL.
                kinds = {key: "JSON" if kind.endswith("[]") else kind for key, kind in columns.items()}
                reader = "SELECT * FROM read_csv(?, columns = ?, allow_quoted_nulls = false)"
                connection.execute(f"CREATE TEMP TABLE file AS {reader}", [file, kinds])
            else:
                connection.execute("CREATE TEMP TABLE file AS SELECT * FROM read_parquet(?)", [file])
            read = ", ".join(f'CAST("{key}" AS {kind}) AS "{key}"' for key, kind in columns.items())
            differ = connection.execute(
                f"(SELECT {read} FROM file EXCEPT ALL SELECT * FROM {name})"
                f" UNION ALL (SELECT * FROM {name} EXCEPT ALL SELECT {read} FROM file)"
            ).fetchall()
            assert differ == [], file
            assert len(connection.table("file")) == resource["rows"] > 0


def test_the_description_agrees_with_the_files_and_the_registry(exported: Path) -> None:
    content = package(exported)
    names = {Path(resource["path"]).stem for resource in content["resources"]}
    assert {"similarity.country", "question.human_distribution", "response.distribution", ANSWERS} <= names
    for resource in content["resources"]:
        data = (exported / resource["path"]).read_bytes()
        assert resource["bytes"] == len(data)
        assert resource["hash"] == "sha256:" + hashlib.sha256(data).hexdigest()
        table = tables()[Path(resource["path"]).stem]
        fields = resource["schema"]["fields"]
        assert [field["name"] for field in fields] == table.column_names
        assert [field["description"] for field in fields] == [column.comment for column in table.columns]


def test_licences_citations_and_runs_travel_with_the_data(store: Store, exported: Path) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    [snapshot] = store.read("survey.snapshot").to_dict("records")
    for part in (
        snapshot["licence"],
        snapshot["citation"],
        snapshot["sha256"],
        "run-of-similarity.country",
        "2306.16388",
    ):
        assert part in card
    citation = yaml.safe_load((exported / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["references"][1]["license"] == snapshot["licence"]
    assert citation["references"][1]["title"] == snapshot["title"]
    assert "eprint = {2306.16388}" in (exported / "references.bib").read_text(encoding="utf-8")
    assert package(exported)["sources"][0]["licence"] == snapshot["licence"]


def test_a_share_alike_licence_is_spelled_out(store: Store, tmp_path: Path) -> None:
    frame = store.read("survey.snapshot").assign(source="global_opinion_qa", licence="CC BY-NC-SA 4.0")
    copy = Store(tmp_path / "copy")
    copy.write("survey.snapshot", frame)
    for table in ("similarity.country", "run.lineage"):
        copy.write(table, store.read(table))
    export(copy, tmp_path / "out", formats=["csv"])
    assert "must have the same licence" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert package(tmp_path / "out")["licenses"][0]["name"] == "CC-BY-NC-SA-4.0"
    assert not (tmp_path / "out" / "parquet").exists()


def test_the_same_tables_give_the_same_files(store: Store, exported: Path, tmp_path: Path) -> None:
    export(store, tmp_path / "again", answers=True)
    again = {path.relative_to(tmp_path / "again"): path.read_bytes() for path in (tmp_path / "again").rglob("*.*")}
    assert again == {path.relative_to(exported): path.read_bytes() for path in exported.rglob("*.*")}


def test_answers_are_exported_only_if_asked_for() -> None:
    assert ANSWERS not in [table.name for table in exported_tables(answers=False)]


def test_nothing_is_overwritten_and_a_mistake_leaves_nothing(store: Store, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not an empty folder"):
        export(store, exported)
    with pytest.raises(UnknownNameError, match="xlsx"):
        export(store, tmp_path / "out", formats=["xlsx"])
    with pytest.raises(OpinionAssetsError, match="nothing is scored yet"):
        export(Store(tmp_path / "nothing"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
