from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, quiet_option, stack_option

if TYPE_CHECKING:
    from orchestrator.operations.bench import BenchRequest


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


@click.command(
    "compare", epilog="\b\nExample:  orchestrator bench compare --baseline bench/baseline --max-regression 5%"
)
@click.argument("places", nargs=-1, metavar="[A] [B]")
@stack_option
@click.option("--baseline", type=click.Path(path_type=Path), help="A: a run's folder or its run.json.")
@click.option("--max-regression", type=Share(), help="How much slower B may be, e.g. 5%; exit 1 beyond.")
@click.option("--allow", "allowed", multiple=True, metavar="FIELD", help="What may differ: a field, or a group.")
@click.option("--force", is_flag=True, help="Compare whatever differs.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write the verdict as JUnit.")
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True, help="Measured now: runs a side.")
@click.option(
    "--duration", "duration_s", type=click.FloatRange(1, 3600), default=20, show_default=True, help="Of each."
)
@click.option("--tokens", default="short", show_default=True, help="Per document: N, short, chunk, page or mixed.")
@click.option("--batch", type=click.IntRange(1, 4096), default=32, show_default=True, help="Documents per request.")
@click.option("--concurrency", type=click.IntRange(1, 1024), default=8, show_default=True, help="Requests in flight.")
@click.option("--model", default="", help="The name under which both URLs serve it.")
@click.option("--api-key-file", "key_file", type=click.Path(path_type=Path), help="A file with the URLs' key.")
@quiet_option
@json_option
def command(
    *,
    places: tuple[str, ...],
    stack: str,
    baseline: Path | None,
    max_regression: float | None,
    allowed: tuple[str, ...],
    force: bool,
    junit: Path | None,
    rounds: int,
    as_json: bool,
    **load: Any,
) -> int:
    """Is B faster than A? Says better, same, worse or cannot tell.

    A and B are folders of stored runs (`run_dir`; B is the stack's newest where left out), or URLs and stacks
    (`stack:NAME`) that are measured now, in turns. Exits 1 on worse, with --max-regression only beyond that.
    """
    from orchestrator.bench.report.comparison import comparison_junit, comparison_text
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.bench_compare import Terms, compare_stored, result_of
    from orchestrator.operations.bench_compare_live import LiveRequest, compare_live, is_live
    from orchestrator.state import write_whole

    first, second = _two(places, baseline, stack)
    allowance = max_regression if max_regression is not None or (baseline is None and junit is None) else 0.0
    terms = Terms(force=force, allowed=allowed, max_regression=allowance)
    if is_live(first) != is_live(second):
        _refuse_mixture(first, second)
    if is_live(first):
        with progress() as reporter:
            request = LiveRequest(a=first, b=second, each=_request(load), rounds=rounds)
            compared = compare_live(request, terms, reporter)
    else:
        compared = compare_stored(Path(first), Path(second), terms)
    if junit is not None and compared.regression is not None:
        write_whole(junit, comparison_junit(compared.comparison, compared.regression))
        click.echo(f"written: {junit}", err=True)
    view = comparison_text(compared.comparison, compared.regression)
    return finish(result_of(compared), as_json, lambda console, _: console.print(view))


def _request(load: dict[str, Any]) -> BenchRequest:
    from orchestrator.bench.records import Load
    from orchestrator.operations.bench import BenchRequest

    model, key_file = load.pop("model"), load.pop("key_file")
    return BenchRequest(load=Load(**load, workers=0, seed=0), model=model, key_file=key_file)


def _two(places: tuple[str, ...], baseline: Path | None, stack: str) -> tuple[str, str]:
    from orchestrator.bench.store import newest_run_folder
    from orchestrator.errors import usage_error
    from orchestrator.state import StackFolder

    named = (*((str(baseline),) if baseline is not None else ()), *places)
    if len(named) == 1:
        return named[0], str(newest_run_folder(StackFolder(stack).path))
    if len(named) != 2:
        raise usage_error(
            "A B",
            " ".join(named),
            "exactly two measurements are compared",
            "name A and B; or --baseline FILE and at most one run",
        )
    return named[0], named[1]


def _refuse_mixture(first: str, second: str) -> None:
    from orchestrator.errors import usage_error

    raise usage_error(
        "A B",
        f"{first} {second}",
        "one is stored and the other would be measured now: they could not be measured in turns",
        "name two folders, or two of URL and stack:NAME",
    )
