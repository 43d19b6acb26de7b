"""Translators: apertium for real, a model over a real local HTTP server, the journal that keeps what was paid for."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from opinion_assets.errors import BudgetError, InputError, UnknownNameError
from opinion_assets.models.registry import ModelVersion
from opinion_assets.translation.translators import (
    ApertiumTranslator,
    Context,
    Journal,
    ModelTranslator,
    clean_reply,
    reply_limit,
    translation_prompt,
)


class _Server(ThreadingHTTPServer):
    """Speaks OpenAI's chat completions; answers with the text to translate in brackets."""

    prompts: list[str]
    fail_after: int | None = None


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][0]["content"]
        self.server.prompts.append(prompt)
        if self.server.fail_after is not None and len(self.server.prompts) > self.server.fail_after:
            return self._reply(401, {"error": {"message": "wrong key"}})
        text = prompt.rsplit(": ", 1)[1]
        message = {
            "choices": [{"message": {"content": f"«{text}»"}}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 3},
        }
        return self._reply(200, message | {"model": "served"})

    def _reply(self, status: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.prompts = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def model(server: _Server) -> ModelVersion:
    return ModelVersion(
        model_version="translator@1",
        provider="openai",
        method="sampling",
        model="t",
        endpoint=f"http://127.0.0.1:{server.server_address[1]}/v1",
        max_concurrency=1,
        completion_usd_per_million=2.0,
    )


def test_a_model_translates_once_and_never_again(server: _Server, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    translator = ModelTranslator(model(server), journal=journal)
    assert translator.translate(["One", "Two", "One"], "en", "tr") == ["One", "Two", "One"]
    assert len(server.prompts) == 2  # equal texts are asked for once
    again = ModelTranslator(model(server), journal=Journal(journal.path))
    assert again.translate(["Two", "One"], "en", "tr") == ["Two", "One"]
    assert (again.n_requests, len(server.prompts)) == (0, 2)
    again.translate(["Two"], "en", "ru")
    assert len(server.prompts) == 3  # another language is another request
    entry = next(iter(journal.read().values()))
    assert entry["cost_usd"] == pytest.approx(3 * 2.0 / 1e6)
    assert entry["model_reported"] == "served"


def test_a_model_translates_where_an_event_loop_runs_already(server: _Server) -> None:
    async def notebook() -> list[str]:
        return ModelTranslator(model(server)).translate(["One"], "en", "tr")

    assert asyncio.run(notebook()) == ["One"]


def test_what_came_back_before_a_failure_is_kept(server: _Server, tmp_path: Path) -> None:
    server.fail_after = 2
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(InputError, match="translator@1 did not translate: HTTP 401"):
        ModelTranslator(model(server), journal=journal).translate(["a", "b", "c", "d"], "en", "tr")
    assert len(journal.read()) == 2
    assert len(server.prompts) == 3  # nothing was sent after the failure


def test_a_line_cut_short_is_dropped_and_a_broken_one_is_named(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"key": "a", "text": "1"})
    with journal.path.open("ab") as file:
        file.write(b'{"key": "b", "te')
    assert set(journal.read()) == {"a"}
    journal.append({"key": "c", "text": "3"})
    assert set(journal.read()) == {"a", "c"}
    journal.path.write_bytes(b"nonsense\n" + journal.path.read_bytes())
    with pytest.raises(InputError, match="row 1"):
        journal.read()


def test_the_prompt_gives_the_fixed_options_to_the_question() -> None:
    prompt = translation_prompt("Good or bad?", "en", "zh-TW", Context("question", (("Good", "好"), ("Bad", "壞"))))
    assert "Good = 好\nBad = 壞" in prompt
    assert "Traditional Chinese" in prompt
    assert prompt.endswith("English: Good or bad?")


def test_quotes_around_a_reply_go_and_those_inside_stay() -> None:
    assert clean_reply('"Evet"\n') == "Evet"
    assert clean_reply('"Evet" ya da "Hayır"') == '"Evet" ya da "Hayır"'


def test_apertium_translates_in_order(apertium: None) -> None:
    translator = ApertiumTranslator("en", "es")
    texts = ["Yes", "It is never safe.", "The government\n\nof this country"]
    translated = translator.translate(texts, "en", "es")
    assert translated == ["Sí", "Nunca es seguro.", "El gobierno de este país"]
    assert translator.name == "apertium:eng-spa"
    assert translator.reverse().name == "apertium:spa-eng"
    assert translator.version == ApertiumTranslator("en", "es").version
    with pytest.raises(InputError, match="does not translate en to ca"):
        translator.translate(["Yes"], "en", "ca")


def test_a_missing_pair_names_the_debian_package() -> None:
    with pytest.raises(InputError, match="apt-get install apertium apertium-eng-spa"):
        ApertiumTranslator("en", "es", program="apertium-that-is-not-there").translate(["Yes"], "en", "es")
    with pytest.raises(UnknownNameError, match="no pair en-tr"):
        ApertiumTranslator("en", "tr")


class _Purse:
    """A limit that notes what was set aside and what it became."""

    def __init__(self, usd: float) -> None:
        self.left, self.most_set_aside, self.settled = usd, 0.0, 0.0

    def reserve(self, usd: float) -> bool:
        if usd > self.left:
            return False
        self.left -= usd
        self.most_set_aside = max(self.most_set_aside, usd)
        return True

    def settle(self, reserved_usd: float, cost_usd: float) -> None:
        self.left += reserved_usd - cost_usd
        self.settled += cost_usd


def test_translating_stops_before_the_budget_and_keeps_what_came(server: _Server, tmp_path: Path) -> None:
    one = 2.0 * reply_limit("a", 512) / 1e6  # the most that a one-letter text may cost; each did cost 3 tokens
    journal, purse = Journal(tmp_path / "journal.jsonl"), _Purse(one + 2.5 * 3 * 2.0 / 1e6)
    translator = ModelTranslator(model(server), journal=journal, purse=purse)
    with pytest.raises(BudgetError, match="stopped before the budget"):
        translator.translate(["a", "b", "c", "d", "e", "f"], "en", "tr")
    assert len(server.prompts) == len(journal.read()) == 3
    assert purse.settled == pytest.approx(3 * 3 * 2.0 / 1e6)
    assert purse.left >= 0
    assert purse.most_set_aside == pytest.approx(one)
