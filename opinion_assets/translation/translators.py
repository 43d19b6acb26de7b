"""Translators behind one protocol: apertium (offline) and any model of the registry (HTTP).

Belongs here: turning texts of one language into texts of another, and keeping what was paid for. Does not belong here:
which texts are asked for (``questions``), quality (``quality``) and human translations (``imported``).
"""

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import yaml
from filelock import FileLock

from opinion_assets.errors import BudgetError, InputError, OpinionAssetsError, UnknownNameError
from opinion_assets.identity import sha256_json
from opinion_assets.models.client import Client, Reply, Request, RequestFailed, open_client
from opinion_assets.models.registry import ModelVersion
from opinion_assets.translation.languages import base_language, best_match, english_name, language_tag, script


@dataclass(frozen=True)
class Context:
    """What a text stands in. ``kind``: question or option. ``options``: the answer options of the question with the
    translations that are already fixed (None where they are not), so that question and options use the same words."""

    kind: str = "question"
    options: tuple[tuple[str, str | None], ...] = ()


class Translator(Protocol):
    """Translates batches of texts. ``name`` and ``version`` go into every row; two versions never share a name."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, contexts: Sequence[Context] | None = None
    ) -> list[str]:
        """One translation per text, in order. ``contexts`` runs parallel to ``texts``; a translator may ignore it.

        Raises :class:`InputError` or :class:`UnknownNameError` where the translator cannot work at all; never returns
        the source text in place of a translation that failed.
        """
        ...


# --- offline: apertium -----------------------------------------------------------------------------------------------

#: Debian package and mode of each pair that was tried for this project; others work where their mode is installed.
APERTIUM_PACKAGES = {
    ("en", "es"): ("apertium-eng-spa", "eng-spa"),
    ("es", "en"): ("apertium-eng-spa", "spa-eng"),
    ("en", "ca"): ("apertium-eng-cat", "eng-cat"),
    ("ca", "en"): ("apertium-eng-cat", "cat-eng"),
    ("en", "gl"): ("apertium-en-gl", "en-gl"),
    ("gl", "en"): ("apertium-en-gl", "gl-en"),
    ("en", "eo"): ("apertium-eo-en", "en-eo"),
    ("eo", "en"): ("apertium-eo-en", "eo-en"),
    ("is", "en"): ("apertium-isl-eng", "isl-eng"),
    ("mk", "en"): ("apertium-mkd-eng", "mkd-eng"),
    ("eu", "en"): ("apertium-eu-en", "eu-en"),
}
_APERTIUM_SEPARATOR = "\n\n"


class ApertiumTranslator:
    """Rule-based translation by Debian's apertium pairs, in a subprocess; deterministic and offline.

    Unknown words are left as they are by apertium; the checks see them as untranslated. Raises :class:`InputError`
    that names the Debian package where apertium or the pair is not installed.
    """

    def __init__(self, source: str, target: str, *, program: str = "apertium", timeout_s: float = 120.0) -> None:
        self.source, self.target = language_tag(source), language_tag(target)
        pair = (base_language(source), base_language(target))
        if pair not in APERTIUM_PACKAGES:
            known = ", ".join(sorted(f"{a}-{b}" for a, b in APERTIUM_PACKAGES))
            raise UnknownNameError(
                f"apertium has no pair {self.source}-{self.target} that is known here; known: {known}"
            )
        self.package, self.mode = APERTIUM_PACKAGES[pair]
        self._program, self._timeout = program, timeout_s
        self._version: str | None = None

    @property
    def name(self) -> str:
        """``apertium:<mode>``, e.g. ``apertium:eng-spa``."""
        return f"apertium:{self.mode}"

    @property
    def version(self) -> str:
        """Version of apertium and 12 hex digits of the SHA-256 of the pair's compiled data."""
        if self._version is None:
            program = self._run(["-V"]).strip()
            number = re.search(r"\d+(\.\d+)+", program)
            digest = hashlib.sha256()
            folder = Path("/usr/share/apertium") / self.package
            for file in sorted(folder.glob("*")):
                if file.is_file():
                    digest.update(file.name.encode() + file.read_bytes())
            data = f"+{digest.hexdigest()[:12]}" if folder.is_dir() else ""
            self._version = f"{number.group() if number else program}{data}"
        return self._version

    def reverse(self) -> "ApertiumTranslator":
        """The translator of the opposite direction, for back-translation."""
        return ApertiumTranslator(self.target, self.source, program=self._program, timeout_s=self._timeout)

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, contexts: Sequence[Context] | None = None
    ) -> list[str]:
        if (base_language(source), base_language(target)) != (base_language(self.source), base_language(self.target)):
            raise InputError(f"translator {self.name} does not translate {source} to {target}")
        self._check_installed()
        if not texts:
            return []
        # One process for all texts: loading the pair takes longer than translating. A blank line ends a text.
        lines = [_one_line(text) for text in texts]
        output = self._run(["-u", self.mode], _APERTIUM_SEPARATOR.join(lines) + "\n")
        blocks = [" ".join(block.split()) for block in output.strip("\n").split(_APERTIUM_SEPARATOR)]
        if len(blocks) != len(texts):
            # A rule that moved a line break would shift every later text; one process a text cannot.
            blocks = [" ".join(self._run(["-u", self.mode], line + "\n").split()) for line in lines]
        return [_restore_case(line, block) for line, block in zip(lines, blocks, strict=True)]

    def _check_installed(self) -> None:
        if shutil.which(self._program) is None:
            raise InputError(f"apertium is not installed; on Debian: apt-get install apertium {self.package}")
        modes = {line.strip() for line in self._run(["-l"]).splitlines()}
        if self.mode not in modes:
            raise InputError(f"apertium pair {self.mode} is not installed; on Debian: apt-get install {self.package}")

    def _run(self, arguments: list[str], text: str = "") -> str:
        if shutil.which(self._program) is None:
            raise InputError(f"apertium is not installed; on Debian: apt-get install apertium {self.package}")
        try:
            done = subprocess.run(
                [self._program, *arguments],
                input=text,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=self._timeout,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"{self.name} did not finish in {self._timeout:g} s") from None
        if done.returncode != 0:
            detail = " ".join(done.stderr.split())[:200]
            raise InputError(f"{self.name} failed with exit status {done.returncode}: {detail}")
        return done.stdout


def _one_line(text: str) -> str:
    return " ".join(text.replace("’", "'").split())


def _restore_case(source: str, target: str) -> str:
    """Apertium lower-cases a first word that it moves; a text that began with a capital keeps one."""
    return target[:1].upper() + target[1:] if source[:1].isupper() and target[:1].islower() else target


# --- any model over HTTP ---------------------------------------------------------------------------------------------


class Purse(Protocol):
    """Where a translator's money comes from; ``elicitation.budget.Budget`` is one."""

    def reserve(self, usd: float) -> bool: ...

    def settle(self, reserved_usd: float, cost_usd: float) -> None: ...


#: Changes with every change of wording; part of the journal key, so that old translations do not pass as new.
PROMPT_VERSION = "1"
# Tokens that a server adds around a message (roles, turn markers), at most.
_MESSAGE_OVERHEAD = 64


class Journal:
    """Append-only JSON lines on disk: one line per translation that came back, flushed to the disk at once.

    A line that a crash cut short is ignored (and asked again); everything before it stays. Safe for several processes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def read(self) -> dict[str, dict[str, Any]]:
        """Entries by key; the first of two equal keys stays, so that a stored translation never changes."""
        entries: dict[str, dict[str, Any]] = {}
        if not self.path.is_file():
            return entries
        lines = self.path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line)
                key = entry["key"]
                entry["text"] + ""
            except (ValueError, KeyError, TypeError):
                if number == len(lines):  # no line break behind it: cut short while being written
                    continue
                raise InputError("not an entry of a translation journal", file=self.path, row=number) from None
            entries.setdefault(key, entry)
        return entries

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds one entry and waits until it is on the disk."""
        line = json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, FileLock(f"{self.path}.lock"), self.path.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a line cut short: drop it, so that ours does not join it
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


@dataclass
class ModelTranslator:
    """Translation by a model of the registry through its chat endpoint (temperature 0).

    ``endpoint``: base URL for an embedded model that is being served; ``journal``: file that keeps every reply, keyed
    by the hash of all that determines it, so that nothing is paid for twice. The source text goes into the prompt as
    data; nothing in it is expanded. ``n_requests`` counts what was sent by this object. A reply has at most
    ``max_tokens`` tokens, and for a short text fewer (:func:`reply_limit`), so that a small model's loops end.

    Raises :class:`InputError` where the model gives no reply after ``attempts``, and :class:`BudgetError` before the
    ``purse`` would be passed; what came back before is in the journal.
    """

    model: ModelVersion
    endpoint: str | None = None
    journal: Journal | None = None
    max_tokens: int = 512
    attempts: int = 4
    purse: Purse | None = None
    n_requests: int = field(default=0, init=False)
    _n_reserved: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return self.model.model_version

    @property
    def version(self) -> str:
        """Version of the translation prompt; the model's own version is part of its name."""
        return f"prompt-{PROMPT_VERSION}"

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, contexts: Sequence[Context] | None = None
    ) -> list[str]:
        contexts = contexts if contexts is not None else [Context()] * len(texts)
        prompts = [
            translation_prompt(text, source, target, context) for text, context in zip(texts, contexts, strict=True)
        ]
        keys = [self._key(prompt) for prompt in prompts]
        known = {key: entry["text"] for key, entry in (self.journal.read() if self.journal else {}).items()}
        missing = {
            key: (prompt, reply_limit(text, self.max_tokens))
            for key, prompt, text in zip(keys, prompts, texts, strict=True)
            if key not in known
        }
        if missing:
            # In a thread of its own: the caller's may run an event loop already (a notebook).
            with ThreadPoolExecutor(1) as pool:
                known |= pool.submit(asyncio.run, self._ask_all(missing)).result()
        return [clean_reply(known[key]) for key in keys]

    def _key(self, prompt: str) -> str:
        return sha256_json([self.model.model_version, PROMPT_VERSION, prompt, self.max_tokens, 0.0])

    async def _ask_all(self, prompts: Mapping[str, tuple[str, int]]) -> dict[str, str]:
        slots = asyncio.Semaphore(self.model.max_concurrency)
        failure: list[BaseException] = []
        answers: dict[str, str] = {}
        async with open_client(self.model, self.endpoint) as client:

            async def one(key: str, prompt: str, limit: int) -> None:
                async with slots:
                    # After a failure nothing new is sent, but requests under way may already be charged: they finish.
                    if not failure:
                        try:
                            answers[key] = await self._ask(client, key, prompt, limit)
                        except OpinionAssetsError as error:
                            failure.append(error)

            await asyncio.gather(*(one(key, prompt, limit) for key, (prompt, limit) in prompts.items()))
        if failure:
            raise failure[0]
        return answers

    async def _ask(self, client: Client, key: str, prompt: str, limit: int) -> str:
        messages = ({"role": "user", "content": prompt},)
        request = Request("sampling", None, messages, max_tokens=limit, temperature=0.0, seed=0)
        most = self.model.cost_usd(len(prompt.encode()) + _MESSAGE_OVERHEAD, limit)
        for attempt in range(1, self.attempts + 1):
            await self._reserve(most)
            started = time.monotonic()
            self.n_requests += 1
            spent = most  # until we know better: a cancelled request may be charged
            try:
                reply: Reply = await client.ask(request)
                spent = self.model.cost_usd(
                    len(prompt.encode()) if reply.prompt_tokens is None else reply.prompt_tokens,
                    limit if reply.completion_tokens is None else reply.completion_tokens,
                )
            except RequestFailed as error:
                spent = most if error.maybe_billed else 0.0
                if not error.retryable or attempt == self.attempts:
                    raise InputError(f"{self.model.model_version} did not translate: {error.reason}") from None
                await asyncio.sleep(error.retry_after if error.retry_after is not None else 0.5 * 2**attempt)
                continue
            finally:
                if self.purse is not None:
                    self._n_reserved -= 1
                    self.purse.settle(most, spent)
            if self.journal:
                self.journal.append(
                    {
                        "key": key,
                        "model_version": self.model.model_version,
                        "prompt_version": PROMPT_VERSION,
                        "prompt": prompt,
                        "text": reply.text,
                        "model_reported": reply.model_reported,
                        "prompt_tokens": reply.prompt_tokens,
                        "completion_tokens": reply.completion_tokens,
                        "cost_usd": spent,
                        "requested_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                        "latency_s": round(time.monotonic() - started, 3),
                    }
                )
            return reply.text
        raise AssertionError("unreachable")

    async def _reserve(self, usd: float) -> None:
        """Set aside the most an attempt may cost; what is under way may turn out cheaper, so wait for it."""
        if self.purse is None:
            return
        while not self.purse.reserve(usd):
            if self._n_reserved == 0:
                raise BudgetError(
                    f"{self.model.model_version}: translating stopped before the budget would be passed; "
                    "what was translated is kept"
                )
            await asyncio.sleep(0.02)
        self._n_reserved += 1


def reply_limit(text: str, most: int) -> int:
    """Tokens that a translation of ``text`` may take, at most ``most``.

    Eight a character and some: a byte-level tokenizer takes up to three tokens for a letter of another script, and no
    translation is twice as long as its source. It follows from the text and ``most`` alone, as the journal's key does.

    >>> reply_limit("Yes", 512), reply_limit("Very important", 512), reply_limit("x" * 200, 512)
    (88, 176, 512)
    """
    return min(most, 64 + 8 * len(text))


def translation_prompt(text: str, source: str, target: str, context: Context) -> str:
    """The prompt that asks for one translation. Context comes first, the text last, and nothing after it."""
    language = english_name(target)
    if base_language(target) == "zh":
        language = "Traditional Chinese" if script(target) == "Hant" else "Simplified Chinese"
    origin = english_name(source)
    parts = [
        f"Translate the following {'answer option' if context.kind == 'option' else 'question'} of an opinion survey"
    ]
    parts[0] += (
        f" from {origin} into {language}. Keep its meaning, numbers, names and negations. "
        "Reply with the translation only."
    )
    fixed = [f"{original} = {translated}" for original, translated in context.options if translated]
    if fixed:
        parts.append("Use these translations of the answer options:\n" + "\n".join(fixed))
    elif context.kind == "option" and len(context.options) > 1:
        parts.append("It is one of these answer options: " + "; ".join(original for original, _ in context.options))
    parts.append(f"{origin}: {' '.join(text.split())}")
    return "\n\n".join(parts)


_QUOTES = {'"': '"', "“": "”", "«": "»", "「": "」", "'": "'"}


def clean_reply(text: str) -> str:
    """A model's reply without surrounding quotes and spaces. An empty reply stays empty: the checks name it."""
    text = " ".join(text.split())
    closing = _QUOTES.get(text[:1])
    if closing and len(text) > 1 and text.endswith(closing) and text[1:-1].count(closing) == 0:
        text = text[1:-1].strip()
    return text


# --- drafted translations of the embedded questions ------------------------------------------------------------------

CATALOGUE_FILE = Path(__file__).with_name("catalogue.yaml")


class CatalogueTranslator:
    """Drafted translations of the embedded survey questions, from ``catalogue.yaml``; offline, needs nothing.

    Translates those questions only: :meth:`covers` says which; any other text raises :class:`UnknownNameError`.
    """

    def __init__(self, file: Path = CATALOGUE_FILE) -> None:
        content = file.read_bytes()
        self._texts = {" ".join(entry["en"].split()): entry for entry in yaml.safe_load(content)}
        self._version = hashlib.sha256(content).hexdigest()[:12]

    name = "catalogue"

    @property
    def version(self) -> str:
        """12 hex digits of the SHA-256 of the file."""
        return self._version

    def covers(self, text: str, target: str) -> bool:
        """Whether the catalogue has that English text in the language."""
        return best_match(target, self._texts.get(" ".join(text.split()), ())) is not None

    def translate(
        self, texts: Sequence[str], source: str, target: str, *, contexts: Sequence[Context] | None = None
    ) -> list[str]:
        translated = []
        for text in texts:
            entry = self._texts.get(" ".join(text.split()), {})
            match = best_match(target, entry)
            if match is None or base_language(source) != "en":
                raise UnknownNameError(f"the catalogue has no translation into {target} of {text[:60]!r}")
            translated.append(str(entry[match]))
        return translated
