"""The registry of model versions: who answers, where, by which method, at what price and within what limits.

Belongs here: reading and checking the registry file. Does not belong here: asking a model (``client``, ``embedded``),
API keys (only the *names* of the environment variables that hold them) and anything about prompts.
"""

import difflib
import os
import re
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_origin
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from opinion_assets.errors import InputError, UnknownNameError

Provider = Literal["embedded", "openai", "anthropic", "imported"]
Method = Literal["completion_logprobs", "chat_logprobs", "sampling", "imported"]

#: Environment variable that points to another registry file.
REGISTRY_VARIABLE = "OPINION_MODEL_REGISTRY"
_DEFAULT_REGISTRY = Path(__file__).with_name("registry.yaml")

# A model version becomes a Dagster partition key (where "|" separates dimensions), a folder name and a URL component.
_MODEL_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]*@[A-Za-z0-9][A-Za-z0-9._+-]*")
_MODEL_VERSION_RULE = (
    "a model version is name@version, e.g. smollm2-135m-instruct-q4_1@0.1.2 or gpt-4o@2024-08-06: letters, digits "
    "and . _ : / + - only, at most 120 characters; the version keeps dated and undated models apart"
)
_METHODS: dict[str, tuple[str, ...]] = {
    "embedded": ("completion_logprobs", "chat_logprobs", "sampling"),
    "openai": ("completion_logprobs", "chat_logprobs", "sampling"),
    "anthropic": ("sampling",),
    "imported": ("imported",),
}


class ModelVersion(BaseModel):
    """One dated version of a model and how it is asked.

    Prices are US dollars per million tokens; limits are per minute; times are seconds.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), hide_input_in_errors=True
    )

    model_version: str = Field(description="Whole dated id, name@version; the Dagster partition key.")
    provider: Provider = Field(
        description="Protocol: openai is any OpenAI-compatible server, embedded is llama.cpp in this process, imported "
        "is not asked at all."
    )
    method: Method = Field(
        description="How an answer distribution comes about: from next-token log-probabilities of a completion or of a "
        "chat reply, or from the shares of sampled replies. anthropic offers sampling only."
    )
    model: str = Field(default="", description="Model name sent to the endpoint. Needed for openai and anthropic.")
    endpoint: str | None = Field(
        default=None, description="Base URL up to and including /v1. Needed for openai and anthropic."
    )
    api_key_env: str | None = Field(
        default=None, description="NAME of the environment variable that holds the API key, never the key."
    )
    prompt_usd_per_million: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Price of a million prompt tokens, US dollars."
    )
    completion_usd_per_million: float = Field(
        default=0.0, ge=0, allow_inf_nan=False, description="Price of a million reply tokens, US dollars."
    )
    batch_price_factor: float = Field(
        default=0.5, ge=0, le=1, description="Price of the batch API over the ordinary price."
    )
    requests_per_minute: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="The provider's limit; requests are spaced to keep it."
    )
    tokens_per_minute: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="The provider's limit on prompt and reply tokens together."
    )
    max_concurrency: int = Field(
        default=16, ge=1, le=1024, description="Most requests under way at once; fewer while the server says 429."
    )
    timeout_s: float = Field(default=60.0, gt=0, le=3600, description="Longest wait for one attempt, seconds.")
    top_logprobs: int = Field(default=20, ge=1, le=1000, description="Alternatives asked for at the answer position.")
    max_tokens: int | None = Field(
        default=None, ge=1, le=4096, description="Reply length; the method's own default where unset."
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature; 1 where unset.")
    prefill: bool = Field(default=False, description="Whether the assistant's turn is opened with the answer prefix.")
    batch_api: bool = Field(default=False, description="Whether the endpoint offers the provider's batch API.")
    package: str | None = Field(default=None, description="Python package that carries the weights (embedded).")
    package_version: str | None = Field(default=None, description="Version of that package; another one is refused.")
    file: str | None = Field(default=None, description="GGUF file: name inside the package, or a path (embedded).")
    conditions: tuple[str, ...] = Field(
        default=("default",), strict=False, description="Wanted conditions; those of the file where unset."
    )
    auto_run: bool | None = Field(
        default=None, description="Whether the UI's daemon asks the wanted conditions unasked; unset: if embedded."
    )
    budget_usd: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="The most this model version may cost, all runs together."
    )
    licence: str = Field(default="", description="Licence of the weights or terms of the service.")
    description: str = Field(default="", description="Free text for people.")

    @field_validator("model_version")
    @classmethod
    def _partition_key(cls, value: str) -> str:
        if len(value) > 120 or not _MODEL_VERSION.fullmatch(value):
            raise ValueError(_MODEL_VERSION_RULE)
        return value

    @field_validator("api_key_env")
    @classmethod
    def _variable_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", value):
            raise ValueError("must be the NAME of an environment variable (capitals, digits, _), never the key itself")
        return value

    @field_validator("endpoint")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
            valid = valid and value.isascii() and value.isprintable() and " " not in value
        except ValueError:
            valid = False
        if not valid:
            raise ValueError("must be an http:// or https:// address")
        if url.username or url.password or url.query or url.fragment:
            raise ValueError("must carry no user name, password, query or fragment; keys go into environment variables")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.method not in _METHODS[self.provider]:
            allowed = ", ".join(_METHODS[self.provider])
            raise ValueError(f"field 'method': provider {self.provider} offers {allowed}, not {self.method}")
        if self.provider in ("openai", "anthropic"):
            for name in ("endpoint", "model"):
                if not getattr(self, name):
                    raise ValueError(f"field {name!r}: needed for provider {self.provider}")
        elif self.endpoint is not None:
            raise ValueError(f"field 'endpoint': provider {self.provider} has none")
        if self.batch_api and self.provider not in ("openai", "anthropic"):
            raise ValueError(f"field 'batch_api': provider {self.provider} has none")
        if self.provider == "embedded" and not self.file:
            raise ValueError("field 'file': needed for provider embedded")
        if not self.conditions:
            raise ValueError("field 'conditions': at least one condition, e.g. [default]")
        if self.auto_run and self.provider in ("openai", "anthropic"):
            # Nothing may spend money unasked because a price was forgotten.
            for name in ("prompt_usd_per_million", "completion_usd_per_million"):
                if name not in self.model_fields_set:
                    raise ValueError(f"field {name!r}: auto_run needs the price to be written, also where it is 0")
            if not self.is_free and self.budget_usd is None:
                raise ValueError("field 'budget_usd': auto_run of a model that costs needs a budget")
        if self.package is not None and self.package_version is None:
            raise ValueError("field 'package_version': needed where package is given, so that versions never merge")
        return self

    def cost_usd(self, prompt_tokens: int, completion_tokens: int, *, batch: bool = False) -> float:
        """Price of one request in US dollars from its token counts."""
        price = prompt_tokens * self.prompt_usd_per_million + completion_tokens * self.completion_usd_per_million
        return price * (self.batch_price_factor if batch else 1.0) / 1e6

    @property
    def is_free(self) -> bool:
        """Whether no request to this model costs anything."""
        return self.prompt_usd_per_million == 0 and self.completion_usd_per_million == 0

    @property
    def runs_unasked(self) -> bool:
        """Whether automation may ask this model: as the entry says, else only the embedded ones."""
        return self.provider == "embedded" if self.auto_run is None else self.auto_run


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys; here that would silently drop a model version."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # refused below
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} stands twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def registry_path(path: Path | str | None = None) -> Path:
    """The registry file in use: ``path``, else ``$OPINION_MODEL_REGISTRY``, else the packaged one."""
    return Path(path or os.environ.get(REGISTRY_VARIABLE) or _DEFAULT_REGISTRY)


def load_registry(path: Path | str | None = None) -> dict[str, ModelVersion]:
    """Model versions of the registry file by id, in the file's order.

    The file is YAML: ``models:`` maps each model version to its fields (see :class:`ModelVersion`); ``conditions:``, a
    list, holds for the entries that name no conditions of their own.
    Raises :class:`InputError` that names the file, the entry and the field of the first mistake.
    """
    file = registry_path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read the model registry: {error.strerror or error}", file=file) from None
    except UnicodeDecodeError as error:
        raise InputError(f"the model registry is not UTF-8 text: byte {error.start}", file=file) from None
    try:
        # A SafeLoader, so nothing in the file is executed.
        content = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        row = mark.line + 1 if mark is not None else None
        raise InputError(f"the model registry is not valid YAML: {problem}", file=file, row=row) from None
    except (RecursionError, ValueError) as error:
        problem = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InputError(f"the model registry is not valid YAML: {problem}", file=file) from None
    if not isinstance(content, Mapping) or "models" not in content:
        raise InputError("the model registry must have a mapping 'models:' at its top", file=file, field="models")
    unknown = sorted(str(key) for key in content if key not in ("models", "conditions"))
    if unknown:
        raise InputError("unknown entry at the top of the model registry", file=file, field=unknown[0])
    models = content["models"]
    if not isinstance(models, Mapping) or not models:
        raise InputError("'models:' must map at least one model version to its fields", file=file, field="models")
    defaults = {"conditions": content["conditions"]} if "conditions" in content else {}
    return {str(key): _model_version(file, key, fields, defaults) for key, fields in models.items()}


def _model_version(file: Path, key: object, fields: object, defaults: Mapping[str, Any]) -> ModelVersion:
    entry = f"models.{key}"
    if not isinstance(key, str):
        raise InputError(
            f"a model version must be text (put it in quotes); {_MODEL_VERSION_RULE}", file=file, row=entry
        )
    if not isinstance(fields, Mapping):
        raise InputError("a model version must be a mapping of fields", file=file, row=entry)
    if "model_version" in fields:
        raise InputError("is the entry's key and must not be repeated", file=file, row=entry, field="model_version")
    bad = [name for name in fields if not isinstance(name, str)]
    if bad:
        raise InputError("field names must be text", file=file, row=entry, field=bad[0])
    try:
        return ModelVersion(**{**defaults, **fields, "model_version": key})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        problem = str(first["msg"]).removeprefix("Value error, ")
        named = re.match(r"field '(\w+)': ", problem)
        field = named.group(1) if named else ".".join(str(part) for part in first["loc"]) or None
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(field), ModelVersion.model_fields, n=1)
            problem = "unknown field" + (f"; did you mean {near[0]!r}?" if near else "")
        raise InputError(problem[named.end() :] if named else problem, file=file, row=entry, field=field) from None


def fields_as_markdown() -> str:
    """The fields of an entry as a Markdown table, from their declarations above."""
    lines = ["| field | values | default | meaning |", "|---|---|---|---|"]
    for name, field in ModelVersion.model_fields.items():
        if name == "model_version":
            continue  # the entry's key
        choices = field.annotation
        if get_origin(choices) is Literal:
            values = ", ".join(get_args(choices))
        else:
            kinds = [kind.__name__ for kind in get_args(choices) or (choices,) if kind not in (type(None), ...)]
            kind = "list of texts" if get_origin(choices) is tuple else kinds[0]
            bounds = [
                f"{sign} {getattr(bound, attribute):g}"
                for bound in field.metadata
                for attribute, sign in (("gt", ">"), ("ge", "≥"), ("le", "≤"))
                if getattr(bound, attribute, None) is not None
            ]
            values = " ".join([{"str": "text", "bool": "true, false"}.get(kind, kind), *bounds])
        default = field.default
        shown = "**needed**" if field.is_required() else "" if default in (None, "") else _as_yaml(default)
        lines.append(f"| `{name}` | {values} | {shown} | {field.description} |")
    return "\n".join(lines)


def _as_yaml(value: object) -> str:
    return "[" + ", ".join(value) + "]" if isinstance(value, tuple) else str(value).lower()


def get_model(name: str, registry: Mapping[str, ModelVersion]) -> ModelVersion:
    """The model version of that id; :class:`UnknownNameError` lists near matches, or all of a short registry."""
    if name in registry:
        return registry[name]
    near = difflib.get_close_matches(name, registry, n=3, cutoff=0.5)
    near += [known for known in registry if known.split("@")[0] == name and known not in near]
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(list(registry)[:20])}"
    raise UnknownNameError(f"unknown model version {name!r}; {hint}")
