"""A partition materialised as the UI does it: through the webserver's GraphQL, with the daemon running."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def server(demo: Workplace, tmp_path: Path) -> Iterator[tuple[Workplace, str]]:
    """``opinion-assets ui`` on a copy of the demo's folder."""
    shutil.copytree(demo.folder, tmp_path / "copy")
    place = Workplace(tmp_path / "copy")
    port = free_port()
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "opinion_assets.cli", "ui", "--port", str(port)],
            env=place.environment,
            cwd=place.folder,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"{url}/server_info", timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline or process.poll() is not None:
                pytest.fail((tmp_path / "log").read_text())
            time.sleep(0.5)
        yield place, url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def graphql(url: str, query: str, **variables: Any) -> Any:
    answer = httpx.post(f"{url}/graphql", json={"query": query, "variables": variables}, timeout=60).json()
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
    deadline = time.monotonic() + 240
    status = ""
    while status not in {"SUCCESS", "FAILURE", "CANCELED"} and time.monotonic() < deadline:
        time.sleep(1)
        status = graphql(url, STATUS, id=run_id)["runOrError"]["status"]
    assert status == "SUCCESS"
    counted = place.query(f"SELECT count(*) FROM similarity.country WHERE condition = '{condition}'")
    assert counted[0][0] > 80  # type: ignore[operator]
    lineage = place.query(f"SELECT DISTINCT run_id FROM run.lineage WHERE partition LIKE '%{condition}'")
    assert lineage == [(run_id,)]
