"""Options that several verbs share, and their way into a Spec."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.errors import usage_error
from orchestrator.plan.spec import Spec

F = TypeVar("F", bound=Callable[..., Any])

ROLES = ("webui", "embeddings", "vectors")
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


class Size(click.ParamType[int]):
    """A number of bytes with a unit: 11GiB, 900MB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", value)
        if not match or match[2].lower() not in UNITS:
            self.fail(f"{value!r} is not a size; write for example 11GiB or 900MB", param, ctx)
        return int(float(match[1]) * UNITS[match[2].lower()])


class Port(click.ParamType[tuple[str, int]]):
    """`webui=3001`."""

    name = "role=port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        role, _, number = value.partition("=")
        if role not in ROLES or not number.isdigit():
            self.fail(f"{value!r}: write {'|'.join(ROLES)}=PORT, for example webui=3001", param, ctx)
        return role, int(number)


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON object on stdout.")(function)


def stack_option(function: F) -> F:
    return click.option(
        "--stack",
        default="default",
        show_default=True,
        envvar="ORCHESTRATOR_STACK_NAME",
        help="Which stack.",
    )(function)


def lock_option(function: F) -> F:
    return click.option(
        "--lock-timeout",
        "lock_timeout_s",
        type=click.FloatRange(min=0),
        default=600,
        show_default=True,
        help="Seconds to wait for another command on the same stack.",
    )(function)


SPEC_OPTIONS = (
    click.argument("preset", required=False),
    click.option("--model", help="Catalogue id, hub repository, path of a folder or .gguf, or `auto`."),
    click.option("--backend", type=click.Choice(["auto", "vllm", "ollama", "llamacpp"]), help="Embedding server."),
    click.option("--engine", type=click.Choice(["auto", "compose", "native"]), help="What runs the services."),
    click.option("--gpu", help="Index or uuid of the card; `none` plans for the CPU."),
    click.option("--vram", "vram_bytes", type=Size(), help="Plan as if the card had this much free, e.g. 11GiB."),
    click.option("--dtype", help="bfloat16, float16, float32, or a quantisation such as Q4_K_M."),
    click.option("--max-length", type=click.IntRange(min=16), help="Longest input in tokens."),
    click.option("--batched-tokens", type=click.IntRange(min=16), help="Tokens per forward pass."),
    click.option("--dimension", type=click.IntRange(min=1), help="Cut vectors to this size (Matryoshka models)."),
    click.option("--port", "ports", type=Port(), multiple=True, help="ROLE=PORT on the host, e.g. webui=3001."),
    click.option("--listen", help="Address to publish on; 127.0.0.1 unless you say otherwise."),
    click.option("--task", help="The instruction that is put before queries (instructed models)."),
    click.option("--docs-per-s", type=click.FloatRange(min=0, min_open=True), help="Throughput target."),
    click.option("--tokens-per-doc", type=click.IntRange(min=1), help="Document length for the target."),
)


def spec_options(function: F) -> F:
    for option in reversed(SPEC_OPTIONS):
        function = option(function)
    return function


def spec_of(flags: dict[str, Any]) -> Spec:
    """The Spec from what `spec_options` and `stack_option` collected; removes those keys from `flags`."""
    from orchestrator.operations.request import load_spec

    return load_spec(*_request_of(flags))


def recalled_spec_of(flags: dict[str, Any]) -> Spec:
    """The same for `up`: a stack that is there keeps what it was asked for where no flag says otherwise."""
    from orchestrator.operations.request import recalled_spec

    return recalled_spec(*_request_of(flags))


def _request_of(flags: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    docs, tokens = flags.pop("docs_per_s"), flags.pop("tokens_per_doc")
    target = {"docs_per_s": docs, "tokens_per_doc": tokens}
    overrides = {
        "stack": flags.pop("stack"),
        "ports": dict(flags.pop("ports")),
        "target": {key: value for key, value in target.items() if value is not None},
    }
    preset = flags.pop("preset")
    for key in Spec.__struct_fields__:
        if key in flags:
            overrides[key] = flags.pop(key)
    if overrides.get("model") == "":
        raise usage_error("--model", "", "is empty", "leave it out to let the plan decide")
    return preset, overrides
