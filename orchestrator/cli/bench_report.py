from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.operations.bench_report import Format, Reported


@click.command("report", epilog="Example:  orchestrator bench report --format html --out report.html")
@click.argument("run", required=False, type=click.Path(path_type=Path))
@stack_option
@click.option(
    "--format", "form", type=click.Choice(["csv", "markdown", "junit", "html"]), help="Instead of the summary."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the format to this file.")
@click.option("--target", type=click.FloatRange(min=0, min_open=True), help="Documents/s to judge by.")
@click.option("--p95-ms", type=click.FloatRange(min=0, min_open=True), help="Longest p95 to judge by.")
@click.option("--max-errors", type=click.FloatRange(0, 1), help="Share of failed requests to judge by, e.g. 0.01.")
@json_option
def command(
    *,
    run: Path | None,
    stack: str,
    form: Format | None,
    out: Path | None,
    target: float | None,
    p95_ms: float | None,
    max_errors: float | None,
    as_json: bool,
) -> int:
    """Show a stored run again: RUN is its folder (`run_dir`), the newest of the stack where it is left out.

    Exits 1 where the run misses what it is judged by.
    """
    from orchestrator.cli.output import finish
    from orchestrator.errors import usage_error
    from orchestrator.operations.bench_report import Asked, report, result_of, text_of, write_report

    if out is not None and form is None:
        raise usage_error("--out", str(out), "says where, but not what to write", "add --format html")
    reported = report(run, stack, Asked(docs_per_s=target, p95_ms=p95_ms, max_errors=max_errors))
    result = result_of(reported)
    written = write_report(reported, form, out) if form is not None else None
    if written is not None:
        click.echo(f"written: {written}", err=True)
    if form is not None and written is None and not as_json:
        click.echo(text_of(reported, form), nl=False)
        return result.exit_code
    return finish(result, as_json, lambda console, _: show_report(console, reported))


def show_report(console: Console, reported: Reported) -> None:
    """For the verbs that measure, too."""
    from orchestrator.bench.report.terminal import summary, sweep_summary

    if reported.points:
        console.print(sweep_summary(list(reported.points)))
        console.print()
    console.print(summary(reported.assessment))
