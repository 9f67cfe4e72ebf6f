from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.options import json_option, quiet_option, spec_of, spec_options, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("render", epilog="Example:  orchestrator render --engine compose --out ./stack")
@spec_options
@stack_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="A new or empty folder.")
@quiet_option
@json_option
def command(out: Path, as_json: bool, **flags: Any) -> int:
    """Write the stack's plain files and leave; they run without this tool."""
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.render import render

    spec = spec_of(flags)
    with progress() as reporter:
        result = render(spec, out, reporter)
    return finish(result, as_json, _view)


def _view(console: Console, result: Result) -> None:
    for path in result.data["files"]:
        console.print(path, markup=False, soft_wrap=True)
    console.print(f"\nstart it with:  {result.data['start']}", soft_wrap=True)
