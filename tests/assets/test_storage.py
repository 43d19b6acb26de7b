"""Dagster's storage, as dagster_home/dagster.yaml sets it up: SQLite by default, a real PostgreSQL by one variable."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from opinion_assets.assets.storage import POSTGRES_VARIABLE
from opinion_assets.errors import OpinionAssetsError

REPOSITORY = Path(__file__).parents[2]
DAGSTER_YAML = REPOSITORY / "dagster_home" / "dagster.yaml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(DAGSTER_YAML, folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.delenv(POSTGRES_VARIABLE, raising=False)
    return folder


def postgres_programs() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    folders += [Path(on_path).parent] if on_path else []
    return next(
        (folder for folder in folders if all((folder / name).exists() for name in ("initdb", "createdb"))), None
    )


@pytest.fixture(scope="module")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A throwaway cluster on loopback. PostgreSQL refuses to run as root, so root lends it to the user postgres."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb and postgres are not installed")
    pytest.importorskip("dagster_postgres")
    folder = tmp_path_factory.mktemp("postgres")
    identity: dict[str, int] = {}
    if os.getuid() == 0:
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user postgres to run PostgreSQL as")
        # Not below pytest's own folder, which other users may not enter.
        folder = Path(tempfile.mkdtemp(prefix="opinion-postgres-"))
        os.chown(folder, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid}
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

    def postgres(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=folder, **identity)  # type: ignore[call-overload]

    data = str(folder / "data")
    postgres(str(programs / "initdb"), "-D", data, "-U", "dagster", "-A", "trust", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    postgres(str(programs / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        postgres(str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "dagster", "dagster")
        yield f"postgresql://dagster@127.0.0.1:{port}/dagster"
    finally:
        postgres(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def materialise(instance: dg.DagsterInstance) -> str:
    @dg.asset
    def something() -> None: ...

    result = dg.materialize([something], instance=instance)
    assert result.success
    return result.run_id


def test_sqlite_beside_the_file_by_default(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        run_id = materialise(instance)
    with dg.DagsterInstance.get() as instance:
        assert instance.has_run(run_id)
        assert instance.get_latest_materialization_event(dg.AssetKey("something")) is not None
        limits = instance.get_concurrency_config().run_queue_config
        assert limits is not None
        assert limits.max_concurrent_runs == 4
        assert not instance.telemetry_enabled
        assert instance.run_retries_enabled
    assert {path.name for path in home.iterdir()} >= {"dagster.yaml", "history", "schedules"}


@pytest.mark.postgres
def test_runs_and_events_are_in_postgres(home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg2

    monkeypatch.setenv(POSTGRES_VARIABLE, postgres_url)
    with dg.DagsterInstance.get() as instance:
        run_id = materialise(instance)
        instance.add_dynamic_partitions("model_version", ["one@1"])
        reference = instance.get_ref()
        assert postgres_url not in str(reference), "the password must not stand in what Dagster passes on or shows"
    # As the processes of runs do: from the reference alone, in another process.
    script = (
        "import dagster as dg; instance = dg.DagsterInstance.get();"
        f"assert instance.has_run('{run_id}'); print(instance.get_dynamic_partitions('model_version'))"
    )
    printed = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=True, timeout=120)
    assert "one@1" in printed.stdout
    connection = psycopg2.connect(postgres_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM runs WHERE run_id = %s", (run_id,))
            assert cursor.fetchone() == (1,)
            cursor.execute("SELECT count(*) FROM event_logs WHERE dagster_event_type = 'ASSET_MATERIALIZATION'")
            assert cursor.fetchone() == (1,)
    finally:
        connection.close()
    assert not (home / "history").exists()


def test_no_silent_sqlite_without_the_package(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(POSTGRES_VARIABLE, "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    with pytest.raises(OpinionAssetsError, match="dagster-postgres"):
        dg.DagsterInstance.get()
    assert not (home / "history").exists()


def test_what_runs_write_is_not_committed() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "dagster_home/history/runs.db", "dagster_home/schedules/x", "dagster_home/storage/x"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if ignored.returncode == 128:
        pytest.skip("not a git checkout")
    assert len(ignored.stdout.splitlines()) == 3
    assert yaml.safe_load(DAGSTER_YAML.read_text())["telemetry"] == {"enabled": False}
