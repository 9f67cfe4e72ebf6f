from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, lock_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("wire", epilog="Example:  orchestrator wire")
@stack_option
@lock_option
@quiet_option
@json_option
def command(stack: str, lock_timeout_s: float, as_json: bool) -> int:
    """Set Open WebUI as the plan says, read the settings back and compare. Run twice, it changes nothing."""
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.look import wire

    with progress() as reporter:
        result = wire(stack, reporter, lock_timeout_s=lock_timeout_s)
    return finish(result, as_json, _view)


def _view(console: Console, result: Result) -> None:
    changed = result.data["changed"]
    if not changed:
        console.print("Open WebUI is set as the plan says; nothing changed.")
    for change in changed:
        console.print(f"  {change['field']}: {change['have']!r} → {change['want']!r}", markup=False, soft_wrap=True)
