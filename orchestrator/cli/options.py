"""Options that several verbs share, and their way into a Spec."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from orchestrator.operations.request import Asked, Request
    from orchestrator.plan.spec import Spec

F = TypeVar("F", bound=Callable[..., Any])

ROLES = ("webui", "embeddings", "vectors")


class Size(click.ParamType[int]):
    """A number of bytes with a unit: 11GiB, 900MB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from orchestrator.configuration.kinds import SIZE_EXAMPLE, size_of

        size = size_of(value)
        if size is None:
            self.fail(f"{value!r} is not a size; {SIZE_EXAMPLE}", param, ctx)
        return size


SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 30, 30s, 5m, 1h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float | int):
            return float(value)
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", value)
        if not match or match[2] not in SECONDS:
            self.fail(f"{value!r} is not a duration; write for example 30s or 5m", param, ctx)
        return float(match[1]) * SECONDS[match[2]]


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


def junit_option(function: F) -> F:
    return click.option(
        "--junit",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the findings as JUnit XML too.",
    )(function)


QUIET = "orchestrator.quiet"


def quiet_option(function: F) -> F:
    """`cli.terminal.progress` asks the context for it: no verb has to hand it on."""

    def remember(context: click.Context, _param: click.Parameter, wanted: bool) -> None:
        context.meta[QUIET] = wanted

    return click.option(
        "--quiet", "-q", is_flag=True, expose_value=False, callback=remember, help="No progress on stderr."
    )(function)


def stack_option(function: F) -> F:
    return click.option(
        "--stack",
        default=_stack_of_here,
        show_default="what orchestrator.yaml here names, else default",
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
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="A configuration file; else orchestrator.yaml in the working directory is read where there is one.",
    ),
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
    from orchestrator.operations.request import request

    return request(asked_of(flags)).spec


def recalled_of(flags: dict[str, Any]) -> Request:
    """The same for `up`: a stack that is there keeps what it was asked for where nothing says otherwise."""
    from orchestrator.operations.request import recalled

    return recalled(asked_of(flags))


def asked_of(flags: dict[str, Any]) -> Asked:
    from orchestrator.configuration.keys import BY_PATH
    from orchestrator.operations.request import Asked

    given: dict[str, Any] = {f"ports.{role}": port for role, port in flags.pop("ports")}
    given |= {f"target.{name}": flags.pop(name) for name in ("docs_per_s", "tokens_per_doc")}
    given["stack"] = _said(flags.pop("stack"))
    given |= {key: flags.pop(key) for key in list(flags) if key in BY_PATH}
    return Asked(flags=given, preset=flags.pop("preset"), config=flags.pop("config"))


def _said(stack: str) -> str | None:
    """`--stack` where it was written; its default and its variable are laid under the file and over it elsewhere."""
    source = click.get_current_context().get_parameter_source("stack")
    return stack if source is ParameterSource.COMMANDLINE else None


def _stack_of_here() -> str:
    from orchestrator.operations.request import stack_named_here

    return stack_named_here()
