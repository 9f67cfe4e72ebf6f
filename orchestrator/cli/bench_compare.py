from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.options import json_option, stack_option


class Share(click.ParamType[float]):
    """`5%`, or `0.05`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", value)
        share = float(match[1]) / (100 if match[2] else 1) if match else 1.0
        if not 0 <= share < 1:
            self.fail(f"{value!r} is not a share; write for example 5% or 0.05", param, ctx)
        return share


@click.command("compare", epilog="Example:  orchestrator bench compare --baseline bench/baseline --max-regression 5%")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[A] [B]")
@stack_option
@click.option("--baseline", type=click.Path(path_type=Path), help="A: a run's folder or its run.json.")
@click.option("--max-regression", type=Share(), help="How much slower B may be, e.g. 5%; exit 1 beyond.")
@click.option("--allow", "allowed", multiple=True, metavar="FIELD", help="What may differ: a field, or a group.")
@click.option("--force", is_flag=True, help="Compare whatever differs.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the verdict as JUnit.")
@json_option
def command(
    *,
    runs: tuple[Path, ...],
    stack: str,
    baseline: Path | None,
    max_regression: float | None,
    allowed: tuple[str, ...],
    force: bool,
    junit: Path | None,
    as_json: bool,
) -> int:
    """Is B faster than A? Both are folders of stored runs (`run_dir`); B is the stack's newest where left out.

    Says better, same, worse or cannot tell; exits 1 on worse, or with --max-regression only beyond that.
    """
    from orchestrator.bench.report.comparison import comparison_junit, comparison_text
    from orchestrator.cli.output import finish
    from orchestrator.operations.bench_compare import Terms, compare_stored, result_of
    from orchestrator.state import write_whole

    first, second = _two(runs, baseline, stack)
    allowance = max_regression if max_regression is not None or (baseline is None and junit is None) else 0.0
    compared = compare_stored(first, second, Terms(force=force, allowed=allowed, max_regression=allowance))
    if junit is not None and compared.regression is not None:
        write_whole(junit, comparison_junit(compared.comparison, compared.regression))
        click.echo(f"written: {junit}", err=True)
    view = comparison_text(compared.comparison, compared.regression)
    return finish(result_of(compared), as_json, lambda console, _: console.print(view))


def _two(runs: tuple[Path, ...], baseline: Path | None, stack: str) -> tuple[Path, Path]:
    from orchestrator.bench.store import newest_run_folder
    from orchestrator.errors import usage_error
    from orchestrator.state import StackFolder

    named = (*((baseline,) if baseline is not None else ()), *runs)
    if len(named) == 1:
        return named[0], newest_run_folder(StackFolder(stack).path)
    if len(named) != 2:
        raise usage_error(
            "A B",
            " ".join(map(str, named)),
            "exactly two measurements are compared",
            "name A and B; or --baseline FILE and at most one run",
        )
    return named[0], named[1]
