from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import json_option, lock_option, quiet_option, stack_option

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.result import Result


@click.command("down", epilog="Example:  orchestrator down")
@stack_option
@click.option("--volumes", is_flag=True, help="Remove the data too: knowledge bases, vectors, users, secrets.")
@click.option("--yes", is_flag=True, help="Do not ask (for scripts).")
@lock_option
@quiet_option
@json_option
def command(stack: str, volumes: bool, yes: bool, lock_timeout_s: float, as_json: bool) -> int:
    """Stop everything that the stack started, and nothing else. Keeps the data."""
    from orchestrator.cli.output import finish
    from orchestrator.cli.terminal import progress
    from orchestrator.operations.down import down

    if volumes and not yes:
        _confirm(stack)
    with progress() as reporter:
        result = down(stack, reporter, volumes=volumes, lock_timeout_s=lock_timeout_s)
    return finish(result, as_json, _view)


def _confirm(stack: str) -> None:
    from orchestrator.errors import usage_error

    question = f"This removes all data of stack {stack!r} for good. Type its name to go on"
    if click.prompt(question, default="", show_default=False, err=True) != stack:
        raise usage_error("confirmation", stack, "the name was not typed", "run it again, or add --yes in a script")


def _view(console: Console, result: Result) -> None:
    stopped = ", ".join(result.data["stopped"]) or "nothing was running"
    kept = "data removed" if result.data["removed_data"] else "data kept"
    console.print(f"stack {result.data['stack']}: {stopped}; {kept}")
