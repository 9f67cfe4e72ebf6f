"""Options of the verbs that measure, and their way into a request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.options import json_option, quiet_option, stack_option
from orchestrator.errors import usage_error

if TYPE_CHECKING:
    from orchestrator.bench.sweep import Axes
    from orchestrator.operations.bench import BenchRequest

F = TypeVar("F", bound=Callable[..., Any])

OPEN_LOOP_CONNECTIONS = 64
"""Where a rate is asked for, requests may pile up this high before the client holds one back (estimate)."""
LONGEST_RUN_S = 86_400
CONCURRENCIES = (1, 2, 4, 8, 16, 32)

SUBJECT_OPTIONS = (
    stack_option,
    click.option("--url", help="Any OpenAI-compatible or Ollama endpoint instead of a stack."),
    click.option("--model", default="", help="The name under which that endpoint serves it."),
    click.option("--api", type=click.Choice(["openai", "ollama"]), help="What it speaks; found out where left out."),
    click.option("--api-key-file", "key_file", type=click.Path(path_type=Path), help="A file with its key."),
)
SMOKE_OPTIONS = (
    click.option("--tokens", default="short", show_default=True, help="Per document: N, short, chunk, page or mixed."),
    click.option("--texts", type=click.Path(path_type=Path), help="Your own documents, one a line."),
    click.option("--batch", type=click.IntRange(1, 4096), default=32, show_default=True, help="Documents per request."),
    click.option("--concurrency", type=click.IntRange(1, 1024), help="Requests in flight; 8, with --rate 64."),
    click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Requests per second (open loop)."),
    click.option("--duration", "duration_s", type=click.FloatRange(1, LONGEST_RUN_S), default=20, show_default=True),
    click.option("--warmup", "warmup_s", type=click.FloatRange(0, 3600), default=3, show_default=True),
)
LOAD_OPTIONS = (
    click.option(
        "--arrival", type=click.Choice(["poisson", "constant"]), default="poisson", help="How they come with --rate."
    ),
    click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 3600), default=30, help="Of one request."),
    click.option("--workers", type=click.IntRange(1, 64), help="Client processes; as many as needed where left out."),
    click.option("--seed", type=click.IntRange(min=1), help="The same documents again; else new ones."),
)
GOAL_OPTIONS = (
    click.option("--target", type=click.FloatRange(min=0, min_open=True), help="Documents/s to reach; exit 1 below."),
    click.option("--p95-ms", type=click.FloatRange(min=0, min_open=True), help="Longest p95; exit 1 above."),
    click.option("--max-errors", type=click.FloatRange(0, 1), default=0.0, help="Share of requests that may fail."),
    click.option("--measure-peak", is_flag=True, help="Also what a plain matrix product reaches on the device."),
    quiet_option,
    json_option,
)


def measuring_options(function: F) -> F:
    for option in reversed((*SUBJECT_OPTIONS, *SMOKE_OPTIONS, *LOAD_OPTIONS, *GOAL_OPTIONS)):
        function = option(function)
    return function


def sweeping_options(numbers: click.ParamType[tuple[float, ...]]) -> Callable[[F], F]:
    """As for one run, with lists of what is varied."""
    varied = (
        click.option(
            "--tokens", default="short", show_default=True, help="Lengths, for example 32,256 or short,chunk."
        ),
        click.option("--batch", type=numbers, default="1,8,32", show_default=True, help="Documents per request."),
        click.option("--concurrency", type=numbers, help="Requests in flight; 1,2,4,8,16,32 where left out."),
        click.option("--rate", type=numbers, help="Requests per second (open loop) in place of --concurrency."),
        click.option("--duration", "duration_s", type=click.FloatRange(1, LONGEST_RUN_S), default=6, show_default=True),
        click.option("--warmup", "warmup_s", type=click.FloatRange(0, 3600), default=1, show_default=True),
    )

    def add(function: F) -> F:
        for option in reversed((*SUBJECT_OPTIONS, *varied, *LOAD_OPTIONS, *GOAL_OPTIONS)):
            function = option(function)
        return function

    return add


def sweep_of(flags: dict[str, Any]) -> tuple[BenchRequest, Axes]:
    from orchestrator.bench.lengths import lengths_of
    from orchestrator.bench.sweep import Axes

    tokens = tuple(flags.pop("tokens").split(","))
    for each in tokens:
        lengths_of(each)
    batches = _whole("--batch", flags.pop("batch"), 4096)
    rates = flags.pop("rate") or ()
    concurrencies = _whole("--concurrency", flags.pop("concurrency") or CONCURRENCIES, 1024)
    if rates and len(concurrencies) > 1 and concurrencies != CONCURRENCIES:
        raise usage_error("--concurrency", concurrencies, "is not varied together with --rate", "give one of the two")
    one = {"tokens": tokens[0], "texts": None, "batch": batches[0], "rate": rates[0] if rates else None}
    most = OPEN_LOOP_CONNECTIONS if rates else concurrencies[0]
    request = request_of({**flags, **one, "concurrency": most})
    return request, Axes(tokens=tokens, batches=batches, concurrencies=concurrencies, rates=rates)


def _whole(flag: str, values: tuple[float, ...], most: int) -> tuple[int, ...]:
    for value in values:
        if value != int(value) or not 1 <= value <= most:
            raise usage_error(flag, value, f"is no whole number from 1 to {most}", f"for example {flag} 1,8,32")
    return tuple(map(int, values))


def request_of(flags: dict[str, Any]) -> BenchRequest:
    from orchestrator.bench.records import Goal, Load
    from orchestrator.operations.bench import BenchRequest

    rate, arrival = flags["rate"], flags["arrival"]
    if flags["url"] is None and (flags["model"] or flags["key_file"] or flags["api"]):
        raise usage_error("--model", flags["model"], "belongs to --url", "leave it out to measure the stack")
    load = Load(
        tokens=flags["tokens"],
        batch=flags["batch"],
        arrival=arrival if rate is not None else "closed",
        concurrency=flags["concurrency"] or (8 if rate is None else OPEN_LOOP_CONNECTIONS),
        rate=rate,
        warmup_s=flags["warmup_s"],
        duration_s=flags["duration_s"],
        timeout_s=flags["timeout_s"],
        workers=flags["workers"] or 0,
        seed=flags["seed"] or 0,
    )
    goal = Goal(docs_per_s=flags["target"], p95_ms=flags["p95_ms"], max_errors=flags["max_errors"])
    return BenchRequest(
        load=load,
        stack=flags["stack"],
        url=flags["url"],
        model=flags["model"],
        key_file=flags["key_file"],
        api=flags["api"],
        texts=flags["texts"],
        goal=goal,
        measure_peak=flags["measure_peak"],
    )
