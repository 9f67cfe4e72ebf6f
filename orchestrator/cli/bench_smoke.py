from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.bench_options import measuring_options


@click.command("smoke", epilog="Example:  orchestrator bench smoke --tokens chunk --target 20 --json")
@measuring_options
def command(*, as_json: bool, **flags: Any) -> int:
    """Measure once, at most a minute: documents per second of a known length, every vector checked.

    Exits 1 where a target is missed, impossible, or the run is no result.
    """
    from orchestrator.cli.bench_options import request_of
    from orchestrator.cli.bench_report import show_report
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.bench import bench
    from orchestrator.operations.bench_report import result_of

    with progress() as reporter:
        reported = bench(request_of(flags), reporter)
    return finish(result_of(reported), as_json, lambda console, _: show_report(console, reported))
