"""The stub server itself: that it speaks, counts and fails as the other tests suppose."""

import json
import math
import subprocess
import sys

import httpx
import pytest

from tests.elicitation.server import FAULTS, HttpResponse, StubServer, token_logprobs, weights

PROMPT = "Question: Is it?\n\nHere are the options:\n(A) Yes\n(B) No\n\nmy answer would be ("
TIMEOUT_S = 120
PAYLOAD = {"model": "stub", "prompt": PROMPT, "max_tokens": 1, "logprobs": 20}


def test_probabilities_belong_to_the_options_text() -> None:
    turned = PROMPT.replace("Yes", "?").replace("No", "Yes").replace("?", "No")
    assert weights(PROMPT)["A"] == weights(turned)["B"]
    mass = sum(math.exp(value) for token, value in token_logprobs(PROMPT, 20) if token not in ("the", "AB", "a"))
    assert mass == pytest.approx(0.9)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_happens_and_is_accounted(fault: str) -> None:
    with StubServer(faults={fault: 1.0}, trickle_s=0.02) as server, httpx.Client(timeout=TIMEOUT_S) as client:
        if fault in ("drop", "drop_in_body"):
            with pytest.raises(httpx.RemoteProtocolError):
                client.post(f"{server.url}/completions", json=PAYLOAD)
        elif fault == "slow":
            with client.stream("POST", f"{server.url}/completions", json=PAYLOAD) as response:
                received = b""
                for piece in response.iter_bytes():
                    received += piece
                    if len(received) > 5:
                        break
            assert received.startswith(b'{"id"')
        else:
            response = client.post(f"{server.url}/completions", json=PAYLOAD)
            assert response.status_code == (int(fault[:3]) if fault[:3].isdigit() else 200)
            if response.status_code == 429:
                assert response.headers["retry-after"]
            if response.status_code == 200 and fault in ("truncated", "html", "nan"):
                with pytest.raises(json.JSONDecodeError):
                    json.loads(response.content, parse_constant=lambda _: json.loads(""))
        assert [seen.fault for seen in server.seen] == [fault]
        assert (server.usd > 0) == FAULTS[fault]
        assert not server.seen[0].good


def test_it_counts_by_content_and_serves_further_routes() -> None:
    with StubServer() as server, httpx.Client(timeout=TIMEOUT_S) as client:
        server.route("GET", r"/v1/batches/\w+", lambda request: HttpResponse(body=request.path.encode()))
        for seed in (1, 1, 2):
            assert client.post(f"{server.url}/completions", json=PAYLOAD | {"seed": seed}).status_code == 200
        assert client.get(f"{server.url}/batches/b1").text == "/v1/batches/b1"
        assert client.post(f"{server.url}/nothing", json={}).status_code == 404
        assert sorted(server.counts.values()) == [1, 1, 2]
        assert client.get(server.url.removesuffix("/v1") + "/account").json()["n_requests"] == 4


def test_as_a_process_it_ends_with_its_input() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.elicitation.server", '{"latency_s": 0.01}'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.post(f"{url}/completions", json=PAYLOAD, timeout=TIMEOUT_S).json()["choices"][0]["text"] in (
            "A",
            "B",
        )
        process.stdin.close()
        assert process.wait(timeout=TIMEOUT_S) == 0
