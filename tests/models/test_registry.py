"""The registry of model versions: one clear error for each mistake, and nothing in the file is ever executed."""

import re
from pathlib import Path

import pytest

from opinion_assets.errors import InputError, UnknownNameError
from opinion_assets.models.registry import ModelVersion, fields_as_markdown, get_model, load_registry

REPOSITORY = Path(__file__).parents[2]
GOOD = "provider: openai, method: chat_logprobs, model: m, endpoint: 'http://127.0.0.1:1/v1'"


def load(folder: Path, text: str | bytes) -> dict[str, ModelVersion]:
    file = folder / "registry.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_registry(file)


def entry(folder: Path, fields: str, name: str = "m@1") -> ModelVersion:
    return load(folder, f"models:\n  {name}: {{{fields}}}\n")[name.strip("'\"")]


def error_of(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, text)
    problem = str(caught.value)
    assert problem.count("registry.yaml") == 1
    assert "\n" not in problem
    return problem


def test_the_packaged_registry_is_valid() -> None:
    models = load_registry()
    assert "smollm2-135m-instruct-q4_1@0.1.2" in models
    assert all(model.is_free for model in models.values())


def test_the_environment_variable_points_to_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path, f"models:\n  mine@1: {{{GOOD}}}\n")
    monkeypatch.setenv("OPINION_MODEL_REGISTRY", str(tmp_path / "registry.yaml"))
    assert list(load_registry()) == ["mine@1"]


def test_whole_numbers_are_prices_too(tmp_path: Path) -> None:
    model = entry(tmp_path, f"{GOOD}, prompt_usd_per_million: 3, completion_usd_per_million: 15, batch_api: true")
    assert model.cost_usd(1_000_000, 1_000_000) == 18
    assert model.cost_usd(1_000_000, 1_000_000, batch=True) == 9
    assert entry(tmp_path, f"{GOOD}, batch_price_factor: 0.25").batch_price_factor == 0.25


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ("method: sampling", "provider", "Field required"),
        ("provider: openai, method: sampling, model: m", "endpoint", "needed for provider openai"),
        ("provider: openai, method: sampling, endpoint: 'http://h/v1'", "model", "needed for provider openai"),
        ("provider: azure, method: sampling", "provider", "'embedded', 'openai', 'anthropic' or 'imported'"),
        (GOOD.replace("chat_logprobs", "telepathy"), "method", "completion_logprobs"),
        ("provider: anthropic, method: chat_logprobs, model: m, endpoint: 'http://h/v1'", "method", "offers sampling"),
        ("provider: imported, method: sampling", "method", "offers imported"),
        ("provider: imported, method: imported, endpoint: 'http://h/v1'", "endpoint", "has none"),
        ("provider: embedded, method: sampling", "file", "needed for provider embedded"),
        ("provider: embedded, method: sampling, file: f, package: p", "package_version", "versions never merge"),
        ("provider: embedded, method: sampling, file: f, package_version: 0.1", "package_version", "string"),
        ("provider: embedded, method: sampling, file: f, batch_api: true", "batch_api", "has none"),
        (f"{GOOD}, tempratur: 1.0", "tempratur", "unknown field; did you mean 'temperature'?"),
        (f"{GOOD}, api_key: sk-1234567890", "api_key", "unknown field; did you mean 'api_key_env'?"),
        (f"{GOOD}, api_key_env: sk-1234567890", "api_key_env", "must be the NAME of an environment variable"),
        (f"{GOOD}, prompt_usd_per_million: -1", "prompt_usd_per_million", "greater than or equal to 0"),
        (f"{GOOD}, prompt_usd_per_million: .nan", "prompt_usd_per_million", "finite"),
        (f"{GOOD}, completion_usd_per_million: .inf", "completion_usd_per_million", "finite"),
        (f"{GOOD}, completion_usd_per_million: '3'", "completion_usd_per_million", "number"),
        (f"{GOOD}, batch_price_factor: 1.5", "batch_price_factor", "less than or equal to 1"),
        (f"{GOOD}, requests_per_minute: 0", "requests_per_minute", "greater than 0"),
        (f"{GOOD}, max_concurrency: 0", "max_concurrency", "greater than or equal to 1"),
        (f"{GOOD}, max_concurrency: true", "max_concurrency", "integer"),
        (f"{GOOD}, timeout_s: .inf", "timeout_s", "less than or equal to 3600"),
        (f"{GOOD}, top_logprobs: 2.5", "top_logprobs", "integer"),
        (f"{GOOD}, temperature: 2.1", "temperature", "less than or equal to 2"),
        (f"{GOOD}, prefill: 'yes'", "prefill", "boolean"),
        (f"{GOOD}, model_version: n@1", "model_version", "must not be repeated"),
        (f"{GOOD}, 3: x", "3", "field names must be text"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_file_entry_and_field(fields: str, field: str, problem: str, tmp_path: Path) -> None:
    found = error_of(tmp_path, f"models:\n  fine@1: {{{GOOD}}}\n  bad@1: {{{fields}}}\n")
    assert "row models.bad@1" in found
    assert f"field '{field}'" in found or f"field {field}" in found
    assert problem in found
    assert found.count(f"'{field}'") <= 2
    assert "1234567890" not in found


@pytest.mark.parametrize(
    "endpoint",
    [
        "ftp://h/v1", "h/v1", "http://", "http://user:secret@h/v1", "http://h/v1?key=secret", "http://h/v1#secret",
        "http://h:99999/v1", "http://h:x/v1", "http://[::1/v1", "http://h /v1", "http://h/\u202e", "javascript:secret",
    ],
)  # fmt: skip
def test_a_wrong_endpoint_is_refused_without_being_repeated(endpoint: str, tmp_path: Path) -> None:
    found = error_of(
        tmp_path, f'models:\n  m@1: {{provider: openai, method: sampling, model: m, endpoint: "{endpoint}"}}\n'
    )
    assert "field 'endpoint'" in found
    assert "secret" not in found


@pytest.mark.parametrize(
    "name",
    ["gpt-4o", "m@", "@1", "m@1|default", "../m@1", "m @1", "m@1/../..", "m@1\n", "modèle@1", "m@" + "1" * 120, "-m@1"],
)
def test_a_name_that_is_no_dated_version_is_refused(name: str, tmp_path: Path) -> None:
    quoted = '"' + name.replace("\n", "\\n") + '"'
    with pytest.raises(InputError, match="name@version"):
        load(tmp_path, f"models:\n  {quoted}: {{{GOOD}}}\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "mapping 'models:'"),
        ("[]", "mapping 'models:'"),
        ("models: {}", "at least one"),
        ("models: [a@1]", "at least one"),
        ("models:\n  m@1:\n", "must be a mapping of fields"),
        ("models:\n  m@1: text\n", "must be a mapping of fields"),
        ("models:\n  2024: {provider: imported}\n", "must be text"),
        (f"models:\n  m@1: {{{GOOD}}}\nmodel: 1\n", "unknown entry at the top"),
        (f"models:\n  m@1: {{{GOOD}}}\n  m@1: {{{GOOD}}}\n", "row 3: the model registry is not valid YAML: key"),
        (f"models:\n  m@1: {{{GOOD}, model: n}}\n", "key 'model' stands twice"),
        (f"models:\n  m@1: {{{GOOD}}}\nmodels: {{}}\n", "key 'models' stands twice"),
        ("models:\n  ? [a]\n  : {}\n", "not valid YAML"),
        ("models:\n\tm@1: {}\n", "not valid YAML"),
        ("models: {", "not valid YAML"),
        ("models: " + "[" * 3000, "not valid YAML"),
        ("a: &a !!python/object/apply:os.system ['true']\nmodels: *a\n", "not valid YAML"),
        ("models: !!python/name:os.system\n", "not valid YAML"),
        (b"models:\n  m@1: {provider: \xff}\n", "not UTF-8"),
        (b"models:\n  m@1: \x00\n", "not valid YAML"),
        ("models: &m\n  m@1: *m\n", "m@1"),
        ("x: 2026-99-99\n", "not valid YAML"),
    ],
)  # fmt: skip
def test_a_hostile_or_broken_file_is_one_line(text: str | bytes, problem: str, tmp_path: Path) -> None:
    assert problem in error_of(tmp_path, text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for file in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match=re.escape(str(file))):
            load_registry(file)


def test_an_unknown_model_gets_near_names(tmp_path: Path) -> None:
    models = load(tmp_path, f"models:\n  gpt-4o@2024-08-06: {{{GOOD}}}\n  other@1: {{{GOOD}}}\n")
    with pytest.raises(UnknownNameError, match=re.escape("did you mean gpt-4o@2024-08-06?")):
        get_model("gpt-4o", models)
    with pytest.raises(UnknownNameError, match=re.escape("known: gpt-4o@2024-08-06, other@1")):
        get_model("zzz", models)


def test_a_model_version_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        entry(tmp_path, GOOD).temperature = 1.0  # type: ignore[misc]


# ------------------------------------------------------------------ docs/models.md


def test_every_field_is_described_and_the_documentation_is_current() -> None:
    assert all(field.description for field in ModelVersion.model_fields.values())
    documentation = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    assert fields_as_markdown() in documentation, (
        "put the output of `opinion-assets models --fields` into docs/models.md"
    )


def test_the_registries_in_the_documentation_are_valid(tmp_path: Path) -> None:
    documentation = (REPOSITORY / "docs" / "models.md").read_text(encoding="utf-8")
    registries = re.findall(r"```yaml\n(models:.*?)```", documentation, re.DOTALL)
    assert len(registries) >= 4
    for text in registries:
        assert load(tmp_path, text)
