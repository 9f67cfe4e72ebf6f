from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, lock_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("lock", epilog="Example:  orchestrator lock && orchestrator up")
@stack_option
@lock_option
@quiet_option
@json_option
def command(stack: str, lock_timeout_s: float, as_json: bool) -> int:
    """Resolve the pinned images to digests where the registry can be reached; `up` then uses them."""
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.digests import lock

    with progress() as reporter:
        result = lock(stack, reporter, lock_timeout_s=lock_timeout_s)
    return finish(result, as_json, _view)


def _view(console: Console, result: Result) -> None:
    for image, digest in result.data["digests"].items():
        console.print(f"{image}  {digest}", soft_wrap=True)
