from __future__ import annotations

import re
from typing import Any

import click

from orchestrator.cli.bench_options import sweeping_options


class Numbers(click.ParamType[tuple[float, ...]]):
    """`1,4,16`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(r"\d+(\.\d+)?(,\d+(\.\d+)?)*", value) or not all(map(float, value.split(","))):
            self.fail(f"{value!r}: write numbers above 0 with commas between them, for example 1,4,16", param, ctx)
        return tuple(dict.fromkeys(map(float, value.split(","))))


@click.command("sweep", epilog="Example:  orchestrator bench sweep --batch 1,32 --concurrency 1,4,16 --tokens 32,256")
@sweeping_options(Numbers())
def command(*, as_json: bool, **flags: Any) -> int:
    """Measure batch by load by document length, and find the knee of each curve.

    A curve ends where two loads in a row bring nothing more. Each point takes --warmup and --duration.
    """
    from orchestrator.cli.bench_options import sweep_of
    from orchestrator.cli.bench_report import show_report
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.bench_report import result_of
    from orchestrator.operations.bench_sweep import bench_sweep

    request, axes = sweep_of(flags)
    with progress() as reporter:
        reported = bench_sweep(request, axes, reporter)
    return finish(result_of(reported), as_json, lambda console, _: show_report(console, reported))
